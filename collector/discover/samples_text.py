"""Samples of what was heard: real messages with the rows they give, which `check` then maps."""

import base64
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from collector.discover import yaml_text
from collector.discover.drafts import Draft
from collector.discover.heard import Kept, Topic
from collector.discover.limits import SAMPLE_BYTES_MAX, SAMPLES_MAX
from collector.discover.proof import outcomes
from collector.discover.scalars import is_secret
from collector.mapping.times import iso_of
from collector.plan import Plan
from collector.samples import FOLDER, Samples
from collector.tables import Schema

FILE: Final = "discovered.yaml"
_FED: Final = frozenset({"received", "gateway", "seq"})
_HEAD: Final = """\
# Messages that `collector discover` heard, as they were sent, and the rows they give.
"""


def write_samples(folder: Path, found: Plan, drafts: Sequence[Draft]) -> None:
    """Write samples for each draft."""
    for one in drafts:
        file = folder / "tables" / one.name / FOLDER / FILE
        schema = next(mapping.schema for mapping in found.mappings if mapping.station == one.name)
        texts = list(_samples(found, one, schema))
        if texts:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(_HEAD + "\n".join(texts), "utf-8")


def drop_bad_samples(found: Plan) -> None:
    """Take away samples that would not pass `check`; `found` has mapped nothing yet."""
    checked = Samples(found)
    checked.run()
    for bad in {problem.file for problem in checked.problems}:
        bad.unlink(missing_ok=True)


def _samples(found: Plan, one: Draft, schema: Schema) -> Iterator[str]:
    left = SAMPLES_MAX
    for topic, kept in _chosen(one):
        if not left or not _can_be_written(topic, kept):
            continue
        rows = [
            row
            for name, got, faults in outcomes(found, topic.name, kept)
            if name == one.name and not faults
            for row in got
        ]
        text = _sample(topic, kept, rows, schema)
        if rows and len(text) <= 4 * SAMPLE_BYTES_MAX:
            left -= 1
            yield text


def _chosen(one: Draft) -> list[tuple[Topic, Kept]]:
    """The first message of each topic, then their second ones; what a format keeps needs the first.

    In the order of their arrival, because births come before what they explain.
    """
    found = [
        (place, kept.number, topic, kept)
        for topic in one.group.topics
        for place, kept in enumerate(topic.kept[:SAMPLES_MAX])
    ]
    if one.group.form.format == "sparkplug":
        found.sort(key=lambda each: each[1])
    else:
        found.sort(key=lambda each: each[:2])
    return [(topic, kept) for _, _, topic, kept in found[:500]]


def _can_be_written(topic: Topic, kept: Kept) -> bool:
    """Whether a message may stand in a file: short, and without what looks like a secret."""
    payload = kept.message.payload
    has_secret = is_secret(payload.decode(errors="replace"))
    return len(payload) <= SAMPLE_BYTES_MAX and not has_secret and "\ufffd" not in topic.name


def _sample(topic: Topic, kept: Kept, rows: Sequence[dict[str, Any]], schema: Schema) -> str:
    lines = [f"- topic: {yaml_text.text(topic.name)}", f"  {_payload(kept.message.payload)}"]
    if kept.message.retain:
        lines.append("  retained: true")
    lines += [f"  received: {_moment(kept.received_us)}", "  expect:", "    rows:"]
    for row in rows:
        values = {
            column.name: json.loads(row[column.name])
            if column.delta.name == "VARIANT"
            else row[column.name]
            for column in schema.columns
            if column.name not in _FED and row[column.name] is not None
        }
        lines.append(f"      - {yaml_text.flow(values, yaml_text.text)}")
    return "".join(f"{line}\n" for line in lines)


def _payload(payload: bytes) -> str:
    try:
        return f"payload: {_single(payload.decode())}"
    except UnicodeDecodeError:
        return f"payload_base64: {yaml_text.quoted(base64.b64encode(payload).decode())}"


def _single(text: str) -> str:
    """In single quotes, where nothing but they must be escaped, so that JSON stays readable."""
    if text.isprintable() and "\ufeff" not in text:
        return "'" + text.replace("'", "''") + "'"
    return yaml_text.quoted(text)


def _moment(received_us: int) -> str:
    return f'"{iso_of(received_us)}"'
