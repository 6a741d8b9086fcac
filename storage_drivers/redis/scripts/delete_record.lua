-- Removes a record, if it is at the expected version. O(log n).
-- keys: records record_names record_dues record_ends
-- uses: lists records
-- args: now_ms:number entry:text version:text
--   version: empty for any
-- returns: 1 removed | 0 it is gone or changed

local found = find(entry, now_ms)
if not found or (version ~= '' and found ~= tonumber(version)) then
  return 0
end
drop({entry})
return 1
