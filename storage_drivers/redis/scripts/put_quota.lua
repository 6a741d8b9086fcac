-- Sets the limits of a project. O(log n).
-- keys: limited limits
-- args: project:text document:text
-- returns: nothing of interest

redis.call('HSET', limits, project, document)
return redis.call('ZADD', limited, 0, project)
