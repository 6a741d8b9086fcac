-- Deletes the queue and all its messages in constant time. Messages on their way to a
-- dead-letter queue stay, and the sequence stays for a day, so that a queue of this name
-- continues above it. Records of claims and idempotency name messages and a life of the
-- queue that are gone, so they say nothing any more; the store forgets them in time.
-- keys: meta seq messages ready order waiting expires leased
-- args: now_ms:number
-- returns: the token under which it is in the project's index | QUEUE_MISSING

local token = redis.call('HGET', meta, 'token')
if not token then
  return QUEUE_MISSING
end
redis.call('UNLINK', meta, messages, ready, order, waiting, expires, leased)
redis.call('PEXPIREAT', seq, now_ms + 86400000)
return token
