-- Takes records that are due: they are due again when the lease ends, and have another version.
-- O(limit * log n). Works when the server is full.
-- keys: records record_names record_dues record_ends notice
-- uses: lists records notice
-- args: now_ms:number limit:number leased_ms:number
--   leased_ms: when the lease ends
-- returns: when the next one of the scope is due (false: none), then entry, record, ...

go_on_when_full()
local answer, gone = {false}, {}
local entries = redis.call('ZRANGEBYSCORE', record_dues, '-inf', now_ms, 'LIMIT', 0, limit)
for _, entry in ipairs(entries) do
  local stored = redis.call('HGET', records, entry)
  local version, _, expires_ms, at = struct.unpack(RECORD, stored)
  if expires_ms > now_ms then
    local leased = struct.pack(RECORD, version + 1, leased_ms, expires_ms) .. string.sub(stored, at)
    redis.call('HSET', records, entry, leased)
    redis.call('ZADD', record_dues, leased_ms, entry)
    answer[#answer + 1] = entry
    answer[#answer + 1] = leased
  else
    gone[#gone + 1] = entry
  end
end
drop(gone)
begin_visit(now_ms)
answer[1] = first_time(record_dues) or false
return answer
