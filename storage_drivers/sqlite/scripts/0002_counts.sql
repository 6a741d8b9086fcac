-- Counts of buckets are written by the statements that change them, once for all the writes of
-- a transaction, and no longer by triggers, row by row. For the same reason long bodies are
-- deleted along with their messages.
--
-- due_ms becomes earliest_ms so that a server of the version before, which may still run for
-- a moment, fails with an error: it would no longer count.

DROP TRIGGER messages_inserted;
DROP TRIGGER messages_deleted;
DROP TRIGGER messages_deleted_long;
DROP TRIGGER messages_moved;

ALTER TABLE buckets RENAME COLUMN due_ms TO earliest_ms;
