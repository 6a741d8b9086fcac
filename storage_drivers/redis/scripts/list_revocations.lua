-- Lists what is revoked and would not have expired yet. O(its length).
-- keys: version revoked
-- args: now_ms:text
-- returns: version, ids

return {tonumber(redis.call('GET', version) or 0),
  redis.call('ZRANGEBYSCORE', revoked, '(' .. now_ms, '+inf')}
