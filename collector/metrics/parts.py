"""The figures of the parts: the spool and its disk, the broker, the streams, the process."""

from collections.abc import Sequence
from typing import Final

from collector.metrics.samples import (
    Family,
    Figures,
    Samples,
    by_prefix,
    by_word,
    counter,
    each,
    gauge,
    histogram,
    one,
    seconds,
)

STATES: Final = ("idle", "opening", "streaming", "waiting", "held")
HEALTH: Final = ("ok", "degraded", "offline", "failing")


def _health(figures: Figures) -> Samples:
    return [((word,), int(figures["health"] == word)) for word in HEALTH]


def _build(figures: Figures) -> Samples:
    return [((figures["version"], figures["gateway"]), 1)]


_SPOOL: Final = (
    gauge(
        "spool_used_bytes", "Bytes in use, with the WAL up to 16 MiB", one("spool", "used_bytes")
    ),
    gauge("spool_max_bytes", "The limit spool.max_bytes", one("spool", "max_bytes")),
    gauge(
        "spool_free_pages_bytes",
        "Bytes of the file that hold nothing and are used again first",
        one("spool", "free_bytes"),
    ),
    gauge("spool_wal_bytes", "Bytes of the write-ahead log", one("spool", "wal_bytes")),
    gauge("disk_free_bytes", "Free bytes of its disk", one("spool", "disk_free_bytes")),
    gauge(
        "disk_min_free_bytes",
        "The limit spool.min_free_bytes: with less the spool is full",
        one("spool", "min_free_bytes"),
    ),
    gauge(
        "spool_table_share_ratio",
        "The limit spool.table_share: with more of max_bytes a table falls to its drop rule",
        one("limits", "table_share"),
    ),
    gauge("spool_paused", "1 while it is full and nothing is stored", one("is_paused")),
    gauge(
        "spool_failing",
        "1 while it can't be written for another reason",
        one("spool", "is_failing"),
    ),
    gauge(
        "spool_damaged_batches",
        "Batches whose checksum was found wrong since the start",
        one("spool", "damaged_count"),
    ),
    gauge(
        "spool_salvaging",
        "Damaged spools in quarantine that are being saved",
        one("spool", "salvaging_count"),
    ),
    histogram(
        "spool_commit_seconds",
        "How long a commit took, sync included; its count is that of the commits since the start",
        one("spool", "commit_latency"),
    ),
)

_BROKER: Final = (
    gauge(
        "broker_connected",
        "1 while it is connected; not there without a broker",
        one("broker", "connected"),
    ),
    counter("broker_connects", "Connections made since the start", one("broker", "connects")),
    counter("broker_disconnects", "Connections lost since the start", one("broker", "disconnects")),
    counter(
        "broker_sessions_lost",
        "How often it forgot the session, and what it had queued, since the start",
        one("broker", "sessions_lost"),
    ),
    gauge(
        "broker_refused_filters",
        "Filters that it refused, or granted with QoS 0 only",
        one("broker", "refused_count"),
    ),
    gauge(
        "intake_unacknowledged_messages",
        "Messages that wait for the next commit and their PUBACK",
        one("intake", "unacknowledged"),
    ),
    gauge(
        "intake_window_messages",
        "How many the broker hands out before it waits: mqtt.receive_maximum, or what it grants",
        one("intake", "window"),
    ),
    gauge("intake_bytes", "Bytes of these messages", one("intake", "bytes")),
    gauge("intake_max_bytes", "The limit mqtt.inbox_max_bytes", one("limits", "inbox_max_bytes")),
)

_STREAMS: Final = (
    gauge(
        "stream_state",
        f"1 at the state of the table's stream: {', '.join(STATES)}",
        by_word("tables", "state", STATES),
        "table",
        "state",
    ),
    gauge(
        "stream_stuck",
        "1 while some of its batches are held and others are sent",
        each("tables", "is_stuck"),
        "table",
    ),
    counter(
        "stream_opens", "Streams opened since the start", each("tables", "streams_opened"), "table"
    ),
    counter(
        "stream_ends",
        "Why streams ended, or did not open, since the start: rotated, idle, stopped, schema (what"
        " waits has another), suspect (a record is tried alone), kept (broken: sent again), refused"
        " (a record), unreachable, held (the open was refused)",
        by_prefix("tables", "end"),
        "table",
        "reason",
    ),
    gauge(
        "stream_last_ack_timestamp_seconds",
        "When Zerobus last acknowledged something; not there before the first since the start",
        seconds(each("tables", "last_ack_us")),
        "table",
    ),
    histogram(
        "stream_ack_seconds",
        "From a call to its acknowledgment, once for each acknowledgment",
        each("tables", "ack_latency"),
        "table",
    ),
    gauge(
        "stream_in_flight_bytes",
        "Bytes sent and not acknowledged",
        each("tables", "in_flight_bytes"),
        "table",
    ),
    gauge(
        "stream_window_bytes",
        "How many bytes may be in flight now, by how the link behaves",
        each("tables", "window_bytes"),
        "table",
    ),
    gauge(
        "stream_window_max_bytes",
        "The limit zerobus.window_max_bytes",
        one("limits", "window_max_bytes"),
    ),
    gauge(
        "streams_in_flight_max_bytes",
        "The limit zerobus.in_flight_max_bytes, of all tables together",
        one("limits", "in_flight_max_bytes"),
    ),
    counter(
        "stream_sent_records",
        "Records sent since the start, repeats included",
        each("tables", "sent_records"),
        "table",
    ),
    counter(
        "stream_sent_bytes",
        "Bytes of records sent since the start, repeats included",
        each("tables", "sent_bytes"),
        "table",
    ),
    gauge(
        "stream_suspects",
        "Records that were refused alone and are tried once more",
        each("tables", "suspects"),
        "table",
    ),
    gauge(
        "send_max_records_per_second",
        "The limit zerobus.max_records_per_second; not there without one",
        one("limits", "max_records_per_second"),
    ),
    gauge(
        "send_max_bytes_per_second",
        "The limit zerobus.max_bytes_per_second; not there without one",
        one("limits", "max_bytes_per_second"),
    ),
)

_PROCESS: Final = (
    gauge(
        "health",
        f"1 at what `collector status` says: {', '.join(HEALTH)}",
        _health,
        "health",
    ),
    gauge(
        "build_info", "Always 1; which program this is, and which box", _build, "version", "gateway"
    ),
    gauge("start_time_seconds", "When the daemon started", seconds(one("started_us"))),
    gauge(
        "loop_beat_age_seconds",
        "For how long a loop was not heard of; one that waits is heard of when its wait ends",
        each("loops", "age_s"),
        "loop",
    ),
    gauge(
        "loop_standing_still",
        "1 when it should have been heard of: then the watchdog restarts the daemon",
        each("loops", "is_standing_still"),
        "loop",
    ),
    gauge("clock_synchronised", "1 while this box's clock is kept in step", one("clock_ok")),
    gauge(
        "configuration_loaded_timestamp_seconds",
        "When the configuration was read that is in use",
        seconds(one("configuration", "loaded_us")),
    ),
    gauge(
        "configuration_refused",
        "1 when the last reload found mistakes, and changed nothing",
        one("configuration", "is_refused"),
    ),
)

PARTS: Final[Sequence[Family]] = (*_SPOOL, *_BROKER, *_STREAMS, *_PROCESS)
