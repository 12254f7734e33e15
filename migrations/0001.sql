-- Version 1. Every table and column is explained in docs/data-model.md.

CREATE TABLE event (
    seq         INTEGER PRIMARY KEY,
    source      TEXT    NOT NULL,
    type        TEXT    NOT NULL,
    identity    TEXT    NOT NULL,
    origin      TEXT    NOT NULL,
    received_at INTEGER NOT NULL,
    body        BLOB    NOT NULL
);

CREATE TABLE recent_key (
    seq INTEGER PRIMARY KEY,
    key BLOB    NOT NULL
);

CREATE TABLE dedupe_key (
    key BLOB PRIMARY KEY
) WITHOUT ROWID;

CREATE TABLE destination (
    no     INTEGER PRIMARY KEY,
    id     TEXT    NOT NULL UNIQUE,
    cursor INTEGER NOT NULL
);

CREATE TABLE kept (
    destination INTEGER NOT NULL REFERENCES destination,
    first_seq   INTEGER NOT NULL,
    last_seq    INTEGER,
    PRIMARY KEY (destination, first_seq)
) WITHOUT ROWID;

CREATE TABLE delivery (
    destination INTEGER NOT NULL REFERENCES destination,
    seq         INTEGER NOT NULL REFERENCES event,
    state       TEXT    NOT NULL,
    attempts    INTEGER NOT NULL,
    due_at      INTEGER NOT NULL,
    lease       INTEGER,
    lease_until INTEGER,
    replayed    INTEGER NOT NULL,
    relay       TEXT,
    asset       TEXT,
    reason      TEXT,
    changed_at  INTEGER NOT NULL,
    PRIMARY KEY (destination, seq)
) WITHOUT ROWID;

CREATE INDEX delivery_due ON delivery (destination, due_at)
    WHERE state IN ('pending', 'postponed');

CREATE INDEX delivery_open ON delivery (destination, seq)
    WHERE state IN ('pending', 'sending', 'postponed', 'parked');

CREATE INDEX delivery_leased ON delivery (destination, lease_until)
    WHERE state = 'sending';

CREATE TABLE delivery_sum (
    destination INTEGER NOT NULL REFERENCES destination,
    state       TEXT    NOT NULL,
    n           INTEGER NOT NULL,
    PRIMARY KEY (destination, state)
) WITHOUT ROWID;

CREATE TABLE event_sum (
    name TEXT PRIMARY KEY,
    n    INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE note (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
