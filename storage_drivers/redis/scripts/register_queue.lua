-- Lists the queue in the project's index, under the token of the life it is about to begin.
-- keys: names tokens
-- args: name:text token:text now_ms:text
-- returns: nothing of interest

redis.call('HSET', tokens, name, token .. ' ' .. now_ms)
return redis.call('ZADD', names, 0, name)
