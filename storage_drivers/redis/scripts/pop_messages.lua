-- Removes and returns ready messages, lowest sequences first. O(limit + log n), and each call
-- promotes and clears away a bounded number of others.
-- keys: messages ready order waiting expires leased
-- uses: lists letters record pages walk due pick answers
-- args: now_ms:number limit:number
-- returns: member, record, ... | AGAIN

local _, is_all = promote(now_ms, BATCH)
if not is_all then
  return AGAIN
end
drop_expired(now_ms, BATCH)
local chosen = pick(now_ms, limit, 0, 0)
if not chosen then
  return AGAIN
end
remove(chosen)
save()
return answer_with({}, chosen)
