-- Version 5: gates. docs/data-model.md explains every column.

ALTER TABLE delivery ADD COLUMN gate INTEGER REFERENCES destination;
ALTER TABLE delivery ADD COLUMN gate_since INTEGER;
ALTER TABLE delivery ADD COLUMN cancels TEXT;

ALTER TABLE destination ADD COLUMN unanswered INTEGER NOT NULL DEFAULT 0;
ALTER TABLE destination ADD COLUMN unanswered_why TEXT;

CREATE INDEX delivery_cancelled ON delivery (seq)
    WHERE cancels IS NOT NULL;

CREATE INDEX delivery_gate ON delivery (gate, seq)
    WHERE gate IS NOT NULL;
