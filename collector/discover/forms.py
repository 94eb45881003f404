"""What a payload is, by its structure alone: which format reads it, with which options.

A format is recognised when it reads nearly all payloads of a topic; the few that it does not read
are named at the end, as any message that gives no row. Protobuf can't be known: its bytes mean
nothing without their .proto.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from collector import formats
from collector.discover import lines
from collector.discover.looks import is_strong_id
from collector.formats import Records
from collector.formats import json as json_format
from collector.model import Arrival, DecodeError

LOOKED_AT: Final = 50
"""So many payloads of a topic say what its format is."""
ENOUGH: Final = 0.9
"""The part of payloads that a format must read to be the format."""

_SPARKPLUG: Final = "spBv1.0/"
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SENML: Final = frozenset(
    "bn bt bu bv bs bver n u v vs vb vd s t ut".split()  # noqa: SIM905 - The RFC's labels.
)
_SENML_VALUES: Final = frozenset({"v", "vs", "vb", "vd", "s"})
_UNKNOWN: Final = (
    "bytes that are neither text, CBOR nor MessagePack: if they are protobuf, give the station"
    " `format: protobuf` and the .proto, which can't be guessed"
)


@dataclass(frozen=True, slots=True)
class Form:
    """A format with its options, and the keys by which payloads are alike.

    `format` is empty when nothing was recognised; `words` say why, or what the payloads are: `good`
    of the `whole` that were looked at.
    """

    format: str
    words: str
    good: int = 0
    whole: int = 0
    keys: frozenset[str] = frozenset({"."})
    options: tuple[tuple[str, Any], ...] = ()

    @property
    def evidence(self) -> str:
        """What speaks for it."""
        return f"{self.good:,} of {self.whole:,} {self.words}" if self.whole else self.words

    def joined(self, other: "Form") -> "Form":
        """The form of the topics of both."""
        return replace(
            self,
            good=self.good + other.good,
            whole=self.whole + other.whole,
            keys=self.keys | other.keys,
        )

    @property
    def kind(self) -> tuple[Any, ...]:
        """What two topics of one station must have in common."""
        return self.format, self.options

    def decode(self) -> Callable[[bytes, Arrival], object]:
        """The function that reads a payload."""
        options = formats.options_of(self.format).model_validate(dict(self.options))
        return formats.compile(self.format, options, None).decode  # type: ignore[arg-type]


def recognise(topic: str, payloads: Sequence[bytes]) -> Form:
    """Say what the payloads of a topic are."""
    if topic.startswith(_SPARKPLUG):
        return Form("sparkplug", "the topic is one of Sparkplug B")
    looked = payloads[:LOOKED_AT]
    texts = [text for payload in looked if (text := _text(payload)) is not None]
    if not texts or len(texts) < ENOUGH * len(looked):
        return _binary(looked)
    return _json(texts) or _lines(texts) or _bare(texts)


def keys_of(values: Iterable[Any]) -> frozenset[str]:
    """The keys of objects, two levels deep; keys that are ids are all the same."""
    return frozenset(key for value in values for key in _keys(value))


def _keys(value: Any, depth: int = 2) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            name = "*" if is_strong_id(key) else key
            if isinstance(inner, dict) and inner and depth > 1:
                yield from (f"{name}/{one}" for one in _keys(inner, depth - 1))
            else:
                yield name
    elif isinstance(value, list):
        # Whatever the length of the list: its objects are what the message is about.
        yield from {f"[]{key}" for one in value[:10] for key in _keys(one, 1)} or {"[]"}
    else:
        yield "."


def _text(payload: bytes) -> str | None:
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return None
    return None if _CONTROL.search(text) else text


def _binary(payloads: Sequence[bytes]) -> Form:
    for name, words in (("cbor", "CBOR"), ("msgpack", "MessagePack")):
        decode = Form(name, "").decode()
        values = [
            value
            for payload in payloads
            if isinstance(value := _decoded(decode, payload), dict | list)
        ]
        if values and len(values) >= ENOUGH * len(payloads):
            said = f"payloads are {words}"
            return Form(name, said, len(values), len(payloads), keys_of(values))
    return Form("", _UNKNOWN)


def _decoded(decode: Callable[[bytes, Arrival], object], payload: bytes) -> object:
    try:
        return decode(payload, Arrival("", 0))
    except DecodeError:
        return None


def _json(texts: Sequence[str]) -> Form | None:
    """JSON objects or lists, perhaps with bare words among them."""
    values: list[Any] = []
    bare = 0
    for text in texts:
        try:
            value = json_format.decode(text.encode())
        except DecodeError:
            bare += not text.lstrip().startswith(("{", "["))
            continue
        if isinstance(value, dict | list):
            values.append(value)
        else:
            bare += 1
    whole = len(texts)
    if len(values) * 2 < whole or not values:
        return None
    if all(map(_is_senml, values)):
        return Form("senml", "payloads are SenML packs", len(values), whole)
    if bare:
        said = "payloads are JSON, others bare words"
        return Form("json-or-text", said, len(values), whole, keys_of(values))
    return Form("json", "payloads are JSON", len(values), whole, keys_of(values))


def _is_senml(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(one, dict) and one.keys() <= _SENML for one in value)
        and any(one.keys() & {"n", "bn"} for one in value)
        and any(one.keys() & _SENML_VALUES for one in value)
    )


def _lines(texts: Sequence[str]) -> Form | None:
    """The formats with a record per line, the most particular first."""
    for options in (None, *lines.pair_options()):
        name = "influx" if options is None else "kv"
        form = Form(name, "", options=tuple((options or {}).items()))
        decode = form.decode()
        read = [_decoded(decode, text.encode()) for text in texts]
        good = [one for one in read if isinstance(one, Records) and _is_good(one, options)]
        if good and len(good) >= ENOUGH * len(texts):
            words = "line protocol" if options is None else "pairs of names and values"
            keys = frozenset({"."}) if options is None else keys_of(one for r in good for one in r)
            said = f"payloads are {words}"
            return replace(form, words=said, good=len(good), whole=len(texts), keys=keys)
    if table := lines.separated(texts, ENOUGH):
        said = f"lines have {table.width} fields between {table.separator!r}"
        keys = frozenset({f"{table.separator}{table.width}"})
        given = tuple(table.options().items())
        return Form("csv", said, table.good, table.lines, keys, given)
    return None


def _is_good(records: Records, options: dict[str, Any] | None) -> bool:
    """Whether all records are what their format promises; one pair alone needs the usual =."""
    if options is None:
        return lines.is_influx(records)
    return lines.is_pairs(records, least=2 if options else 1)


def _bare(texts: Sequence[str]) -> Form:
    quoted = sum(text.strip().startswith('"') for text in texts)
    if quoted == len(texts) and all(_is_json(text) for text in texts):
        return Form("json", "payloads are JSON texts in quotes", quoted, quoted)
    return Form("text", "payloads are one bare value", len(texts), len(texts))


def _is_json(text: str) -> bool:
    try:
        json_format.decode(text.encode())
    except DecodeError:
        return False
    return True
