-- Documents that change in one step, see queues/records.py. Names and keys are bytes (UTF-8).
--
-- due_ms is when a record wants to be taken, NULL for never; expires_ms when it is gone.

CREATE TABLE records (
    record_id  INTEGER PRIMARY KEY,
    project    BLOB NOT NULL,
    kind       TEXT NOT NULL,
    scope      BLOB NOT NULL,
    key        BLOB NOT NULL,
    version    INTEGER NOT NULL,
    due_ms     INTEGER,
    expires_ms INTEGER,
    document   BLOB NOT NULL,
    UNIQUE (project, kind, scope, key)
);

CREATE INDEX records_due ON records (due_ms) WHERE due_ms IS NOT NULL;
CREATE INDEX records_expiry ON records (expires_ms) WHERE expires_ms IS NOT NULL;
