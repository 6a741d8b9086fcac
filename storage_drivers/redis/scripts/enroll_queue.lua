-- Puts a queue on the list of those to sweep, before the queue exists.
-- keys: due missing
-- args: tag:text now_ms:number
-- returns: nothing of interest

redis.call('HDEL', missing, tag)
return redis.call('ZADD', due, now_ms, tag)
