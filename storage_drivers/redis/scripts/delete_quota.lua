-- Forgets the limits of a project. O(log n).
-- keys: limited limits
-- args: project:text
-- returns: nothing of interest

redis.call('HDEL', limits, project)
return redis.call('ZREM', limited, project)
