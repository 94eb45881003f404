"""One file per command; see `collector/cli.py`."""
