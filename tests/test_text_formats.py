"""The formats of text: what each reads, what it refuses, and every option."""

from decimal import Decimal

import pytest

from collector import formats
from collector.formats import Bad, Records
from collector.model import Arrival, DecodeError

NOW_US = 1_750_000_200_000_000


def decode(name, payload, **options):
    decoder = formats.compile(name, formats.options_of(name)(**options), None)
    raw = payload if isinstance(payload, bytes) else payload.encode()
    return decoder.decode(raw, Arrival("a/b", NOW_US))


def kinds(records):
    """The records with the kind of each bad one in its place."""
    return [one.kind if isinstance(one, Bad) else one for one in records]


BAD = "undecodable"

# --- text, json-or-text


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b"on", "on"),
        (b" \t\r\n21.5 \r\n", "21.5"),
        (b"a b\nc", "a b\nc"),
        (b" \n", ""),
        (b"a\0", "a\0"),
        (b"\xef\xbb\xbfon", "\ufeffon"),
        (b"\xc2\xa0on\xc2\xa0", "\xa0on\xa0"),
    ],
)
def test_a_text_is_the_payload_without_blanks_and_line_ends_around_it(payload, text):
    assert decode("text", payload) == text


@pytest.mark.parametrize("payload", [b"\xff", b"\xed\xa0\x80", b"\xc0\xaf", "é".encode("latin-1")])
def test_a_text_that_is_not_utf_8_is_refused(payload):
    for name in ("text", "json-or-text", "csv", "kv", "influx", "senml"):
        with pytest.raises(DecodeError, match="not UTF-8"):
            decode(name, payload)


@pytest.mark.parametrize(
    ("payload", "value"),
    [
        ('{"state":"on"}', {"state": "on"}),
        (" [1]\n", [1]),
        ('"on"', "on"),
        ("21.5", 21.5),
        ("true", True),
        ("null", None),
        ("offline\n", "offline"),
        ("nothing", "nothing"),
        ("NaN", "NaN"),
        ("-", "-"),
        ("21,5", "21,5"),
        ('"cut', '"cut'),
        ("", ""),
    ],
)
def test_json_is_read_and_anything_else_is_a_text(payload, value):
    assert decode("json-or-text", payload) == value


@pytest.mark.parametrize(
    "payload", ['{"state":', "[1", " {on}", '{"a":NaN}', "[" * 101 + "]" * 101]
)
def test_an_object_that_was_cut_off_is_no_word(payload):
    with pytest.raises(DecodeError, match="JSON"):
        decode("json-or-text", payload)


# --- csv

LINES = "K1;21,5;x\r\n\"K;2\";;\n\n  \n'K3'"


def test_without_names_a_record_of_csv_is_the_list_of_its_fields():
    assert decode("csv", "a, b ,\n") == Records([["a", " b ", None]])
    assert decode("csv", 'a,"b ""c""\nd"\n""\n') == [["a", 'b "c"\nd'], [None]]


def test_columns_name_the_fields_of_csv_and_what_is_left_over_is_ignored():
    assert decode("csv", LINES, separator=";", columns=["id", "temp"]) == [
        {"id": "K1", "temp": "21,5"},
        {"id": "K;2", "temp": None},
        {"id": "'K3'"},
    ]


def test_the_header_of_csv_names_the_fields_and_is_no_record():
    assert decode("csv", "\ufeffid, temp ,\nK1,21.5,x,y\n", header=True) == [
        {"id": "K1", "temp": "21.5"}
    ]
    assert decode("csv", "id,temp\n", header=True) == []
    assert decode("csv", "", header=True) == []


@pytest.mark.parametrize("payload", ["id,id\n1,2", 'id,"x\n1,2', "i\0d\n1"])
def test_a_header_of_csv_that_can_not_be_read_refuses_the_payload(payload):
    with pytest.raises(DecodeError, match="header"):
        decode("csv", payload, header=True)


