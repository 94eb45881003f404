"""What a discovery writes: `stations.yaml`, a schema for each table, and the SQL for all.

Each guess has its evidence on its line. Everything is written into a folder that nobody sees yet,
and becomes the wanted one by one rename: nothing is ever overwritten, or left half done.
"""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from collector.discover import yaml_text
from collector.discover.drafts import Draft
from collector.discover.guessed import Guessed
from collector.discover.limits import EVIDENCE_MAX
from collector.errors import CollectorError
from collector.tables import FILE_NAME, Column
from collector.tables.proto_text import proto_text
from collector.tables.sql import create_table, distinct_view

_HEAD: Final = """\
# Written by `collector discover`: what was heard in {heard}, and guesses made of it.
# Read them, correct them, keep what you want. `collector check -c {name}/stations.yaml` says what
# is wrong, `collector tail -c {name}/stations.yaml` shows the rows; docs/discover.md, how guesses
# are made.

mqtt:
{mqtt}
zerobus:
  endpoint: ${{ZEROBUS_ENDPOINT:-http://127.0.0.1:15051}}
  workspace_url: ${{ZEROBUS_WORKSPACE_URL:-http://127.0.0.1:15052}}
  client_id: ${{DATABRICKS_CLIENT_ID:-emulator}}
  client_secret: ${{DATABRICKS_CLIENT_SECRET:-emulator}}

stations:
"""
_SQL: Final = """\
-- Written by `collector discover`: the tables, and a view of each without what was sent twice.
-- Nothing was executed. `collector tables ddl -c …` writes it anew after a change, with the grants.
"""
_WIDTH_MAX: Final = 62


def check_free(folder: Path) -> None:
    """Raise CollectorError when the folder is there and holds something."""
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists() or folder.is_symlink():
        raise CollectorError(
            f"{folder} is there already, and nothing is overwritten",
            "move it away, or name another folder with --into",
        )


@contextmanager
def unseen(folder: Path) -> Iterator[Path]:
    """A folder beside the wanted one, which becomes it when the block has ended well."""
    parent = folder.absolute().parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=parent))
    except OSError as error:
        raise CollectorError(f"{parent} can't be written: {error.strerror}") from error
    try:
        made.chmod(0o777 & ~_umask())
        yield made
        check_free(folder)
        try:
            os.rename(made, folder)  # noqa: PTH104 - A Path's own says no more.
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                check_free(folder)
            raise CollectorError(f"{folder} can't be written: {error.strerror}") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write(
    folder: Path, name: str, drafts: Sequence[Draft], mqtt: Sequence[str], heard: str, end: str = ""
) -> None:
    """Write all files of the drafts; `mqtt` are the lines of that section, `end` is a comment."""
    top = _HEAD.format(heard=heard, name=name, mqtt="".join(f"  {line}\n" for line in mqtt))
    text = top + "\n".join(map(_station, drafts))
    (folder / "stations.yaml").write_text(text + (f"\n{end}" if end else ""), "utf-8")
    for one in drafts:
        table = folder / "tables" / one.name
        table.mkdir(parents=True, exist_ok=True)
        (table / FILE_NAME).write_text(_schema(one), "utf-8")
    (folder / "tables.sql").write_text(_sql(drafts), "utf-8")


def columns_of(one: Draft) -> list[Column]:
    """The columns of a draft's table."""
    return [column.column(place) for place, column in enumerate(one.layout.columns, 1)]


def _station(one: Draft) -> str:
    group, layout = one.group, one.layout
    first = group.topics[0].name
    example = "" if first == group.filter else f", e.g. {first}"
    lines = [
        _comment(
            f"{counted(group.messages, 'message')} of {counted(one.topics, 'topic')}{example}."
        ),
        *(_comment(note) for note in layout.notes),
        f"{one.name}:",
        f"  topic: {_topic(group.filter)}",
        *([f"  except: {yaml_text.flow(group.excepts)}"] if group.excepts else []),
        f"  table: {one.table}",
        _with_evidence(f"  format: {group.form.format}", group.form.evidence),
    ]
    if layout.options:
        lines.append(f"  {group.form.format}: {yaml_text.flow(layout.options)}")
    lines += [f"  each: {yaml_text.literal(layout.each)}"] if layout.each else []
    lines += [f"  when: {yaml_text.flow(layout.when)}"] if layout.when else []
    lines += [f"  rest: {layout.rest}"] if layout.rest else []
    lines.append("  columns:")
    lines += _columns([column for column in layout.columns if column.source])
    return "".join(f"  {line}\n" for line in lines)


def _columns(fed: Sequence[Guessed]) -> Iterator[str]:
    """A line for each column, with the evidence where no usual line ends."""
    name = max(len(column.name) for column in fed) + 1
    lines = [f"    {(column.name + ':').ljust(name)} {_source(column)}" for column in fed]
    width = max((len(line) for line in lines if len(line) <= _WIDTH_MAX), default=_WIDTH_MAX)
    for line, column in zip(lines, fed, strict=True):
        yield _with_evidence(line.ljust(width), column.evidence)


def _source(column: Guessed) -> str:
    if column.steps:
        return yaml_text.flow({"from": column.source, **column.steps})
    return yaml_text.literal(column.source)


def _with_evidence(line: str, evidence: str) -> str:
    return f"{line}  {_comment(evidence)}"


def counted(count: int, noun: str) -> str:
    """A number of things, in words.

    >>> counted(1, "topic"), counted(1_200, "topic")
    ('1 topic', '1,200 topics')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _comment(words: str) -> str:
    return yaml_text.comment(words, EVIDENCE_MAX)


def _topic(text: str) -> str:
    return text if text.isascii() and not set(text) & set("{}#+$ :'\"\\,[]") else _quoted(text)


def _quoted(text: str) -> str:
    return yaml_text.quoted(text.replace("${", "$${"))


def _schema(one: Draft) -> str:
    heading = f"The schema of {one.table}; a guess by `collector discover`, with its evidence."
    columns = columns_of(one)
    return proto_text(one.name, columns, heading=heading)


def _sql(drafts: Sequence[Draft]) -> str:
    parts = [_SQL]
    for one in drafts:
        parts.append(create_table(one.table, columns_of(one)) + "\n")
        parts.append(distinct_view(one.table, "gateway", "seq") + "\n")
    return "\n".join(parts)
