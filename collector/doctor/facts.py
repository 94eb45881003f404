"""What earlier checks found out and later ones build on."""

from dataclasses import dataclass, field
from pathlib import Path

from collector.config import Config
from collector.plan import Plan


@dataclass(slots=True)
class Facts:
    """`config` and `plan` are set by the checks of them, which those that use them name in `needs`.

    `answer_s` is how long the broker and the workspace may take for one answer, `opening_s` how
    long a stream may take to open.
    """

    file: Path
    answer_s: float = 10.0
    opening_s: float = 40.0
    config: Config = field(init=False)
    plan: Plan = field(init=False)

    @property
    def known(self) -> Config | None:
        """The configuration, where it could be read by now."""
        return getattr(self, "config", None)

    @property
    def tables(self) -> list[str]:
        """The tables of the configuration, each once; none while it is not known."""
        stations = self.known.stations if self.known is not None else ()
        return list(dict.fromkeys(station.table for station in stations))
