"""Free pages go back to the disk, in steps so short that the intake does not notice."""

import time
from collections.abc import Generator
from typing import Any, Final

from collector.spool import Spool

_BETWEEN_S: Final = 0.01


def compact(spool: Spool) -> Generator[dict[str, Any], None, dict[str, Any]]:
    """Shrink the file by the pages that nothing is in; a step takes 100 ms at most."""
    before = spool.path.stat().st_size
    left = spool.room.used_bytes()[1]
    while left:
        remaining = spool.room.give_pages_back()
        yield {"left_bytes": remaining}
        if remaining >= left:
            break  # They are used again as fast as they are given back.
        left = remaining
        time.sleep(_BETWEEN_S)
    return {"before_bytes": before, "after_bytes": spool.path.stat().st_size}