def test_another_quote_or_none_may_stand_around_the_fields_of_csv():
    assert decode("csv", "'a,b',\"c\n", quote="'") == [["a,b", '"c']]
    assert decode("csv", '"a,b"\n', quote="") == [['"a', 'b"']]


@pytest.mark.parametrize(
    ("payload", "records"),
    [
        ('a,b\nc,"d\ne,f\n', [["a", "b"], BAD, ["e", "f"]]),
        ('a,"b"c\nd,e\n', [BAD, ["d", "e"]]),
        ("a,b\0\nc,d\n", [BAD, ["c", "d"]]),
        ('"a\nb\0"\nc\n', [BAD, ["c"]]),
        ("x" * 131_073 + "\nc", [BAD, ["c"]]),
        ('a\n\n"\n\n"b\n', [["a"], BAD, BAD]),
        ("a\rb\r\rc", [["a"], ["b"], ["c"]]),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_bad_line_of_csv_costs_only_itself(payload, records):
    assert kinds(decode("csv", payload)) == records


def test_csv_whose_quotes_never_end_is_refused_before_it_takes_long():
    with pytest.raises(DecodeError, match="quote that is not closed"):
        decode("csv", 'b";"\n' * 50_000, separator=";")
    assert kinds(decode("csv", 'b";"\n' * 100, separator=";")) == [BAD] * 100


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"separator": ";;"}, "at most 1 character"),
        ({"separator": ""}, "at least 1 character"),
        ({"separator": "\n"}, "line end"),
        ({"quote": "''"}, "at most 1 character"),
        ({"quote": ","}, "same character"),
        ({"columns": []}, "at least 1"),
        ({"columns": ["a", "a"]}, "twice"),
        ({"columns": [""]}, "needs a name"),
        ({"columns": ["a"], "header": True}, "not both"),
    ],
)
def test_options_of_csv_that_mean_nothing_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        formats.options_of("csv")(**options)


# --- kv


@pytest.mark.parametrize(
    ("payload", "options", "records"),
    [
        ('temp=21.5 hum=40 name="a b"', {}, [{"temp": "21.5", "hum": "40", "name": "a b"}]),
        ("a=1,b=2;c=3&d=4\te=5", {}, [dict(zip("abcde", "12345", strict=True))]),
        (" ,a=1 ,, b=2; \n\nc=3\r\n", {}, [{"a": "1", "b": "2"}, {"c": "3"}]),
        ('a= b="" c=x', {}, [{"a": None, "b": None, "c": "x"}]),
        ("url=x?y=z", {}, [{"url": "x?y=z"}]),
        (r'a="say \"x\" \\ \n"', {}, [{"a": 'say "x" \\ n'}]),
        ('size=3"', {}, [{"size": '3"'}]),
        (
            "room temp: 21.5 , hum: 4 0",
            {"separator": ",", "equals": ":"},
            [{"room temp": "21.5", "hum": "4 0"}],
        ),
        ('a = "x , y" , b = 1', {"separator": ","}, [{"a": "x , y", "b": "1"}]),
        ("a=1|b=2", {"separator": "|"}, [{"a": "1", "b": "2"}]),
        ("a=1]b=^", {"separator": "]"}, [{"a": "1", "b": "^"}]),
        ("a^1", {"equals": "^"}, [{"a": "1"}]),
        ("\ufeffa=1", {}, [{"a": "1"}]),
        ("", {}, []),
    ],
)
def test_pairs_of_names_and_values_are_read(payload, options, records):
    assert decode("kv", payload, **options) == records


@pytest.mark.parametrize(
    "line", ["a", "a=1 b", "=1", "a=1 =2", 'a="x', 'a="x"y', 'a="x\\"', "a=1 a=2", ",;", "a =1"]
)
def test_a_bad_line_of_pairs_costs_only_itself(line):
    assert kinds(decode("kv", f"x=1\n{line}\ny=2")) == [{"x": "1"}, BAD, {"y": "2"}]


