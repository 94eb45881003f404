"""docs/mapping.md: every example is true, and every word of the vocabulary has one."""

import json
import re
from pathlib import Path

import pytest
from support.station import compiled, offer

from collector.config.models import Station
from collector.config.vocabulary import Condition, Words
from collector.mapping.known import NAMES
from collector.samples import Samples

TEXT = (Path(__file__).parent.parent / "docs" / "mapping.md").read_text()
EXAMPLE = re.compile(r"```yaml\n# (.*)\n((?:.*\n)+?)```\n+```\n((?:.*\n)+?)```\n")
EXAMPLES = EXAMPLE.findall(TEXT)


def said(rows, faults):
    """Rows and faults in the form of the document."""
    lines = [json.dumps({k: v for k, v in row.items() if v not in (None, [], {})}) for row in rows]
    for fault in faults:
        place = "" if fault.position is None else f" at {fault.position}"
        lines.append(f"{fault.kind}{place}: {fault.reason}")
    return sorted(lines) or ["nothing"]


@pytest.mark.parametrize(("columns", "station", "messages"), EXAMPLES, ids=lambda one: one[:40])
def test_an_example_becomes_what_the_document_says(tmp_path, columns, station, messages):
    plan = compiled(tmp_path, ("example", columns, station))
    for block in messages.removeprefix("> ").split("\n> "):
        first, *expected = block.strip().splitlines()
        topic, _, payload = first.partition(" ")
        rows, faults = offer(plan, topic, payload).get("example", ([], []))
        assert said(rows, faults) == sorted(expected), first


def test_every_word_is_in_an_example_and_every_name_is_explained():
    examples = "\n".join(station for _, station, _ in EXAMPLES)
    used = set(re.findall(r"[\w]+(?=:)", examples))
    said = {"table", "schema", "when_full", "max_age", "expired", "time_window", "retained"}
    said.add("silent_after")
    assert set(Station.keys()) - said <= used
    assert set(Words.keys()) <= used
    assert set(Condition.keys()) - {"is", "max"} <= used
    for name in NAMES:
        assert f"`${name}`" in TEXT


def test_the_sample_of_the_document_holds(tmp_path):
    plan = compiled(tmp_path, ("plant", "device STRING, temp DOUBLE", "topic: plant/{device}"))
    folder = tmp_path / "tables" / "plant" / "samples"
    folder.mkdir()
    [sample] = re.findall(r"```sample\n((?:.*\n)+?)```", TEXT)
    (folder / "oven.yaml").write_text(sample)
    samples = Samples(plan)
    samples.run()
    assert samples.problems == []
    assert samples.checked == 3
