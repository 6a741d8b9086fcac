-- Credentials of a project: a record each under `r` and the id, the uses that are left under `u`
-- and the id if they are counted, and an entry of kind and id in two indexes.
-- keys: credentials live expiring

-- expires_ms, created_ms, kind, which is empty once it was revoked; the document follows. A
-- revoked one stays without it until it would have expired, so that adding it again is no way
-- back. credentials.py writes and reads the same form.
local CREDENTIAL = '>I8I8Bc0'

-- Removes credentials that have expired, up to a batch. Returns whether those were all.
local function drop_expired(now_ms)
  local entries = redis.call('ZRANGEBYSCORE', expiring, '-inf', now_ms, 'LIMIT', 0, BATCH)
  local fields = {}
  for _, entry in ipairs(entries) do
    local id = string.match(entry, '^%a+:(.*)$')
    fields[#fields + 1] = 'r' .. id
    fields[#fields + 1] = 'u' .. id
  end
  call_with('ZREM', live, entries)
  call_with('ZREM', expiring, entries)
  call_with('HDEL', credentials, fields)
  return #entries < BATCH
end