@pytest.mark.parametrize(
    "options",
    [{"separator": ",,"}, {"equals": ""}, {"equals": " "}, {"separator": "="}, {"separator": '"'}],
)
def test_options_of_pairs_that_mean_nothing_are_refused(options):
    with pytest.raises(ValueError, match=r"character|equals|separator"):
        formats.options_of("kv")(**options)


# --- influx


def point(measurement, fields, tags=None, time=None):
    return {"measurement": measurement, "tags": tags or {}, "fields": fields, "time": time}


@pytest.mark.parametrize(
    ("line", "record"),
    [
        ("m f=1", point("m", {"f": 1.0})),
        (
            "m,a=x,b=y f=1.5,g=-2.5e3,h=.5,i=3. -17",
            point("m", {"f": 1.5, "g": -2500.0, "h": 0.5, "i": 3.0}, {"a": "x", "b": "y"}, -17),
        ),
        (
            "m f=9223372036854775807i,g=-9223372036854775808i,h=18446744073709551615u",
            point("m", {"f": 2**63 - 1, "g": -(2**63), "h": 2**64 - 1}),
        ),
        ("m f=1741000000.999999999", point("m", {"f": Decimal("1741000000.999999999")})),
        (
            "m a=t,b=T,c=true,d=True,e=TRUE",
            point("m", dict.fromkeys("abcde", True)),
        ),
        (
            "m a=f,b=F,c=false,d=False,e=FALSE",
            point("m", dict.fromkeys("abcde", False)),
        ),
        (r'm f="a \"b\" \\ \x, = c"', point("m", {"f": 'a "b" \\ \\x, = c'})),
        ('m f="a\nb",g=""', point("m", {"f": "a\nb", "g": ""})),
        (r"a\ b\,c\=d f=1", point(r"a b,c\=d", {"f": 1.0})),
        (r"m,a\ \,\=b=x\ \,\=y f\ \,\=g=1", point("m", {"f ,=g": 1.0}, {"a ,=b": "x ,=y"})),
        (r"m,a=C:\dir f=1", point("m", {"f": 1.0}, {"a": r"C:\dir"})),
        (r"m,a=x\\\,y f=1", point("m", {"f": 1.0}, {"a": r"x\\,y"})),
        ('m"q" "f"=1', point('m"q"', {'"f"': 1.0})),
        ("  m  f=1  5  ", point("m", {"f": 1.0}, time=5)),
        ("größe,ort=köln f=1", point("größe", {"f": 1.0}, {"ort": "köln"})),
    ],
)
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_line_of_the_protocol_is_read(line, record, end):
    assert decode("influx", line + end) == [record]


def test_comments_and_blank_lines_are_no_points():
    payload = "# a\n\n  \r\nm f=1\n  # b\nm f=2 7\n#c"
    assert decode("influx", payload) == [point("m", {"f": 1.0}), point("m", {"f": 2.0}, time=7)]


@pytest.mark.parametrize(
    "line",
    [
        "m",
        "m,a=x",
        "m 17",
        "m,a=x 17",
        "m f",
        "m f=",
        "m f=x",
        "m f=1,",
        "m f=1,,g=2",
        "m f=1x",
        "m f=nan",
        "m f=1.5i",
        "m f=-1u",
        "m f=9223372036854775808i",
        "m f=18446744073709551616u",
        'm f="x"y',
        "m f=1 x",
        "m f=1 17 18",
        "m f=1 1.5",
        "m f=1 9223372036854775808",
        "m,a f=1",
        "m,a= f=1",
        "m,=x f=1",
        "m,a=x,a=y f=1",
        "m f=1,f=2",
        ",a=x f=1",
        "m  ",
        "m\\ f=1",
    ],
)
def test_a_bad_line_of_the_protocol_costs_only_itself(line):
    good = point("a", {"b": 1.0})
    assert kinds(decode("influx", f"a b=1\n{line}\na b=1")) == [good, BAD, good]


