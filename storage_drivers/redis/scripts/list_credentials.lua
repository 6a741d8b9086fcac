-- Lists live credentials of one kind by id. O(page + log n), and each call clears away a bounded
-- number of those that have expired.
-- keys: credentials live expiring
-- uses: lists credentials
-- args: now_ms:number kind:text marker:text limit:number
-- returns: id, record, uses left (false: any number), ... | AGAIN

if not drop_expired(now_ms) then
  return AGAIN
end
local above = marker == '' and '[' or '('
-- A semicolon comes after the colon.
local entries = redis.call('ZRANGEBYLEX', live, above .. kind .. ':' .. marker,
  '(' .. kind .. ';', 'LIMIT', 0, limit)
local answer = {}
for i, entry in ipairs(entries) do
  local id = string.sub(entry, #kind + 2)
  local stored = redis.call('HMGET', credentials, 'r' .. id, 'u' .. id)
  answer[3 * i - 2], answer[3 * i - 1], answer[3 * i] = id, stored[1], stored[2]
end
return answer
