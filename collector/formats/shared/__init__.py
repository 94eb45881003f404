"""What several formats have in common, and the parts of those that are too long for one file."""
