"""Where figures stand in a picture of the line, and by which labels they are told apart."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Figures = dict[str, Any]
"""What `collector.daemon.state` gives: the content of the status file, and more."""
Samples = Iterable[tuple[Sequence[str], Any]]
Look = Callable[[Figures], Samples]


@dataclass(frozen=True, slots=True)
class Family:
    """A figure; `samples` gives the values of its labels and the figure, or a latency."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    text: str
    samples: Look
    labels: tuple[str, ...]


def counter(name: str, text: str, samples: Look, *labels: str) -> Family:
    """A figure that only grows, but for a restart."""
    return Family(f"collector_{name}_total", "counter", text, samples, labels)


def gauge(name: str, text: str, samples: Look, *labels: str) -> Family:
    """A figure that goes up and down."""
    return Family(f"collector_{name}", "gauge", text, samples, labels)


def histogram(name: str, text: str, samples: Look, *labels: str) -> Family:
    """How long something took."""
    return Family(f"collector_{name}", "histogram", text, samples, labels)


def one(*path: str) -> Look:
    """The figure at a path: 0 when nothing was counted; none when it is None, which is unknown."""

    def samples(figures: Figures) -> Samples:
        value: Any = figures
        for key in path:
            value = value.get(key, 0)
        return [] if value is None else [((), value)]

    return samples


def each(group: str, *path: str) -> Look:
    """The same of everything in a group: of each station, table or loop."""
    look = one(*path)
    return lambda figures: [
        ((name,), value) for name, inner in figures[group].items() for _, value in look(inner)
    ]


def seconds(look: Look) -> Look:
    """Times in µs since the epoch as seconds; 0 is never."""
    return lambda figures: [(labels, value / 1e6) for labels, value in look(figures) if value]


def by_word(group: str, key: str, words: Sequence[str]) -> Look:
    """1 at the word that each has, 0 at the others."""
    return lambda figures: [
        ((name, word), int(inner.get(key, words[0]) == word))
        for name, inner in figures[group].items()
        for word in words
    ]


def by_prefix(group: str, *prefixes: str) -> Look:
    """What each counted under `PREFIX:word`, by the word; no word stands under two prefixes."""

    def samples(figures: Figures) -> Iterator[tuple[Sequence[str], Any]]:
        for name, inner in figures[group].items():
            for key, value in inner.items():
                prefix, _, word = key.partition(":")
                if word and prefix in prefixes:
                    yield (name, word), value

    return samples
