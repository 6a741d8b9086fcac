-- Removes all messages in constant time, in every state but on their way to a dead-letter queue.
-- keys: messages ready order waiting expires leased
-- args:
-- returns: nothing of interest

return redis.call('UNLINK', messages, ready, order, waiting, expires, leased)
