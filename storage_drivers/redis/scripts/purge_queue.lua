-- Removes all messages in constant time, in every state but on their way to a dead-letter queue.
-- keys: messages ready held leased delayed expires
-- args:
-- returns: nothing of interest

return redis.call('UNLINK', messages, ready, held, leased, delayed, expires)
