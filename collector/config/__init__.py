"""`stations.yaml` as frozen models: `load` checks and completes it, or says all that is wrong.

Nothing else in the program reads a configuration file, the environment or a secret. Whether a topic
filter, a format or a mapping is right is judged by those who use them, with `Station.line`.

The names below are imported when they are asked for: the models take longer to build than a shell
may wait for `outline.py`, or a command for `quantities.py`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collector.config.listening import Http, Metrics
    from collector.config.loading import load
    from collector.config.models import (
        HEARTBEAT,
        Config,
        DeadLetters,
        Heartbeat,
        Mqtt,
        SpoolLimits,
        Station,
        Zerobus,
    )
    from collector.config.quantities import (
        format_duration,
        format_size,
        parse_duration,
        parse_size,
    )

__all__ = [
    "HEARTBEAT",
    "Config",
    "DeadLetters",
    "Heartbeat",
    "Http",
    "Metrics",
    "Mqtt",
    "SpoolLimits",
    "Station",
    "Zerobus",
    "format_duration",
    "format_size",
    "load",
    "parse_duration",
    "parse_size",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    file = "loading" if name == "load" else "quantities" if "_" in name else "models"
    return getattr(import_module(f"{__name__}.{file}"), name)
