"""The limits of a discovery; what reaches one is said at its end."""

from typing import Final

TOPICS_MAX: Final = 5_000
"""Topics that are looked at; messages of others are counted only."""
MESSAGES_MAX: Final = 50_000
PER_TOPIC_MAX: Final = 1_000
"""Messages that are kept to be looked at, of all topics and of each: the first ones."""
KEPT_BYTES_MAX: Final = 64 * 1024 * 1024
PAYLOAD_MAX: Final = 1024 * 1024
"""A larger payload is not kept; `mqtt.message_max_bytes` has the same default."""

STATIONS_MAX: Final = 100
COLUMNS_MAX: Final = 200
"""Columns that are guessed for a station; further keys go into one VARIANT column."""
DEPTH_MAX: Final = 5
"""Objects within objects that become columns; deeper ones are a VARIANT."""
KEYS_MAX: Final = 60
"""Keys of one object that become columns, if not all of them are always there."""
RECORDS_MAX: Final = 20_000
"""Records of a station that are looked at."""

NOT_NULL_FROM: Final = 20
"""A column is NOT NULL when it had a value in all records, and there were so many."""
ROUNDS_MAX: Final = 8
"""So often guesses that did not fit are weakened."""
SAMPLES_MAX: Final = 3
SAMPLE_BYTES_MAX: Final = 8 * 1024
"""Messages that are written as samples of a table, and the largest."""
EVIDENCE_MAX: Final = 100
"""Characters of a comment."""
