"""One file per command; see `collector/cli.py`."""

from typing import Final

COMPLETE_VARIABLE: Final = "_COLLECTOR_COMPLETE"
"""By this variable a shell asks for completions; see `collector completion`."""
