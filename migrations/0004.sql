-- Version 4: what is made of an event. docs/data-model.md explains every column.

CREATE TABLE enrichment (
    seq     INTEGER PRIMARY KEY REFERENCES event,
    run     TEXT,
    anomaly TEXT
);

ALTER TABLE delivery ADD COLUMN message TEXT;
ALTER TABLE delivery ADD COLUMN progress TEXT;
ALTER TABLE delivery ADD COLUMN map TEXT;
ALTER TABLE delivery ADD COLUMN template TEXT;
ALTER TABLE delivery ADD COLUMN action TEXT;
ALTER TABLE delivery ADD COLUMN unmapped INTEGER NOT NULL DEFAULT 0;
ALTER TABLE delivery ADD COLUMN enrich_since INTEGER;
ALTER TABLE delivery ADD COLUMN for_orbit INTEGER NOT NULL DEFAULT 0;

CREATE INDEX delivery_unmapped ON delivery (destination, seq)
    WHERE unmapped = 1;

CREATE INDEX delivery_enriching ON delivery (destination)
    WHERE enrich_since IS NOT NULL AND state IN ('pending', 'sending', 'postponed', 'parked');

ALTER TABLE work_order ADD COLUMN asset TEXT;
ALTER TABLE work_order ADD COLUMN action TEXT;
ALTER TABLE work_order ADD COLUMN ticket INTEGER;

CREATE INDEX work_order_about ON work_order (destination, action, asset)
    WHERE closed_at IS NULL;
