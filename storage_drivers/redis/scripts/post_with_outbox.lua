-- Stores messages like post_messages, and with them a record under the first sequence, all or none.
-- O(messages + log records). PERF: by itself, as most posts have no record.
-- keys: meta seq messages ready order waiting expires records record_names record_dues record_ends notice idempotency
-- uses: lists letters append tell posting idempotency records notice
-- args: now_ms:number queue_version:text fingerprint:text window_ms:number kind:text version:number due_ms:number expires_ms:number document:text announced:text posted...
-- returns: the first sequence | first and last (a repeat) | the state of the scope, which has to be
--   announced | QUEUE_CHANGED | KEY_REUSED

local stored = redis.call('HMGET', meta, 'version', 'incarnation')
local answer = first_answer(stored[2], fingerprint, now_ms)
if answer then
  return answer
end
if stored[1] ~= queue_version then
  return QUEUE_CHANGED
end
local state = unlisted(announced, due_ms, expires_ms, now_ms)
if state then
  return state
end
local first, last = post(posted, now_ms)
-- The key is `outbox_key` of the contract.
store(kind .. ':' .. string.format('%014x', first), version, due_ms, expires_ms, document)
remember(stored[2], fingerprint, {first, last}, now_ms, window_ms)
return first
