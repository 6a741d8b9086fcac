-- Removes up to `limit` records of a scope that have expired. O(limit * log n).
-- keys: records record_names record_dues record_ends notice
-- uses: lists records notice
-- args: now_ms:number limit:number
-- returns: when the next one of the scope expires (false: none), then how many were removed

go_on_when_full()
local dropped = drop_ended(now_ms, limit)
begin_visit(now_ms)
return {first_time(record_ends) or false, dropped}
