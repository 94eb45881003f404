"""A column as it is guessed, and a weaker guess when what was heard does not fit it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from collector.config.vocabulary import Words
from collector.discover.limits import EVIDENCE_MAX
from collector.discover.yaml_text import one_line
from collector.mapping.sources import Path, parse_source
from collector.tables import Column, DeltaType

_WIDER: Final = {
    "BOOLEAN": "STRING", "BIGINT": "DOUBLE", "TIMESTAMP": "STRING", "TIMESTAMP_NTZ": "STRING",
    "DATE": "STRING", "DOUBLE": "STRING", "STRING": "VARIANT", "BINARY": "STRING",
    "ARRAY": "VARIANT",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Guessed:
    """A column of a station: source and steps as the configuration has them, type, evidence."""

    name: str
    source: str
    delta: DeltaType
    evidence: str
    nullable: bool = True
    steps: Mapping[str, Any] = field(default_factory=dict)

    def column(self, number: int) -> Column:
        """The column of the table."""
        said = one_line(self.evidence, EVIDENCE_MAX)
        return Column(self.name, self.delta, self.nullable, number, comment=said)

    def weaker(self, kind: str, reason: str) -> "Guessed":
        """The next guess, after a message did not fit this one.

        No value where one must be: NULL is allowed. A bad value: a wider type without steps, and
        at last whatever does not fit becomes NULL.
        """
        if kind == "missing_required":
            return replace(self, nullable=True, evidence=f"{self.evidence}; not always there")
        wider = _WIDER.get(self.delta.name)
        if wider is None or self.steps.get("lenient"):
            steps = {**self.steps, "lenient": True}
            text = f"{self.evidence}; what does not fit becomes NULL"
            return replace(self, steps=steps, nullable=True, evidence=text)
        text = f"not {self.delta}: {reason}"
        return replace(self, delta=DeltaType(wider), steps={}, nullable=True, evidence=text)


def source_of(parts: tuple[str, ...], *, absolute: bool) -> str | None:
    """The source that leads there; None when no source can say it."""
    text = "/".join(part.replace("~", "~0").replace("/", "~1") for part in parts)
    text = f"/{text}" if absolute else text
    try:
        parsed = parse_source(text)
        Words.of_key(text)
    except ValueError:
        return None
    if not isinstance(parsed, Path) or parsed != Path(parts, absolute):
        return None
    # A name after $ can't stand in a path.
    is_name = any(part.startswith("$") for part in parts)
    return None if is_name or "*" in parts or "\0" in text else text
