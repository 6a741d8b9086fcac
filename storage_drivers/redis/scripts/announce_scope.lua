-- Puts a scope on a list of those to visit, before the record exists that wants a visit, and calls
-- off what a visit that is under way would note. O(log n). Works when the server is full.
-- keys: scopes visits
-- args: tag:text at_ms:text
-- returns: nothing of interest

redis.call('HDEL', visits, tag)
return redis.call('ZADD', scopes, 'LT', at_ms, tag)
