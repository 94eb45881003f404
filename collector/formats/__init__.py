"""The payload formats: one file each, found by its name in the configuration.

A format is a module with `compile(options)`, which gives `decode(payload)`. What decodes is plain
values (dict, list, str, bytes, int, float, Decimal, bool, None); what does not raises
`collector.model.DecodeError` and nothing else, whatever the bytes. A format knows nothing of
topics, stations and tables. A hyphen in a name is an underscore in the file's.
"""

import pkgutil
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import cast

Decode = Callable[[bytes], object]
Compile = Callable[[Mapping[str, object]], Decode]


def names() -> tuple[str, ...]:
    """The formats there are."""
    return tuple(sorted(one.name.replace("_", "-") for one in pkgutil.iter_modules(__path__)))


def load(name: str) -> Compile:
    """The `compile` of a format; raises ValueError with the known names when there is none."""
    known = names()
    if name not in known:
        raise ValueError(f"there is no format {name!r}; known are {', '.join(known)}")
    module = import_module(f"{__name__}.{name.replace('-', '_')}")
    return cast("Compile", module.compile)
