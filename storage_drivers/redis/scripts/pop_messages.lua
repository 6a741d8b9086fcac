-- Removes and returns ready messages, lowest sequences first, as far as the first encrypted one.
-- O(limit + log n), and each call promotes and clears away a bounded number of others.
-- keys: messages ready order waiting expires leased
-- uses: lists letters record rewrite pages walk due pick answers
-- args: now_ms:number limit:number
-- returns: member, record, ... | MESSAGE_SEALED (the first one is encrypted) | AGAIN

local _, is_all = promote(now_ms, BATCH)
if not is_all then
  return AGAIN
end
drop_expired(now_ms, BATCH)
local chosen = pick(now_ms, limit, 0, 0)
if not chosen then
  return AGAIN
end

-- The tail of a record begins with the media; see codec.py. 2 is `Media.SEALED`.
local open = {}
for i = 1, #chosen do
  if string.byte(chosen[i].record, tail_at(chosen[i])) == 2 then
    break
  end
  open[i] = chosen[i]
end
remove(open)
save()
if #open == 0 and #chosen > 0 then
  return MESSAGE_SEALED
end
return answer_with({}, open)
