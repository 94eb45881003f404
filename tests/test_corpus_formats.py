"""The payloads of the device families, as their formats read them, without a mapping."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from support.corpus import ENTRIES, expected_letters, payload_of, received_us

from collector import formats
from collector.formats import Bad, Records
from collector.model import Arrival, DecodeError

COLUMNS = ["date", "time", "channel", "temperature", "pressure", "flow", "status"]
FAMILIES = {
    "cbor_node": ("cbor", {}),
    "csv_semicolon": ("csv", {"separator": ";", "columns": COLUMNS}),
    "influx_line": ("influx", {}),
    "protobuf_plain": ("protobuf", {"schema": "payload.proto"}),
    "senml": ("senml", {}),
    "shelly_gen1": ("text", {}),
    "sparkplug_b_node": ("sparkplug", {}),
    "zigbee2mqtt": ("json-or-text", {}),
}


def outcomes_of(folder, family):
    """What becomes of each sample of a family, by its id, in their order."""
    name, options = FAMILIES[family]
    entry = ENTRIES[family]
    (folder / "payload.proto").write_text(entry.get("proto", ""))
    context = {"folder": folder}
    built = formats.options_of(name).model_validate(options, context=context)
    decode = formats.compile(name, built, None).decode
    outcomes = {}
    for sample in entry["samples"]:
        arrival = Arrival(sample["topic"], received_us(sample))
        try:
            outcomes[sample["id"]] = decode(payload_of(sample), arrival)
        except DecodeError as error:
            outcomes[sample["id"]] = error
    return outcomes


@pytest.mark.parametrize("family", FAMILIES)
def test_what_can_not_be_read_is_what_the_family_says(tmp_path, family):
    outcomes = outcomes_of(tmp_path, family)
    for sample in ENTRIES[family]["samples"]:
        outcome = outcomes[sample["id"]]
        letters = expected_letters(sample)
        wanted = any(one["scope"] == "message" and one["kind"] == "undecodable" for one in letters)
        assert isinstance(outcome, DecodeError) == wanted, sample["id"]
        records = outcome if isinstance(outcome, Records) else []
        bad = {place: one.kind for place, one in enumerate(records) if isinstance(one, Bad)}
        assert bad == {
            one["at"]: one["kind"]
            for one in letters
            if one["kind"] in ("undecodable", "unknown_alias") and one["scope"] == "row"
        }, sample["id"]


@pytest.mark.parametrize(
    ("family", "sample", "place", "values"),
    [
        ("csv_semicolon", "missing_quoted_extra", 0,
         {"temperature": "---", "pressure": None, "status": "Tank; leer"}),
        ("csv_semicolon", "missing_quoted_extra", 1, {"temperature": "18"}),
        ("influx_line", "three_points", 0,
         {"tags": {"station": "roof east", "zone": "a"}, "time": 1_741_000_000_123_456_789}),
        ("influx_line", "no_timestamp_and_comment", 0,
         {"measurement": "uptime", "tags": {}, "fields": {"seconds": 86_400}, "time": None}),
        ("senml", "base_name_time", 2, {"time": Decimal("1750000001.5"), "unit": "%RH", "v": 61.0}),
        ("senml", "base_name_time", 5, {"vd": b"\xde\xad\xbe\xef"}),
        ("senml", "relative_and_rebase", 1,
         {"name": "pump/temp", "time": 1_750_000_140, "v": Decimal("21.5")}),
        ("senml", "no_name", 0, {"name": None, "v": 1}),
        ("cbor_node", "full", None,
         {"time": datetime(2025, 3, 3, 11, 6, 40, 250_000, UTC), "count": 2**53 + 1,
          "raw": b"\x01\x02\xff", "flags": [1, 0, 3], "temp": 21.5}),
        ("cbor_node", "undefined_and_text_time", None,
         {"time": datetime(2025, 3, 3, 11, 6, 41, 500_000, UTC), "temp": None, "gps": None}),
        ("protobuf_plain", "full", None,
         {"device_id": "pump-1", "ts": 1_741_000_000_250_000, "state": -3, "alarm": True,
          "signature": b"\xde\xad", "samples": [1.5, -2.0],
          "site": {"name": "north", "floor": -1}}),
        ("protobuf_plain", "unknown_field_packed", None, {"state": 0, "samples": [0.5, 0.25]}),
        ("sparkplug_b_node", "birth", 4,
         {"metric": "Line/Total", "value": -9_000_000_000, "time": 1_741_000_000_000}),
        ("sparkplug_b_node", "data_by_alias", 1,
         {"metric": "Line/Offset", "datatype": "Int32", "number": -26, "historical": False}),
        ("sparkplug_b_node", "one_unknown_alias", 2,
         {"metric": "Line/Temp", "number": 21.5, "historical": True, "time": 1_741_000_001_500}),
        ("sparkplug_b_node", "data_after_rebirth", 0, {"metric": "Line/Mode", "text": "42"}),
        ("zigbee2mqtt", "availability_json", None, {"state": "online"}),
    ],
)  # fmt: skip
def test_a_sample_has_the_values_that_were_sent(tmp_path, family, sample, place, values):
    outcome = outcomes_of(tmp_path, family)[sample]
    record = outcome if place is None else outcome[place]
    assert {name: record[name] for name in values} == values


def test_a_bare_word_is_a_text(tmp_path):
    assert outcomes_of(tmp_path, "zigbee2mqtt")["availability_word"] == "offline"
    assert outcomes_of(tmp_path, "shelly_gen1")["probe_gone"] == "999.0"


def test_an_entry_of_senml_with_base_values_alone_gives_nothing(tmp_path):
    assert outcomes_of(tmp_path, "senml")["relative_and_rebase"][0] is None
