"""A spool file with one schema, and what is put into it."""

from contextlib import contextmanager
from dataclasses import replace

from collector.model import DeadLetter, Fault, NewBatch
from collector.spool import Group, Limits, Spool

FINGERPRINT = b"f" * 16
TABLE = "main.iot.t"


@contextmanager
def opened(path, max_bytes=1 << 30, min_free_bytes=0, **limits):
    spool = Spool(path, Limits(max_bytes, min_free_bytes, **limits))
    try:
        spool.add_schema(FINGERPRINT, b"schema")
        yield spool
    finally:
        spool.close()


def batch(spool, records, seqs=None):
    if seqs is None:
        first = spool.reserve(len(records))
        seqs = range(first, first + len(records))
    return NewBatch(TABLE, "s", FINGERPRINT, seqs, 1, records)


def store(spool, *records):
    spool.append(Group([batch(spool, list(records))]))


def letter(payload=b"raw", reason="?"):
    return DeadLetter(Fault("undecodable", reason), "t", payload, 1)


def limit(spool, max_bytes):
    """Make an open spool full, or roomy again."""
    spool.limits.become(replace(spool.limits, max_bytes=max_bytes))
