"""The checks in their order: this box, its files, the broker, the cloud."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from collector.doctor import broker, clock, cloud, configuration, disk, host, http, spool, tables
from collector.doctor.facts import Facts
from collector.doctor.findings import Check, Report, examine, skipped


class Doctor:
    """Examines what a configuration file describes; `offline` skips the cloud."""

    def __init__(self, file: Path, *, offline: bool = False) -> None:
        self._facts = Facts(file)
        self._offline = offline

    def examine(self) -> Iterator[Report]:
        """Yield what is found, as it is found."""
        return examine(self._checks())

    def _checks(self) -> Iterator[Check]:
        # Lazily: which tables there are is known when the configuration was read.
        yield from host.checks()
        for group in (configuration, disk, spool):
            yield from group.checks(self._facts)
        yield from clock.checks()
        yield from http.checks(self._facts)
        yield from broker.checks(self._facts)
        for group in (cloud, tables):
            yield from map(self._online, group.checks(self._facts))

    def _online(self, check: Check) -> Check:
        if not self._offline:
            return check
        return replace(check, needs=(), run=lambda: [skipped("--offline")])
