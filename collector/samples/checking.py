"""Maps samples and says what is not as they expect, with file and line."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from collector.config.document import Document, Place, read
from collector.config.section import said_of
from collector.errors import Problem
from collector.mapping.coerce import coercion
from collector.mapping.misfit import MisfitError
from collector.model import Fault, Message
from collector.plan import Plan
from collector.rows import row_of
from collector.samples.sample import Expected, Sample
from collector.tables import Column, Schema
from collector.trying import made_of

FOLDER: Final = "samples"

_TOLERANCE: Final = 1e-12
_UNFED: Final = frozenset({"received", "seq", "gateway", "clock_ok"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a table got of one message: rows as JSON can say them, and faults.

    `is_taken` says whether a station of the table has a filter for its topic.
    """

    rows: list[dict[str, Any]]
    faults: list[Fault]
    is_taken: bool


class Samples:
    """Checks the samples of a configuration; `checked` counts them."""

    def __init__(self, plan: Plan) -> None:
        """Samples say when they arrived: the clock of this box is not asked."""
        self._plan = plan
        for mapping in plan.mappings:
            mapping.trust_clock()
        self.checked = 0
        self.problems: list[Problem] = []

    def run(self) -> None:
        """Check all samples; what is not as expected is in `problems`, with file and line."""
        folders: dict[Path, list[int]] = {}
        for index, station in enumerate(self._plan.config.stations):
            folders.setdefault(station.schema_dir, []).append(index)
        for folder, stations in folders.items():
            for file in sorted((folder / FOLDER).glob("*.y*ml")):
                self._check_file(file, stations)

    def _check_file(self, file: Path, stations: Sequence[int]) -> None:
        document = read(file, lambda text: text)
        samples = document.values if isinstance(document.values, list) else [document.values]
        prefix = isinstance(document.values, list)
        for number, sample in enumerate(samples):
            place: Place = (number,) if prefix else ()
            if not document.broken:
                self._check(document, place, sample, stations)
        self.problems += document.problems

    def _check(
        self, document: Document, place: Place, sample: Any, stations: Sequence[int]
    ) -> None:
        try:
            read_sample = Sample.model_validate(sample)
        except ValidationError as error:
            for fault in error.errors(include_url=False, include_input=False):
                at = document.place_of(place, fault["loc"])
                document.report(at, said_of(fault))
            return
        self.checked += 1
        expect = read_sample.expect
        outcome = self._outcome(read_sample.message(), read_sample.received, stations)
        mapping = self._plan.mappings[stations[0]]
        unjudged = {
            column.name
            for index in stations
            for column in mapping.schema.columns
            if column.name in self._unfed(index)
        }
        for key, text in differences(expect, outcome, mapping.schema, unjudged):
            document.report((*place, "expect", *key), text)

    def _unfed(self, index: int) -> Iterator[str]:
        """The columns that no sample can foresee."""
        columns = self._plan.config.stations[index].columns or {}
        for name, words in columns.items():
            if any(str(source).removeprefix("$") in _UNFED for source in words.sources):
                yield name

    def _outcome(self, message: Message, received_us: int, stations: Sequence[int]) -> Outcome:
        rows: list[dict[str, Any]] = []
        faults: list[Fault] = []
        is_taken = False
        for index in stations:
            mapping = self._plan.mappings[index]
            captures = self._plan.captures(index, message.topic.decode())
            is_taken |= captures is not None
            if captures is not None and not (message.retain and mapping.drops_retained):
                made = made_of(mapping, message, captures, received_us)
                rows += made.rows
                faults += made.faults
        return Outcome(rows, faults, is_taken)


def differences(
    expect: Expected, outcome: Outcome, schema: Schema, unjudged: set[str]
) -> Iterator[tuple[Place, str]]:
    """What is not as expected, each with its place below `expect`.

    `unjudged` are columns that are compared only where a row names them; of the others, those that
    a row does not name must be NULL.
    """
    rows = expect.rows
    for index, wanted in enumerate(rows):
        if index < len(outcome.rows):
            for column, text in _row_differences(wanted, outcome.rows[index], schema, unjudged):
                yield ("rows", index, column), text
        else:
            yield ("rows", index), "there is no such row" + _why(outcome)
    for row in outcome.rows[len(rows) :]:
        yield (), f"there is one row more: {json.dumps(row, ensure_ascii=False)}"
    faults = list(outcome.faults)
    for index, letter in enumerate(expect.letters):
        found = next((one for one in faults if letter.is_like(one)), None)
        if found is None:
            yield ("dead_letters", index), "there is no such dead letter" + _why(outcome)
        else:
            faults.remove(found)
    for fault in faults if len(expect.letters) < len(outcome.faults) else ():
        yield (), f"there is one dead letter more: {fault.kind}: {fault.reason}"


def _why(outcome: Outcome) -> str:
    if outcome.faults:
        return f", but {outcome.faults[0].kind}: {outcome.faults[0].reason}"
    return "" if outcome.is_taken else ": no station of the table takes the topic"


def _row_differences(
    wanted: Mapping[str, Any], got: Mapping[str, Any], schema: Schema, unjudged: set[str]
) -> Iterator[tuple[str, str]]:
    names = {column.name for column in schema.columns}
    for name in wanted.keys() - names:
        yield name, "the table has no such column"
    for column in schema.columns:
        if column.name not in wanted and column.name in unjudged:
            continue
        try:
            value = _as_row(schema, column, wanted.get(column.name))
        except MisfitError as misfit:
            yield column.name, str(misfit)
            continue
        if not _is_equal(value, _plain(got[column.name], column)):
            found = json.dumps(got[column.name], ensure_ascii=False)
            yield column.name, f"it is {found}, not {json.dumps(value, ensure_ascii=False)}"


def _as_row(schema: Schema, column: Column, value: Any) -> Any:
    """An expected value as the row of a record shows it."""
    fresh: Any = schema.message()
    if value is not None:
        fresh = schema.message(**{column.name: coercion(column.delta)(value)})
    record = fresh.SerializePartialToString()
    return _plain(row_of(schema, record)[column.name], column)


def _plain(value: Any, column: Column) -> Any:
    """A list that is empty is no value to protobuf; a VARIANT is compared as JSON."""
    if column.delta.name in ("ARRAY", "MAP") and not value:
        return None
    return json.loads(value) if column.delta.name == "VARIANT" and value is not None else value


def _is_equal(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_is_equal(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_is_equal, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, float) or isinstance(other, float):
        if not (isinstance(one, int | float) and isinstance(other, int | float)):
            return False
        return one == other or math.isclose(one, other, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
    return bool(one == other)
