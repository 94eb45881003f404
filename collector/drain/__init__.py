"""SECOND LOOP: from the spool into Zerobus streams, one drain per table.

`drain.py` is the loop; `window.py`, `ledger.py` and `search.py` decide without doing; `drains.py`
starts and ends the threads. A drain is the only owner of retries (decision 1).
"""

from collector.drain.drains import Drains

__all__ = ["Drains"]
