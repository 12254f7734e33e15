-- Version 6: sums by hour, and what waits in groups. docs/data-model.md explains every column.

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
