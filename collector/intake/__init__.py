"""FIRST LOOP: from the broker into the spool, and only then the PUBACK.

`intake.py` is the loop; `group.py` gathers what one commit will store; `pace.py` decides when a
commit is due and how long to gather.
"""

from collector.intake.intake import Intake

__all__ = ["Intake"]
