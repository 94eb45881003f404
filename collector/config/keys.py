"""Which keys the file may have, and in which section; and which one a typo probably means."""

import difflib
from typing import Final

from collector.config.listening import Http, Metrics
from collector.config.models import (
    Box,
    DeadLetters,
    Heartbeat,
    Mqtt,
    SpoolLimits,
    Station,
    Zerobus,
)
from collector.config.section import Section

SECTIONS: Final[dict[str, type[Section]]] = {
    "mqtt": Mqtt,
    "zerobus": Zerobus,
    "spool": SpoolLimits,
    "dead_letters": DeadLetters,
    "heartbeat": Heartbeat,
    "metrics": Metrics,
    "http": Http,
}
TOP: Final = (*Box.keys(), *SECTIONS, "stations")


def nearest(key: str, known: tuple[str, ...]) -> str:
    """The key that was probably meant, or the section that has this key."""
    if near := difflib.get_close_matches(key, known, n=1, cutoff=0.6):
        return f"did you mean {near[0]}?"
    places = {name: model.keys() for name, model in SECTIONS.items()}
    places |= {"a station": Station.keys(), "the top of the file": TOP}
    if owners := [name for name, keys in places.items() if key in keys]:
        return f"it is a key of {' and of '.join(owners)}"
    return f"known are {', '.join(known)}"
