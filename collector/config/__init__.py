"""`stations.yaml` as frozen models: `load` checks and completes it, or says all that is wrong.

Nothing else in the program reads a configuration file, the environment or a secret. Whether a topic
filter, a format or a mapping is right is judged by those who use them, with `Station.line`.
"""

from collector.config.loading import load
from collector.config.models import Config, Mqtt, SpoolLimits, Station, Zerobus
from collector.config.quantities import (
    format_duration,
    format_size,
    parse_duration,
    parse_size,
)

__all__ = [
    "Config",
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
