-- Version 2: what the delivery engine needs. docs/data-model.md explains every column.

ALTER TABLE destination ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE destination ADD COLUMN paused_at INTEGER;
ALTER TABLE destination ADD COLUMN paused_by TEXT;
ALTER TABLE destination ADD COLUMN paused_why TEXT;
ALTER TABLE destination ADD COLUMN paused_trouble TEXT;
ALTER TABLE destination ADD COLUMN down_at INTEGER;
ALTER TABLE destination ADD COLUMN down_why TEXT;
ALTER TABLE destination ADD COLUMN hold_until INTEGER NOT NULL DEFAULT 0;
ALTER TABLE destination ADD COLUMN worked_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE destination ADD COLUMN expired INTEGER NOT NULL DEFAULT 0;
ALTER TABLE destination ADD COLUMN expired_kept INTEGER NOT NULL DEFAULT 0;
ALTER TABLE destination ADD COLUMN died INTEGER NOT NULL DEFAULT 0;
ALTER TABLE destination ADD COLUMN died_why TEXT;
UPDATE destination SET name = id;

ALTER TABLE delivery ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;
ALTER TABLE delivery ADD COLUMN not_before INTEGER NOT NULL DEFAULT 0;
ALTER TABLE delivery ADD COLUMN waiting_since_ms INTEGER;
ALTER TABLE delivery ADD COLUMN line TEXT;
ALTER TABLE delivery ADD COLUMN waits_for INTEGER;
ALTER TABLE delivery ADD COLUMN answer TEXT;
ALTER TABLE delivery ADD COLUMN act INTEGER REFERENCES act;

DROP INDEX delivery_due;
CREATE INDEX delivery_due ON delivery (destination, replayed, due_at)
    WHERE state IN ('pending', 'postponed') AND waits_for IS NULL;

CREATE INDEX delivery_line ON delivery (destination, line, seq)
    WHERE line IS NOT NULL AND state IN ('pending', 'sending', 'postponed');

CREATE INDEX delivery_waiting ON delivery (destination, waits_for)
    WHERE waits_for IS NOT NULL;

CREATE INDEX delivery_dead ON delivery (destination, seq)
    WHERE state = 'dead';

CREATE TABLE inspection (
    destination INTEGER NOT NULL REFERENCES destination,
    key         BLOB    NOT NULL,
    seq         INTEGER NOT NULL,
    PRIMARY KEY (destination, key)
) WITHOUT ROWID;

CREATE TABLE act (
    no          INTEGER PRIMARY KEY,
    at          INTEGER NOT NULL,
    who         TEXT    NOT NULL,
    what        TEXT    NOT NULL,
    destination INTEGER REFERENCES destination,
    detail      TEXT    NOT NULL
);

CREATE TABLE job (
    no              INTEGER PRIMARY KEY REFERENCES act,
    kind            TEXT    NOT NULL,
    filter          TEXT    NOT NULL,
    as_sent         INTEGER NOT NULL,
    last_seq        INTEGER NOT NULL,
    destination     INTEGER NOT NULL REFERENCES destination,
    at_seq          INTEGER NOT NULL,
    done            INTEGER NOT NULL,
    ended_at        INTEGER
);

CREATE INDEX job_open ON job (no)
    WHERE ended_at IS NULL;
