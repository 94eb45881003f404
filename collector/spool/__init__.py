"""The spool: every record from its arrival to its acknowledgment, in one SQLite file.

    intake ──append──▶ ┌───────────────── spool.db ─────────────────┐
                       │ batches      one row: the records of one    │
                       │              table that one commit stored   │──read──▶ drain
    drain ─acknowledge▶│ dead letters what can't be delivered, why   │
                       │ counters     the two balances               │──read-only──▶ CLI
                       │ schemas      what decodes the batches       │
                       └─────────────────────────────────────────────┘

What it promises:

- `append` returns after the commit, with `synchronous=FULL`: the power may fail at any moment
  after that. If it raises, nothing of the group may be acknowledged.
- A batch leaves the file only after `acknowledge`, `bury` or `cut`, each in a transaction that
  keeps the counters in step: both balances hold in every commit.
- Acknowledgments wait in memory and ride on the next commit, so that a record costs one sync
  from arrival to deletion, not two. A crash in between sends those batches again.

One connection writes, behind one lock, and is the only one that checkpoints: SQLite before 3.51.3
can lose a WAL reset when two connections do. Readers are read-only and brief.
"""

from collector.spool.group import Group
from collector.spool.kept_rows import RETAINED_MAX
from collector.spool.limits import Age, Limits
from collector.spool.reader import SpoolReader
from collector.spool.spool import Spool

__all__ = ["RETAINED_MAX", "Age", "Group", "Limits", "Spool", "SpoolReader"]
