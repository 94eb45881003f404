"""A client of the emulator made of the real SDK, and a table to write with it."""

import os
import time
from contextlib import contextmanager, suppress

os.environ.setdefault("RUST_LOG", "off")  # The SDK logs to stdout, from its import on.
os.environ["no_proxy"] = "127.0.0.1,localhost"  # It would take even loopback through a proxy.

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from zerobus.sdk.shared import AckCallback, StreamConfigurationOptions, TableProperties
from zerobus.sdk.sync import ZerobusSdk

TABLE = "main.iot.readings"
INT, LONG, TEXT = 5, 3, 9
KEPT = []
"""Every SDK object for the life of the process: the last one of a failed stream hangs the process
when it is dropped while a callback wants the GIL."""

OPTIONAL, REQUIRED = 1, 2
INVALID = "(?:Invalid argument:|Stream is closed: code: 'Client specified an invalid argument')"
"""The two wordings of INVALID_ARGUMENT in the middle of a stream; a race in the SDK decides."""


def message(*fields, name="Row"):
    """Return (file descriptor bytes, message class) of fields (name, type, label)."""
    file = descriptor_pb2.FileDescriptorProto(name="row.proto", package="made", syntax="proto2")
    row = file.message_type.add(name=name)
    for number, (field, kind, label) in enumerate(fields, 1):
        row.field.add(name=field, number=number, type=kind, label=label)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file) if hasattr(pool, "Add") else pool.AddSerializedFile(file.SerializeToString())
    found = pool.FindMessageTypeByName(f"made.{name}")
    return file.SerializeToString(), message_factory.GetMessageClass(found)


DESCRIPTOR, Row = message(
    ("device", TEXT, REQUIRED),
    ("temp", INT, OPTIONAL),
    ("gateway", TEXT, OPTIONAL),
    ("seq", LONG, OPTIONAL),
)


def record(seq, **more):
    return Row(**{"device": "d", "temp": 20, "gateway": "gw", "seq": seq, **more})


def encoded(seqs, **more):
    return [record(seq, **more).SerializeToString() for seq in seqs]


class Acks(AckCallback):
    """What the SDK reported: acked offsets with their time, and errors."""

    def __init__(self):
        super().__init__()
        self.offsets, self.times, self.errors = [], [], []

    def on_ack(self, offset):
        self.offsets.append(offset)
        self.times.append(time.monotonic())

    def on_error(self, offset, text):
        self.errors.append((offset, text))


def options(*, recovery=False, **more):
    defaults = {
        "recovery_timeout_ms": 3_000,
        "recovery_backoff_ms": 50,
        "recovery_retries": 0,
        "flush_timeout_ms": 10_000,
        "callback_max_wait_time_ms": 2_000,
    }
    return StreamConfigurationOptions(recovery=recovery, **{**defaults, **more})


def open_stream(emulator, table=TABLE, *, sdk=None, descriptor=DESCRIPTOR, **more):
    sdk = sdk or ZerobusSdk(emulator.endpoint, emulator.workspace_url)
    KEPT.append(sdk)
    properties = TableProperties(table, descriptor)
    return sdk.create_stream("client", "secret", properties, options(**more))


@contextmanager
def stream(emulator, table=TABLE, **more):
    """Close what was opened: a stream that is only dropped loses records."""
    one = open_stream(emulator, table, **more)
    try:
        yield one
    finally:
        close(one)


def close(one):
    """Close a stream that may have failed already."""
    with suppress(Exception):  # What it says was said by flush.
        one.close()


def send(emulator, seqs, **more):
    """Deliver records as one batch."""
    with stream(emulator, **more) as one:
        one.ingest_records_offset(encoded(seqs))
        one.flush()
