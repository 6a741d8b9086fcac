-- Counts the messages that have not expired and finds the first and the last. O(log n), and
-- each call promotes and clears away a bounded number of others.
-- keys: messages ready order waiting expires leased
-- uses: lists letters record pages walk due answers
-- args: now_ms:number
-- returns: claimed, total, then member and record of the oldest and the newest if any | AGAIN

local _, is_promoted = promote(now_ms, BATCH)
local _, is_dropped = drop_expired(now_ms, BATCH)
if not is_promoted or not is_dropped then
  return AGAIN
end
local total = redis.call('HLEN', messages) - redis.call('ZCARD', order)
  - redis.call('HEXISTS', messages, 'bytes')
local answer = {tonumber(redis.call('GET', leased) or 0), total}
if total == 0 then
  return answer
end
local first = walk(order, '[RLD]', 0)(1)
-- Of the pages only the last one can be empty.
local newest = {}
for _, name in ipairs(redis.call('ZREVRANGE', order, 0, 1)) do
  newest = in_page(page_named(name), '[RLD]')
  if #newest > 0 then
    break
  end
end
local oldest = message_of(first[1], read(first)[1])
return answer_with(answer, {oldest, newest[#newest]})
