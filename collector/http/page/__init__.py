"""The page `/ui`: the line as it is now, for people with a browser. It changes nothing.

`live.py` holds what is shown: the main thread tells it each second, and all viewers share what is
made of that. `history.py`, `events.py` and `letters.py` are its memory, `sections.py` says how a
snapshot of the line becomes parts of the page, `app.py` serves them and the files in `static/`.
"""

from collector.http.page.app import PageApp
from collector.http.page.live import Live

__all__ = ["Live", "PageApp"]
