-- Removes and returns ready messages, lowest sequences first. O(limit * log n), and each call
-- promotes and clears away a bounded number of others.
-- keys: messages ready held leased delayed expires
-- uses: lists record promote remove pick answers
-- args: now_ms:number limit:number
-- returns: packed messages | AGAIN

if promote(now_ms, BATCH) == BATCH then
  return AGAIN
end
drop_expired(now_ms, BATCH)
local chosen = pick(now_ms, limit, 0, 0)
if not chosen then
  return AGAIN
end
local members = {}
for i, m in ipairs(chosen) do
  members[i] = m.member
  m.record = pack_record(m)
end
remove(members)
return pack_messages(chosen)
