-- Version 3: work orders. docs/data-model.md explains every column.

CREATE TABLE work_order (
    no              INTEGER PRIMARY KEY,
    destination     INTEGER NOT NULL REFERENCES destination,
    run_event       TEXT    NOT NULL,
    seq             INTEGER NOT NULL,
    key             TEXT    NOT NULL,
    title           TEXT,
    answer          TEXT,
    taken_at        INTEGER NOT NULL,
    due_at          INTEGER,
    tries           INTEGER NOT NULL DEFAULT 0,
    poll_why        TEXT,
    closed_at       INTEGER,
    closed_by       TEXT,
    orbit_closed_at INTEGER,
    orbit_why       TEXT,
    UNIQUE (destination, run_event)
);

CREATE INDEX work_order_key ON work_order (destination, key);

CREATE INDEX work_order_run_event ON work_order (run_event);

CREATE INDEX work_order_open ON work_order (destination, due_at)
    WHERE closed_at IS NULL;

CREATE INDEX work_order_untold ON work_order (due_at)
    WHERE closed_at IS NOT NULL AND orbit_closed_at IS NULL;

CREATE INDEX work_order_told ON work_order (orbit_closed_at)
    WHERE orbit_closed_at IS NOT NULL;

CREATE INDEX event_alert ON event (identity)
    WHERE type = 'ACTION_COMPLETED_WITH_ALERT';
