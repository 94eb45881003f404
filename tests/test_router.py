"""Which stations a copy of a message is offered to, against a naive reading of the standard."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.router import (
    CACHE_MAX,
    CACHED_TOPIC_MAX,
    IDENTIFIER_MAX,
    OVERLAPS_MAX,
    Router,
    parse_filter,
)

# Few level names, so that filters and topics meet often.
LEVELS = st.sampled_from(["a", "b", "c", "", "$x"])
TOPICS = st.lists(LEVELS, min_size=1, max_size=5).map("/".join).filter(bool)


@st.composite
def filters(draw):
    levels = draw(
        st.lists(st.sampled_from(["a", "b", "c", "", "+", "+", "$x"]), min_size=1, max_size=4)
    )
    if draw(st.integers(0, 3)) == 0:
        levels.append("#")
    return "/".join(levels) or "+"


def fits(wire: str, topic: str) -> bool:
    """Section 4.7 of the standard, word by word."""
    if topic.startswith("$") and wire[0] in "+#":
        return False
    names, levels = wire.split("/"), topic.split("/")
    while names and levels:
        if names[0] == "#":
            return True
        if names[0] not in ("+", levels[0]):
            return False
        names, levels = names[1:], levels[1:]
    return not levels and names in ([], ["#"])


def stations_of(router: Router, topic: str, *identifiers: int) -> list[int]:
    return [offer.station for offer in router.resolve(topic.encode(), identifiers).offers]


def identifier(router: Router, wire: str) -> int:
    return next(one.identifier for one in router.filters if one.wire == wire)


@given(st.lists(st.lists(filters(), min_size=1, max_size=3), max_size=8), TOPICS)
def test_a_topic_reaches_exactly_the_stations_with_a_filter_that_it_fits(stations, topic):
    router = Router([(str(number), texts) for number, texts in enumerate(stations)])
    expected = [
        number for number, texts in enumerate(stations) if any(fits(text, topic) for text in texts)
    ]
    assert stations_of(router, topic) == expected


@given(st.lists(st.lists(filters(), min_size=1, max_size=3), min_size=1, max_size=5), TOPICS)
def test_each_copy_reaches_every_station_and_says_how_many_there_are(stations, topic):
    router = Router([(str(number), texts) for number, texts in enumerate(stations)])
    fitting = [one for one in router.filters if fits(one.wire, topic)]
    for one in fitting:
        resolution = router.resolve(topic.encode(), (one.identifier,))
        assert [offer.station for offer in resolution.offers] == stations_of(router, topic)
        assert resolution.copies == len(fitting)


@given(st.lists(st.lists(filters(), min_size=1, max_size=3), min_size=1, max_size=5), TOPICS)
def test_one_copy_with_all_identifiers_gives_each_station_the_message_once(stations, topic):
    router = Router([(str(number), texts) for number, texts in enumerate(stations)])
    all_of_them = [one.identifier for one in router.filters if fits(one.wire, topic)]
    assert stations_of(router, topic, *all_of_them) == stations_of(router, topic)


@given(st.lists(filters(), min_size=1, max_size=8), TOPICS)
def test_what_is_left_unsubscribed_is_covered_for_every_topic(texts, topic):
    router = Router([("s", texts)])
    uncovered = router.uncovered()
    if any(fits(text, topic) for text in texts):
        assert any(fits(one.wire, topic) for one in uncovered)


@given(st.lists(filters(), min_size=1, max_size=6), TOPICS)
def test_filters_that_overlap_are_named(texts, topic):
    router = Router([("s", texts)])
    hit = [one.text for one in router.uncovered() if fits(one.wire, topic)]
    if len(hit) > 1:
        pairs = {frozenset(pair) for pair in router.overlapping()}
        assert frozenset(hit[:2]) in pairs


@given(st.lists(filters(), min_size=2, max_size=5, unique=True))
def test_filters_are_only_named_as_overlapping_when_a_topic_shows_it(texts):
    router = Router([("s", texts)])
    for one, other in router.overlapping():
        assert any(fits(one, topic) and fits(other, topic) for topic in all_topics())


def all_topics():
    import itertools

    for length in range(1, 6):
        for levels in itertools.product(["a", "b", "c", "", "$x"], repeat=length):
            yield "/".join(levels)


def test_captures_are_named_levels_and_subscribed_as_plus():
    one = parse_filter("sensors/{site}/+/{device}/climate")
    assert one.wire == "sensors/+/+/+/climate"
    assert one.pattern.names == ("site", "device")
    router = Router([("s", ["sensors/{site}/+/{device}/climate"])])
    resolution = router.resolve(b"sensors/north/x/d1/climate", ())
    assert resolution.topic == "sensors/north/x/d1/climate"
    assert resolution.offers[0].captures == {"site": "north", "device": "d1"}


PATTERNS = [
    # Several levels, at the end and in the middle.
    ("shellies/{device}/{path*}", "shellies/+/#", {
        "shellies/plug/relay/0": {"device": "plug", "path": "relay/0"},
        "shellies/plug/relay": {"device": "plug", "path": "relay"},
        "shellies/plug": None,
        "shellies": None,
        "shellies/plug/": None,
    }),
    ("z/{device*}/availability", "z/#", {
        "z/a/availability": {"device": "a"},
        "z/a/b/availability": {"device": "a/b"},
        "z/availability/availability": {"device": "availability"},
        "z/availability": None,
        "z/a": None,
    }),
    ("{all*}/{a}/+/b", "#", {
        "x/y/1/2/b": {"all": "x/y", "a": "1"},
        "y/1/2/b": {"all": "y", "a": "1"},
        "1/2/b": None,
    }),
    # Parts of a level.
    ("a/{unit}@{place}/x", "a/+/x", {
        "a/u1@hall/x": {"unit": "u1", "place": "hall"},
        "a/u1@hall@2/x": {"unit": "u1", "place": "hall@2"},
        "a/u1/x": None,
        "a/@hall/x": None,
        "a/u1@/x": None,
    }),
    ("a/id:{id}", "a/+", {"a/id:7": {"id": "7"}, "a/7": None}),
    ("a/{id}.json", "a/+", {"a/7.json": {"id": "7"}, "a/7.json.json": None, "a/7": None}),
    # Some words only.
    ("s/{type=NBIRTH|NDATA}/{node}", "s/+/+", {
        "s/NDATA/e": {"type": "NDATA", "node": "e"}, "s/NCMD/e": None, "s/NDATAX/e": None,
    }),
    ("s/{kind=temp|temperature}_{id}", "s/+", {
        "s/temperature_1": {"kind": "temperature", "id": "1"},
        "s/temp_1": {"kind": "temp", "id": "1"},
        "s/tem_1": None,
    }),
    ("s/a{kind=.|[}", "s/+", {"s/a.": {"kind": "."}, "s/a[": {"kind": "["}, "s/ab": None}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "wire", "topics"), PATTERNS, ids=lambda one: str(one)[:30])
def test_a_capture_may_be_a_part_of_a_level_several_levels_or_certain_words(text, wire, topics):
    assert parse_filter(text).wire == wire
    router = Router([("one", [text])])
    for topic, captures in topics.items():
        offers = router.resolve(topic.encode(), (parse_filter(text).identifier,)).offers
        assert [offer.captures for offer in offers] == ([] if captures is None else [captures])


def test_a_station_may_except_topics_and_others_still_get_them():
    router = Router(
        [("state", ["z/{device*}"]), ("away", ["z/{device*}/availability"]), ("all", ["z/#"])],
        {"state": ["z/bridge/#", "z/{x*}/availability", "z/{x*}/{verb=set|get}"]},
    )
    taken = {
        topic: [offer.station for offer in router.resolve(topic.encode(), ()).offers]
        for topic in ("z/a", "z/a/b", "z/bridge", "z/bridge/x", "z/a/availability", "z/a/b/get")
    }
    assert taken == {
        "z/a": [0, 2],
        "z/a/b": [0, 2],
        "z/bridge": [2],
        "z/bridge/x": [2],
        "z/a/availability": [1, 2],
        "z/a/b/get": [2],
    }


def test_a_hostile_topic_is_read_in_time_that_grows_with_it():
    text = "a/" + "-".join(f"{{x{number}}}" for number in range(8)) + "/{rest*}/b/c"
    topic = "a/" + "-" * 30_000 + "/" * 30_000
    assert parse_filter(text).pattern.read(topic) is None


def test_captures_of_all_fitting_filters_are_there_whichever_copy_came():
    router = Router([("s", ["a/{x}/+", "a/+/{y}", "a/{z}/#"])])
    for one in router.filters:
        for offer in router.resolve(b"a/1/2", (one.identifier,)).offers:
            assert offer.captures == {"x": "1", "y": "2", "z": "1"}


def test_two_stations_name_the_levels_of_one_subscription_each_in_its_way():
    router = Router([("s", ["a/{x}"]), ("t", ["a/{y}"])])
    assert [one.wire for one in router.filters] == ["a/+"]
    offers = router.resolve(b"a/1", (router.filters[0].identifier,)).offers
    assert [(offer.station, offer.captures) for offer in offers] == [
        (0, {"x": "1"}),
        (1, {"y": "1"}),
    ]


def test_a_message_queued_before_a_filter_was_added_or_removed_reaches_its_station():
    gone = identifier(Router([("s", ["a/+"])]), "a/+")
    router = Router([("s", ["a/#", "a/b"]), ("t", ["b/#"])])
    for known in ("a/#", "a/b"):
        assert stations_of(router, "a/b", identifier(router, known)) == [0]
        assert stations_of(router, "a/b", gone, identifier(router, known)) == [0]
    assert stations_of(router, "a/b", gone) == [0]


def test_an_identifier_whose_filter_does_not_fit_is_no_reason_to_drop_a_message():
    router = Router([("s", ["a/#"]), ("t", ["b/#"])])
    assert stations_of(router, "a/b", identifier(router, "b/#")) == [0]


def test_without_identifiers_copies_can_not_be_told_apart():
    router = Router([("s", ["a/#", "a/+"])])
    assert router.resolve(b"a/b", ()).copies == 1


def test_a_shared_subscription_is_matched_without_its_group_and_is_no_copy_of_another():
    router = Router([("s", ["$share/g/a/+"]), ("t", ["a/#"]), ("u", ["$share/g/a/b", "a/b"])])
    assert {one.wire for one in router.uncovered()} == {"$share/g/a/+", "a/#", "$share/g/a/b"}
    for wire, stations, copies in [
        ("$share/g/a/+", [0], 1),
        ("$share/g/a/b", [2], 1),
        ("a/#", [1, 2], 2),
        ("a/b", [1, 2], 2),
    ]:
        resolution = router.resolve(b"a/b", (identifier(router, wire),))
        assert [offer.station for offer in resolution.offers] == stations
        assert resolution.copies == copies
    assert stations_of(router, "a/b") == [0, 1, 2]


def test_covered_filters_are_not_subscribed_without_identifiers():
    router = Router([("s", ["a/#", "a/+", "a/b/c", "a", "b/+", "+/x", "$SYS/#", "$SYS/+"])])
    assert [one.wire for one in router.uncovered()] == ["a/#", "b/+", "+/x", "$SYS/#"]
    assert router.overlapping() == (("a/#", "+/x"), ("b/+", "+/x"))


def test_identifiers_depend_on_the_text_alone_and_are_distinct():
    texts = [f"plant/{number}/+" for number in range(5_000)]
    one, other = Router([("s", texts)]), Router([("t", ["x/#"]), ("s", texts[::-1])])
    named = {filter_.wire: filter_.identifier for filter_ in one.filters}
    assert len(set(named.values())) == len(named)
    assert all(1 <= number <= IDENTIFIER_MAX for number in named.values())
    assert all(named.get(made.wire, made.identifier) == made.identifier for made in other.filters)


def test_two_texts_of_one_hash_get_different_identifiers():
    texts = [f"f/{number}" for number in range(60_000)]
    plain = [parse_filter(text).identifier for text in texts]
    assert len(set(plain)) < len(plain), "more filters are needed for a collision"
    made = [one.identifier for one in Router([("s", texts)]).filters]
    assert len(set(made)) == len(made)


def test_ten_thousand_filters_are_not_looked_at_one_by_one():
    stations = [(f"s{number}", [f"site/{number}/+/climate"]) for number in range(10_000)]
    router = Router(stations)
    looked_at = []

    class Counting(dict):
        def get(self, key, default=None):
            looked_at.append(key)
            return super().get(key, default)

    router._trie._root.children["site"].children = Counting(
        router._trie._root.children["site"].children
    )
    assert stations_of(router, "site/4711/d/climate") == [4711]
    assert len(looked_at) <= 2
    assert router.overlapping() == ()
    assert len(router.uncovered()) == 10_000


def test_the_cache_is_bounded_in_number_and_topic_length():
    router = Router([("s", ["#"])])
    for number in range(CACHE_MAX + 5):
        router.resolve(b"t/%d" % number, ())
    assert len(router._cache) <= CACHE_MAX
    router.resolve(b"t" * (CACHED_TOPIC_MAX + 1), ())
    assert all(len(topic) <= CACHED_TOPIC_MAX for topic, _ in router._cache)
    first = router.resolve(b"t/again", ())
    assert router.resolve(b"t/again", ()) is first


def test_a_topic_and_a_filter_of_many_levels_cost_no_stack():
    deep = "/".join("a" * 30_000)
    router = Router([("s", [deep]), ("t", ["+/" * 30_000 + "#"])])
    assert stations_of(router, deep) == [0, 1]
    assert stations_of(router, deep + "/a") == [1]


def test_the_search_for_overlaps_is_bounded():
    stations = [(str(a), [f"+/{a}/+", f"{a}/+/+", f"+/+/{a}"]) for a in range(300)]
    assert len(Router(stations).overlapping()) == OVERLAPS_MAX


def test_a_topic_that_is_not_utf8_is_the_callers_affair():
    with pytest.raises(UnicodeDecodeError):
        Router([("s", ["#"])]).resolve(b"a/\xff", ())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must not be empty"),
        ("a#", "whole levels"),
        ("a/#/b", "# must be the last level"),
        ("a/b+", "whole levels"),
        ("a+b", "whole levels"),
        ("a\0b", "NUL"),
        ("$share", "$share/GROUP/filter"),
        ("$share/g", "$share/GROUP/filter"),
        ("$share/g/", "$share/GROUP/filter"),
        ("$share//a", "$share/GROUP/filter"),
        ("$share/g+/a", "$share/GROUP/filter"),
        ("a/{Site}/b", "no capture"),
        ("a/{}/b", "no capture"),
        ("a/{1x}", "no capture"),
        ("a/x{site}y}", "no capture"),
        ("a/{site", "no capture"),
        ("a/{a}{b}", "text between"),
        ("a/" + "-".join(f"{{x{n}}}" for n in range(9)), "over 8 captures"),
        ("a/x{b*}", "whole level"),
        ("{a*}/x/{b*}", "only once"),
        ("{a*}/#", "can't stand in one filter"),
        ("a/{b=}", "needs words"),
        ("a/{b=x||y}", "needs words"),
        ("a/{b=x+}", "whole levels"),
        ("a/{B*}", "no capture"),
        ("{x}/{x*}", "captures {x} twice"),
        ("{x}/{x}", "captures {x} twice"),
        ("a/" * 40_000, "bytes long"),
        ("a/\ud800", "Unicode"),
    ],
)
def test_a_filter_that_mqtt_does_not_know_is_refused_with_its_reason(text, words):
    with pytest.raises(ValueError, match=r"(?s).") as error:
        parse_filter(text)
    assert words in str(error.value)


@pytest.mark.parametrize("text", ["/", "+", "#", "a//b", "+/+/#", "$SYS/#", "a/ /b", "ü/{x}", "/a"])
def test_unusual_filters_are_filters(text):
    assert parse_filter(text).text == text
