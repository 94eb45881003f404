"""What stands in a file, to tell whether it is another: certificates keep their name."""

import hashlib
from pathlib import Path


def contents_hash(path: Path | None) -> bytes:
    """Return a hash of a file: a private key is not to be kept in memory for longer than needed.

    It is empty without a file, and where one can't be read: whoever needs it says what is wrong.
    """
    try:
        return hashlib.blake2b(path.read_bytes()).digest() if path is not None else b""
    except OSError:
        return b""