def test_a_text_that_is_not_closed_costs_its_line_alone():
    assert kinds(decode("influx", 'm f="a\na b=1\na b=1')) == [BAD, *[point("a", {"b": 1.0})] * 2]
    assert kinds(decode("influx", 'm f="a\nb"x\na b=1')) == [BAD, BAD, point("a", {"b": 1.0})]


# --- senml


def record(**values):
    names = ("name", "time", "unit", "v", "vs", "vb", "vd", "s")
    return dict.fromkeys(names) | {"time": NOW_US // 10**6} | values


@pytest.mark.parametrize(
    ("pack", "records"),
    [
        ('[{"n":"a","v":1}]', [record(name="a", v=1)]),
        (
            '[{"bn":"x/","bt":1.75e9,"bu":"Cel","bv":0.2,"bs":5},{"n":"a","v":23.1,"s":1,"t":-0.5}]',
            [
                None,
                record(
                    name="x/a",
                    time=Decimal("1749999999.5"),
                    unit="Cel",
                    v=Decimal("23.3"),
                    s=6,
                ),
            ],
        ),
        ('[{"n":"a","vs":"x"},{"n":"b","vb":false}]',
         [record(name="a", vs="x"), record(name="b", vb=False)]),
        ('[{"n":"a","vd":"3q2-7w"},{"n":"b","vd":"3q2+7w=="}]',
         [record(name=one, vd=b"\xde\xad\xbe\xef") for one in "ab"]),
        ('[{"v":1}]', [record(v=1)]),
        ('[{"n":"a","s":1.5}]', [record(name="a", s=1.5)]),
        ('[{"n":"a","v":1,"t":-60.25}]', [record(name="a", v=1, time=Decimal("1750000139.75"))]),
        ('[{"n":"a","v":1,"t":268435455}]', [record(name="a", v=1, time=2018435655)]),
        ('[{"n":"a","v":1,"t":268435456}]', [record(name="a", v=1, time=268435456)]),
        ('[{"n":"a","v":1,"bu":"V"},{"n":"b","u":"A","v":2}]',
         [record(name="a", v=1, unit="V"), record(name="b", v=2, unit="A")]),
        ('[{"bver":10,"n":"a","v":9007199254740993,"x":1,"ut":5}]',
         [record(name="a", v=2**53 + 1)]),
        ('[{"bn":"p/","bv":20},{"bn":"f/","bv":0,"n":"r","v":1}]', [None, record(name="f/r", v=1)]),
        ("[]", []),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_a_pack_is_resolved(pack, records):
    assert decode("senml", pack) == records


@pytest.mark.parametrize(
    "entry",
    [
        "5",
        "[]",
        "{}",
        '{"n":"a"}',
        '{"n":"a","v":"1"}',
        '{"n":"a","v":true}',
        '{"n":"a","v":null}',
        '{"n":5,"v":1}',
        '{"n":"a","vb":1}',
        '{"n":"a","v":1,"vs":"x"}',
        '{"n":"a","v":1,"x_":1}',
        '{"n":"a","vd":"x"}',
        '{"n":"a","vd":"é"}',
        '{"n":"a","bv":1e200,"v":1}',
        '{"n":"a","bv":1e999999,"v":1e-300}',
        '{"n":"a","v":1,"t":1e99999999999999999999999}',
    ],
)
def test_a_bad_entry_costs_only_itself(entry):
    found = decode("senml", f'[{{"bu":"V"}},{entry},{{"n":"b","vs":"x"}}]')
    assert kinds(found) == [None, BAD, record(name="b", vs="x", unit="V")]


@pytest.mark.parametrize(
    "pack",
    [
        "{}",
        "5",
        "[",
        '[{"bn":5},{"n":"a","v":1}]',
        '[{"bt":"x"}]',
        '[{"bt":true}]',
        '[{"bx_":1}]',
        '[{"bver":11}]',
        '[{"bver":"10"}]',
        '[{"n":"a","v":NaN}]',
    ],
)
def test_a_pack_whose_base_can_not_be_used_is_refused(pack):
    with pytest.raises(DecodeError):
        decode("senml", pack)
