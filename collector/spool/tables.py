"""The tables of a spool file, and how a file of an older version becomes one of this.

Each migration takes a file one version up; they run in one transaction when it is opened. None
copies the batches: a spool may be as large as the disk.
"""

from typing import Final

VERSION: Final = 4

TABLES: Final = """
-- AUTOINCREMENT: an id is never given twice, so that a late acknowledgment can't meet a stranger.
CREATE TABLE batches (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    table_id INTEGER NOT NULL,
    station_id INTEGER NOT NULL,
    schema_id INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    records INTEGER NOT NULL,
    received_us INTEGER NOT NULL,
    suspect INTEGER NOT NULL DEFAULT 0,
    checksum INTEGER NOT NULL,
    blob BLOB NOT NULL
);
CREATE INDEX batches_by_table ON batches (table_id, id);
CREATE INDEX suspects ON batches (table_id) WHERE suspect = 1;
CREATE TABLE names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE schemas (
    id INTEGER PRIMARY KEY,
    fingerprint BLOB NOT NULL UNIQUE,
    stored BLOB NOT NULL
);
-- A payload stands once, however many stations or records of it failed.
CREATE TABLE payloads (id INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL);
CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    received_us INTEGER NOT NULL,
    station TEXT NOT NULL,
    table_name TEXT NOT NULL,
    topic TEXT NOT NULL,
    kind TEXT NOT NULL,
    reason TEXT NOT NULL,
    field TEXT NOT NULL,
    position INTEGER,
    seq INTEGER,
    fingerprint BLOB NOT NULL,
    payload_id INTEGER NOT NULL,
    flags INTEGER NOT NULL DEFAULT 1,
    properties BLOB NOT NULL DEFAULT x'',
    more TEXT NOT NULL DEFAULT ''
);
CREATE INDEX letters_by_payload ON dead_letters (payload_id);
CREATE TABLE counters (
    scope TEXT NOT NULL,
    name TEXT NOT NULL,
    value INTEGER NOT NULL,
    PRIMARY KEY (scope, name)
) WITHOUT ROWID;
-- What the broker granted, so that a later configuration knows what to unsubscribe (decision 7).
CREATE TABLE granted (filter TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
-- The last retained copy of a topic, for brokers that send it again (decision 7).
CREATE TABLE retained (id INTEGER PRIMARY KEY, topic BLOB NOT NULL UNIQUE, hash BLOB NOT NULL);
-- What a payload format keeps between messages, saved by the commit of what was read with it.
CREATE TABLE memories (
    id INTEGER PRIMARY KEY,
    station TEXT NOT NULL,
    name TEXT NOT NULL,
    value BLOB NOT NULL,
    UNIQUE (station, name)
);
-- What requests with an idempotency key were answered, so that they can be answered so again.
CREATE TABLE answers (
    id INTEGER PRIMARY KEY,
    key BLOB NOT NULL UNIQUE,
    body BLOB NOT NULL,
    at_us INTEGER NOT NULL,
    text TEXT NOT NULL
);
-- Batches that were stamped by a clock which was then stepped: their age is counted right.
CREATE TABLE clock_steps (
    first_batch INTEGER NOT NULL,
    last_batch INTEGER NOT NULL,
    step_us INTEGER NOT NULL
);
-- What damage has cost: records of a table, by ranges of their numbers as far as they are known.
CREATE TABLE losses (
    id INTEGER PRIMARY KEY,
    at_us INTEGER NOT NULL,
    source TEXT NOT NULL,
    table_name TEXT NOT NULL,
    first_seq INTEGER,
    last_seq INTEGER,
    records INTEGER,
    reason TEXT NOT NULL
);
-- Files in quarantine/ and how far each is salvaged: moved by the commits that salvage.
CREATE TABLE salvages (
    folder TEXT PRIMARY KEY,
    at_us INTEGER NOT NULL,
    reason TEXT NOT NULL,
    state TEXT NOT NULL,
    position INTEGER NOT NULL DEFAULT 0,
    note TEXT NOT NULL DEFAULT '{}'
) WITHOUT ROWID;
"""

MIGRATIONS: Final = {
    1: """
ALTER TABLE dead_letters ADD COLUMN flags INTEGER NOT NULL DEFAULT 1;
ALTER TABLE dead_letters ADD COLUMN properties BLOB NOT NULL DEFAULT x'';
ALTER TABLE dead_letters ADD COLUMN more TEXT NOT NULL DEFAULT '';
CREATE INDEX letters_by_payload ON dead_letters (payload_id);
CREATE TABLE clock_steps (
    first_batch INTEGER NOT NULL,
    last_batch INTEGER NOT NULL,
    step_us INTEGER NOT NULL
);
CREATE TABLE losses (
    id INTEGER PRIMARY KEY,
    at_us INTEGER NOT NULL,
    source TEXT NOT NULL,
    table_name TEXT NOT NULL,
    first_seq INTEGER,
    last_seq INTEGER,
    records INTEGER,
    reason TEXT NOT NULL
);
CREATE TABLE salvages (
    folder TEXT PRIMARY KEY,
    at_us INTEGER NOT NULL,
    reason TEXT NOT NULL,
    state TEXT NOT NULL,
    position INTEGER NOT NULL DEFAULT 0,
    note TEXT NOT NULL DEFAULT '{}'
) WITHOUT ROWID;
""",
    2: """
CREATE TABLE memories (
    id INTEGER PRIMARY KEY,
    station TEXT NOT NULL,
    name TEXT NOT NULL,
    value BLOB NOT NULL,
    UNIQUE (station, name)
);
""",
    3: """
CREATE TABLE answers (
    id INTEGER PRIMARY KEY,
    key BLOB NOT NULL UNIQUE,
    body BLOB NOT NULL,
    at_us INTEGER NOT NULL,
    text TEXT NOT NULL
);
""",
}
"""The statements from version n to n + 1."""
