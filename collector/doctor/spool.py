"""A quick look into the spool file, which is only read; the daemon may be writing it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from collector.doctor.facts import Facts
from collector.doctor.findings import Check, Finding, error, ok, warning
from collector.errors import SpoolDamagedError, SpoolError
from collector.spool import SpoolReader
from collector.spool.damage.quarantine import FOLDER, quarantined_bytes
from collector.spool.database import is_hollow, wal_bytes
from collector.spool.verify import glance

LOOKING_S: Final = 5.0


def checks(facts: Facts) -> Iterator[Check]:
    """The checks of the spool file."""
    yield Check("spool file", lambda: _look(facts), ("spool folder",))
    yield Check("quarantine", lambda: _quarantine(facts.config.spool.path), ("spool folder",))


def _look(facts: Facts) -> Iterator[Finding]:
    path = facts.config.spool.path
    if is_hollow(path) and not wal_bytes(path):
        yield ok(f"{path} is not there yet: the first start makes it")
        return
    try:
        problem, is_whole = glance(path, LOOKING_S)
        counters = _counters(path) if not problem else {}
    except SpoolDamagedError as damage:
        problem = str(damage.args[0])
    except SpoolError as why:
        yield error(str(why.args[0]), why.hint or "Look at `collector spool verify`.")
        return
    if problem:
        yield error(
            problem,
            "The next start moves it to quarantine and saves what is intact; to do it now, with the"
            " daemon stopped:",
            (f"collector spool repair -c {facts.file}",),
        )
        return
    waiting = sum(value for (_, name), value in counters.items() if name == "spooled")
    looked = "no damage" if is_whole else f"no damage in {LOOKING_S:.0f} s of looking"
    yield ok(f"{looked}, {waiting:,} records wait, {counters.get(('', 'dead'), 0):,} dead letters")


def _counters(path: Path) -> dict[tuple[str, str], int]:
    reader = SpoolReader(path)
    try:
        return reader.counters()
    finally:
        reader.close()


def _quarantine(path: Path) -> Iterator[Finding]:
    size = quarantined_bytes(path)
    folder = path.parent / FOLDER
    if not size:
        yield ok("empty")
        return
    yield warning(
        f"{folder} holds {size:,} bytes of damaged spools: what was intact is saved from them",
        "`collector status` says what was lost. When someone has looked, remove them.",
        (f"rm -r {folder}",),
    )
