"""Each table: is it there and of the right kind, may we, does the schema fit, a stream open.

Nothing is sent on the stream.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

from collector.catalog import Catalog, CatalogError, NoTableError, TransientCatalogError
from collector.doctor.deadline import within
from collector.doctor.facts import Facts
from collector.doctor.findings import Check, Finding, error, ok, skipped, warning
from collector.doctor.refused import UNREACHABLE, refused
from collector.errors import CollectorError
from collector.tables import FILE_NAME, Described, Difference, described, differences
from collector.tables.sql import create_table, grants

if TYPE_CHECKING:
    from collector.stream import Connections

ALL_TABLES_S: Final = 60.0
"""For all tables together; what is left then is skipped."""
CLOSING_S: Final = 10.0
_GAP_S: Final = 5.0
_UNSUPPORTED: Final = {
    "liquid clustering": ("clusteringColumns", "delta.feature.clustering"),
    "commits that the catalog manages": (
        "delta.feature.catalogManaged",
        "delta.feature.catalogOwned-preview",
    ),
}
_Answer = TypeVar("_Answer")


@dataclass(slots=True)
class _Seen:
    """What the catalog says of the tables, and until when they are looked at."""

    until: float = 0.0
    tables: dict[str, Described] = field(default_factory=dict)
    connections: "Connections | None" = None


def checks(facts: Facts) -> Iterator[Check]:
    """Four checks of each table."""
    seen = _Seen(time.monotonic() + ALL_TABLES_S)
    for name in facts.tables:
        yield from _checks_of(facts, name, seen)
    if not facts.tables:
        yield Check("table", list, ("configuration",))


def _checks_of(facts: Facts, name: str, seen: _Seen) -> Iterator[Check]:
    known, there = ("token", "tables and stations"), f"table {name}"
    yield _timed(seen, Check("table", lambda: _table(facts, name, seen), known, name))
    yield _timed(seen, Check("grants", lambda: _grants(facts, name), (there,), name))
    yield _timed(seen, Check("schema", lambda: _schema(facts, name, seen), (there,), name))
    needs = (
        "platform and SDK",
        "endpoint",
        "one workspace",
        there,
        f"grants {name}",
        f"schema {name}",
    )
    yield _timed(seen, Check("stream", lambda: _stream(facts, name, seen), needs, name))


def _timed(seen: _Seen, check: Check) -> Check:
    """The check, as long as there is time for it."""

    def run() -> Iterable[Finding]:
        if time.monotonic() > seen.until:
            return [skipped(f"the {ALL_TABLES_S:.0f} s for all tables are over")]
        return check.run()

    return replace(check, run=run)


def _table(facts: Facts, name: str, seen: _Seen) -> Iterator[Finding]:
    try:
        answer = _asked(facts, lambda catalog: catalog.table(name, tries=1))
        seen.tables[name] = found = described(answer)
        unsupported = list(_unsupported(answer))
    except NoTableError as why:
        schema = facts.plan.schemas[name]
        yield error(
            f"there is none, or the service principal may not see it: {_said(why)}",
            "Create it (a local Zerobus makes it with the first record), correct its name, or grant"
            " what it takes to see it:",
            (
                *create_table(name, schema.columns, schema.comment).splitlines(),
                *_grant(facts, name),
            ),
        )
    except (CatalogError, TimeoutError, ValueError) as why:
        yield from _not_told(facts, name, why)
    else:
        if found.unfit:
            yield error(f"it {found.unfit}", "Make it anew as a managed Delta table.")
            return
        yield from unsupported
        if not unsupported:
            yield ok(f"managed Delta, {len(found.columns)} columns")


def _unsupported(answer: Mapping[str, Any]) -> Iterator[Finding]:
    """What the properties of a table say that Zerobus does not write to."""
    properties = answer.get("properties") or {}
    for words, keys in _UNSUPPORTED.items():
        if any(str(properties.get(key) or "").lower() not in {"", "false"} for key in keys):
            yield warning(
                f"it has {words}, which Zerobus may refuse",
                "If its stream does not open, make it anew as `collector tables ddl` writes it.",
            )


def _not_told(facts: Facts, name: str, why: Exception) -> Iterator[Finding]:
    if isinstance(why, CatalogError) and why.status == 403:
        fix = "The service principal lacks a grant; run:"
        yield error(f"forbidden: {_said(why)}", fix, _grant(facts, name))
    elif isinstance(why, CatalogError) and why.status == 401:
        yield error(
            f"the token is not taken: {_said(why)}",
            "It may have expired on its way: see clock. Else the token is of another workspace.",
        )
    else:
        hint = why.hint if isinstance(why, CatalogError) else ""
        yield error(f"it can't be asked for: {_said(why)}", hint or "Try again later.")


def _grants(facts: Facts, name: str) -> Iterator[Finding]:
    """Ask for the token that a stream needs: the workspace gives it to who has the grants."""
    number = (urlsplit(facts.config.zerobus.endpoint).hostname or "").partition(".")[0]
    try:
        _asked(facts, lambda catalog: catalog.check_grants(name, number))
    except TransientCatalogError as why:
        yield error(f"the workspace does not say: {_said(why)}", why.hint)
    except CatalogError as why:
        yield error(
            f"a token is given, but none to write here: {_said(why)}",
            "Zerobus wants the grants on the table itself, ALL PRIVILEGES on the schema or the"
            " catalog are not enough; run:",
            _grant(facts, name),
        )
    except TimeoutError as why:
        yield error(f"the workspace is too slow: {why}", "Try again later.")
    else:
        yield ok("a token to write here is given")


def _schema(facts: Facts, name: str, seen: _Seen) -> Iterator[Finding]:
    schema = facts.plan.schemas[name]
    found = differences(name, schema.columns, seen.tables[name].columns)
    file = next(one.schema_dir for one in facts.config.stations if one.table == name) / FILE_NAME
    yield from (_difference(one, file) for one in found if one.matters)
    if not any(one.matters for one in found):
        harmless = f", {len(found)} harmless differences: `collector tables diff`" if found else ""
        yield ok(f"{len(schema.columns)} columns fit{harmless}")


def _difference(one: Difference, file: Path) -> Finding:
    line = f"{file}:{one.line}" if one.line else str(file)
    lines = [one.sql] if one.sql else []
    lines += [f"{line}: {one.schema}"] if one.schema else []
    fix = "Either of these:" if len(lines) > 1 else "Make the schema and the table alike:"
    return error(f"column {one.column} {one.what}", fix, lines)


def _stream(facts: Facts, name: str, seen: _Seen) -> Iterator[Finding]:
    try:
        # The SDK is imported here: it is slow, and on some boxes it can't be.
        from collector.stream import Connections, StreamError  # noqa: PLC0415
    except CollectorError as why:
        yield error(_said(why), why.hint)
        return
    if seen.connections is None:
        seen.connections = Connections(
            facts.config.zerobus, f"collector-doctor/{version('zerobus-collector')}"
        )
    descriptor = facts.plan.schemas[name].file_descriptor
    opening = partial(
        seen.connections.open,
        name, descriptor, lambda: None, ack_timeout=facts.opening_s, tries=0, held=False,
    )  # fmt: skip
    before = time.monotonic()
    try:
        stream = within(facts.opening_s, opening)
        took = time.monotonic() - before
        within(CLOSING_S, stream.close)
    except TimeoutError as why:
        yield error(f"no stream: {why}", UNREACHABLE)
    except StreamError as why:
        yield refused(why.reason, _grant(facts, name))
    else:
        yield ok(f"opens in {took * 1000:,.0f} ms; closed again, nothing was sent")


def _asked(facts: Facts, question: Callable[[Catalog], _Answer]) -> _Answer:
    """Ask the workspace one thing, within a deadline.

    Raises:
        CatalogError: it refuses, or does not answer.
        TimeoutError: its answer takes too long.
    """
    catalog = Catalog(facts.config.zerobus, timeout_s=facts.answer_s)
    # A question is two requests.
    return within(2 * facts.answer_s + _GAP_S, lambda: question(catalog))


def _grant(facts: Facts, name: str) -> list[str]:
    return grants([name], facts.config.zerobus.client_id)


def _said(why: Exception) -> str:
    return str(why.args[0])
