"""`collector status --watch`: the status file as a screen that stays in place.

    reading.py  what the file says, as checked values; the most urgent station first
    history.py  the backlogs while they were watched
    picture.py  the lines of a screen; the only file of these that imports rich
    screen.py   the terminal: only lines that changed are written, and it is given back as it was
    watch.py    the loop

Made for a slow serial line of 80x24 as much as for a large terminal.
"""

from collector.commands._watch.watch import watch

__all__ = ["watch"]
