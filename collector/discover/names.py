"""Names that all sides take: of columns, captures, stations and tables."""

import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from collector.discover.looks import is_strong_id
from collector.mapping.known import NAMES

COLUMN_MAX: Final = 60
_STATION_MAX: Final = 40
_NOUNS: Final = frozenset(
    """
    device node sensor room site line plant machine meter channel station gateway zone floor
    building area host cell unit pump motor robot camera door vehicle truck bus tank well field
    barn house home farm tenant customer group module slot port location region city street cabinet
    rack inverter battery charger panel valve fan heater boiler lamp light switch plug tag beacon
    """.split()  # noqa: SIM905 - Easier to read so.
)
_ROOMS: Final = frozenset(
    """
    kitchen bath bathroom bedroom living livingroom living_room hall hallway office cellar basement
    attic garage garden outside roof kueche bad flur keller wohnzimmer schlafzimmer buero garten
    """.split()  # noqa: SIM905 - The same.
)
_MEASURES: Final = frozenset(
    """
    temperature temp humidity hum pressure co2 voltage volt current power energy level flow speed
    battery rssi snr light lux illuminance noise state status switch relay brightness frequency
    rpm ph salinity tvoc voc pm25 pm10 motion occupancy contact door window alarm fill weight
    """.split()  # noqa: SIM905 - The same.
)
_SHORT: Final = {"dev": "device", "gw": "gateway", "sens": "sensor", "loc": "location"}
_LETTERS: Final = str.maketrans(
    {
        "ß": "ss",
        "ø": "o",
        "Ø": "O",
        "æ": "ae",
        "œ": "oe",
        "ł": "l",
        "đ": "d",
        "°": "deg",
        "%": "pct",
    }
)
_MEANT_ELSE: Final = NAMES


def plain(text: str, fallback: str, longest: int = COLUMN_MAX) -> str:
    """A name of lower-case ASCII letters, digits and underscores that begins with a letter.

    >>> plain("batteryLevel", "x"), plain("ENERGY.Total", "x"), plain("1-0:1.8.0", "field")
    ('battery_level', 'energy_total', 'field_1_0_1_8_0')
    >>> plain("Größe", "x"), plain("温度", "field"), plain("PM2.5", "x")
    ('grosse', 'field', 'pm2_5')
    """
    decomposed = unicodedata.normalize("NFKD", text.translate(_LETTERS))
    letters = decomposed.encode("ascii", "ignore").decode()
    # Not within kWh, mV or pH.
    parted = re.sub(r"(?<=[a-z0-9]{2})(?=[A-Z])", "_", letters)
    name = re.sub(r"[^a-z0-9]+", "_", parted.lower()).strip("_")[:longest].strip("_")
    if not name:
        return fallback
    return name if name[0].isalpha() else f"{fallback}_{name}"[:longest].rstrip("_")


def unique(name: str, taken: Collection[str], longest: int = COLUMN_MAX) -> str:
    """The name, with a number behind it where it is taken."""
    found, number = name, 2
    while found in taken:
        tail = f"_{number}"
        found, number = name[: longest - len(tail)] + tail, number + 1
    return found


def capture_name(
    values: Sequence[str],
    before: str,
    taken: Collection[str],
    *,
    in_pairs: bool = False,
    names_value: bool = False,
    is_alone: bool = False,
) -> str:
    """What a level of a topic is called, by its values and by the word before it.

    `in_pairs`: each capture has its own word before it. `names_value`: it is the last level, and a
    message is one value. `is_alone`: it is the only capture.

    >>> capture_name(["line1", "line2"], "plant", [])
    'line'
    >>> capture_name(["a81758ff"], "devices", []), capture_name(["71"], "app", [], in_pairs=True)
    ('device', 'app')
    >>> capture_name(["kitchen", "attic"], "home", []), capture_name(["power1", "vrms"], "", [])
    ('room', 'measure')
    """
    name = _common_word(values) or _of_meaning(values) or _of_neighbour(before)
    if not name and in_pairs:
        name = plain(before, "")
    if not name and names_value and not any(map(is_strong_id, values)):
        name = "property"
    if not name:
        name = "device" if is_alone or taken or _has_digits(values) else "site"
    if name in _MEANT_ELSE:
        name = f"{name}_id"
    return unique(name, taken)


def station_name(literals: Iterable[str], taken: Collection[str]) -> str:
    """What a station is called: by the words of its filter."""
    words = [plain(word, "", _STATION_MAX) for word in literals]
    name = "_".join(word for word in words if word)[:_STATION_MAX].strip("_")
    name = plain(name, "station", _STATION_MAX)
    return unique(name, taken, _STATION_MAX)


def _common_word(values: Sequence[str]) -> str:
    """The word that all values begin with, before their numbers: line of line1 and line2."""
    words = {match[1].lower() for value in values if (match := _WORD.match(value))}
    if len(words) != 1 or not all(map(_WORD.match, values)):
        return ""
    (word,) = words
    return plain(_SHORT.get(word, word), "")


def _of_neighbour(before: str) -> str:
    word = plain(before, "")
    for one in (word, word.removesuffix("s"), word.removesuffix("es")):
        if one in _NOUNS or _SHORT.get(one):
            return _SHORT.get(one, one)
    return ""


def _of_meaning(values: Sequence[str]) -> str:
    for words, name in ((_ROOMS, "room"), (_MEASURES, "measure")):
        known = sum(plain(value, "").rstrip("_0123456789") in words for value in values)
        if known * 2 >= len(values):
            return name
    return ""


def _has_digits(values: Sequence[str]) -> bool:
    return any(character.isdigit() for value in values for character in value)


_WORD: Final = re.compile(r"([A-Za-z]{2,20})[-_ .]?[0-9]+$")
