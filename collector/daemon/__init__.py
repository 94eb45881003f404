"""The daemon: builds the line, runs it until a signal, ends it in order.

`line.py` puts the parts together and takes them apart; `daemon.py` is the process around it;
`state.py` says what the line is doing, `snapshot.py` and `probes.py` for whom; `notify.py` talks to
systemd.
"""

from collector.daemon.daemon import run
from collector.daemon.line import Line

__all__ = ["Line", "run"]
