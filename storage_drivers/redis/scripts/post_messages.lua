-- Stores messages with the next sequences, all or none. O(messages).
-- keys: meta seq messages ready order waiting expires idempotency
-- uses: lists letters append tell posting idempotency
-- args: now_ms:number queue_version:text fingerprint:text window_ms:number posted...
-- returns: the first sequence | first and last (a repeat) | QUEUE_CHANGED | KEY_REUSED

local stored = redis.call('HMGET', meta, 'version', 'incarnation')
local answer = first_answer(stored[2], fingerprint, now_ms)
if answer then
  return answer
end
if stored[1] ~= queue_version then
  return QUEUE_CHANGED
end
local first, last = post(posted, now_ms)
remember(stored[2], fingerprint, {first, last}, now_ms, window_ms)
return first
