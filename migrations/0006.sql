-- Version 6: what the page reads. docs/data-model.md explains every column.

CREATE TABLE subject (
    no      INTEGER PRIMARY KEY,
    action  TEXT    NOT NULL,
    robot   TEXT    NOT NULL,
    mission TEXT    NOT NULL,
    asset   TEXT    NOT NULL,
    others  TEXT    NOT NULL,
    n       INTEGER NOT NULL,
    alerts  INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    UNIQUE (action, robot, mission, asset, others)
);

CREATE TABLE term (
    kind    TEXT    NOT NULL,
    text    TEXT    NOT NULL,
    subject INTEGER NOT NULL REFERENCES subject,
    PRIMARY KEY (kind, text, subject)
) WITHOUT ROWID;

CREATE INDEX term_subject ON term (subject);

CREATE TABLE entry (
    seq     INTEGER PRIMARY KEY REFERENCES event,
    at      INTEGER NOT NULL,
    subject INTEGER NOT NULL REFERENCES subject,
    alert   INTEGER NOT NULL
);

CREATE INDEX entry_subject ON entry (subject);

CREATE VIEW catalogue (seq, at, robot, mission, action, asset, alert) AS
    SELECT e.seq, e.at, nullif(s.robot, ''), nullif(s.mission, ''), nullif(s.action, ''),
    nullif(s.asset, ''), e.alert
    FROM entry e JOIN subject s ON s.no = e.subject;

CREATE TABLE known_by (
    identity TEXT    NOT NULL,
    seq      INTEGER NOT NULL REFERENCES event,
    PRIMARY KEY (identity, seq)
) WITHOUT ROWID;

CREATE TABLE reading (
    asset TEXT    NOT NULL,
    at    INTEGER NOT NULL,
    seq   INTEGER NOT NULL REFERENCES event,
    name  TEXT    NOT NULL,
    value REAL,
    text  TEXT,
    unit  TEXT,
    alert INTEGER NOT NULL,
    PRIMARY KEY (asset, at, seq, name)
) WITHOUT ROWID;

CREATE INDEX reading_seq ON reading (seq);

CREATE TABLE route (
    robot      TEXT    NOT NULL,
    mission    TEXT    NOT NULL,
    n          INTEGER NOT NULL,
    first_at   INTEGER NOT NULL,
    last_at    INTEGER NOT NULL,
    last_seq   INTEGER NOT NULL,
    week       INTEGER NOT NULL,
    gap        INTEGER NOT NULL,
    gap_before INTEGER NOT NULL,
    PRIMARY KEY (robot, mission)
) WITHOUT ROWID;

CREATE INDEX route_last ON route (last_at);

CREATE TABLE catalogue_again (
    no  INTEGER PRIMARY KEY,
    seq INTEGER NOT NULL REFERENCES event
);
-- Sums by hour, and what waits in groups.

CREATE TABLE hour (
    no        INTEGER PRIMARY KEY,
    at        INTEGER NOT NULL,
    first_seq INTEGER NOT NULL
);

CREATE TABLE hour_sum (
    hour        INTEGER NOT NULL REFERENCES hour,
    destination INTEGER NOT NULL REFERENCES destination,
    state       TEXT    NOT NULL,
    n           INTEGER NOT NULL,
    PRIMARY KEY (hour, destination, state)
) WITHOUT ROWID;

CREATE TABLE hour_event (
    hour INTEGER NOT NULL REFERENCES hour,
    name TEXT    NOT NULL,
    n    INTEGER NOT NULL,
    PRIMARY KEY (hour, name)
) WITHOUT ROWID;

CREATE INDEX delivery_held ON delivery (destination, seq)
    WHERE state = 'parked' AND unmapped = 0;

CREATE INDEX act_who ON act (who);

CREATE INDEX act_what ON act (what);

CREATE INDEX work_order_asset ON work_order (asset);
