"""The demonstration: sensors, a broker, the real daemon and a local Zerobus, and a final balance.

`demo.py` is the order of events; `parts.py` the processes, `sensors.py` what is published,
`view.py` what one sees meanwhile, `balance.py` what came out. Not a part of the line: it starts the
same commands that a user would, and reads what they would read.
"""

from collector.demo.balance import Balance
from collector.demo.demo import Demo, DemoOptions

__all__ = ["Balance", "Demo", "DemoOptions"]
