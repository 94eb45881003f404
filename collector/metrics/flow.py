"""The figures of what flows: messages, stations, records, dead letters.

Both balances are here term by term. They are counters of the spool: they outlive a restart, and
those of one scrape are of one moment.
"""

from collections.abc import Sequence
from typing import Final

from collector.metrics.samples import (
    Family,
    Figures,
    Samples,
    by_prefix,
    counter,
    each,
    gauge,
    one,
    seconds,
)

IGNORED: Final = ("copy", "empty", "full", "no_rows", "retained", "unrouted")


def _ignored(figures: Figures) -> Samples:
    # All of them from the start: a sum over nothing would make the balance disappear.
    messages, reasons = figures["messages"], set(IGNORED)
    reasons |= {key[8:] for key in messages if key.startswith("ignored:")}
    return [((reason,), messages.get(f"ignored:{reason}", 0)) for reason in sorted(reasons)]


_MESSAGES: Final = (
    counter(
        "messages_received",
        "Messages of the broker and requests: the sum of recorded, dead-lettered and ignored ones",
        one("messages", "received"),
    ),
    counter(
        "messages_recorded",
        "Messages that gave at least one record",
        one("messages", "recorded"),
    ),
    counter(
        "messages_dead_lettered",
        "Messages that gave no record, but a dead letter",
        one("messages", "dead_lettered"),
    ),
    counter(
        "messages_ignored",
        f"Messages that gave neither, by reason: {', '.join(IGNORED)}",
        _ignored,
        "reason",
    ),
    counter(
        "messages_unprotected",
        "Messages of QoS 0, which are lost when anything stops",
        one("messages", "unprotected"),
    ),
)

_STATIONS: Final = (
    counter(
        "station_messages",
        "Messages that gave a record of the station",
        each("stations", "messages"),
        "station",
    ),
    counter(
        "station_messages_without_rows",
        "Messages of the station that gave neither a record nor a dead letter: they were empty, or"
        " `when` left out all of their rows",
        each("stations", "without_rows"),
        "station",
    ),
    counter("station_records", "Records of the station", each("stations", "records"), "station"),
    counter(
        "station_dead_letters",
        "Dead letters of its messages, and of its records that Zerobus refused, that do not fit a"
        " changed schema or that expired, by kind",
        by_prefix("stations", "dead", "buried"),
        "station",
        "kind",
    ),
    counter(
        "station_dropped_records",
        "Its records that a full spool dropped, by reason: full, share",
        by_prefix("stations", "dropped"),
        "station",
        "reason",
    ),
    counter(
        "station_expired_records",
        "Its records that were older than its max_age",
        each("stations", "expired:age"),
        "station",
    ),
    counter(
        "station_unknown_keys",
        "Keys of its payloads that no column takes",
        each("stations", "unknown_keys"),
        "station",
    ),
    counter(
        "station_times_outside_window",
        "Times in its payloads that were outside of its time_window",
        each("stations", "outside_window"),
        "station",
    ),
    gauge(
        "station_last_message_timestamp_seconds",
        "When its last message came; not there before the first",
        seconds(each("stations", "last_message_us")),
        "station",
    ),
    gauge(
        "station_silence_seconds",
        "For how long nothing came from it, while the collector listened",
        each("stations", "silence_s"),
        "station",
    ),
    gauge(
        "station_silent_after_seconds",
        "The limit: a longer silence is an alarm; not there while it is not known yet, or off",
        each("stations", "silent_after_s"),
        "station",
    ),
    gauge(
        "station_silent",
        "1 while its silence is longer than the limit",
        each("stations", "is_silent"),
        "station",
    ),
    gauge(
        "station_max_age_seconds",
        "The limit max_age of its records; not there without one",
        each("stations", "max_age_s"),
        "station",
    ),
)

_RECORDS: Final = (
    counter("records_made", "Records made of messages", each("tables", "made"), "table"),
    counter(
        "records_replayed",
        "Records made of dead letters by `dead replay`",
        each("tables", "replayed"),
        "table",
    ),
    counter(
        "records_salvaged",
        "Records saved from a damaged spool",
        each("tables", "salvaged"),
        "table",
    ),
    counter(
        "records_delivered",
        "Records that Zerobus has acknowledged",
        each("tables", "delivered"),
        "table",
    ),
    gauge(
        "records_spooled",
        "Records that wait in the spool: what came (made, replayed, salvaged) without what left"
        " (delivered, buried, expired, dropped, purged, lost)",
        each("tables", "spooled"),
        "table",
    ),
    counter(
        "records_buried",
        "Records that became dead letters because Zerobus refused them",
        each("tables", "buried"),
        "table",
    ),
    counter(
        "records_expired",
        "Records that were older than max_age",
        each("tables", "expired"),
        "table",
    ),
    counter(
        "records_dropped", "Records that a full spool dropped", each("tables", "dropped"), "table"
    ),
    counter(
        "records_purged", "Records that an operator deleted", each("tables", "purged"), "table"
    ),
    counter("records_lost", "Records lost by damage of the spool", each("tables", "lost"), "table"),
    gauge(
        "records_spooled_bytes",
        "Bytes of the records that wait",
        each("tables", "spooled_bytes"),
        "table",
    ),
    gauge(
        "records_oldest_age_seconds",
        "For how long the oldest record waits; 0 when none does",
        each("tables", "oldest_age_s"),
        "table",
    ),
)

_DEAD_LETTERS: Final = (
    gauge("dead_letters", "Dead letters that are kept", one("messages", "dead")),
    gauge("dead_letters_max", "The limit dead_letters.max_count", one("limits", "dead_max_count")),
    gauge("dead_letters_bytes", "Bytes of their payloads", one("messages", "dead_bytes")),
    gauge(
        "dead_letters_max_bytes",
        "The limit dead_letters.max_bytes",
        one("limits", "dead_max_bytes"),
    ),
    counter(
        "dead_letters_dropped",
        "Dead letters that made room for others at one of these limits",
        one("messages", "dead_dropped"),
    ),
)

FLOW: Final[Sequence[Family]] = (*_MESSAGES, *_STATIONS, *_RECORDS, *_DEAD_LETTERS)
