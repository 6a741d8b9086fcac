-- Notes that a queue was found missing, and takes it off the list of those to sweep once it
-- has been missing since `missing_since_ms` or longer. A queue that is about to be created
-- enrolls first, which removes the note.
-- keys: due missing
-- args: tag:text now_ms:number missing_since_ms:number
-- returns: 1 forgotten | 0 noted

redis.call('HSETNX', missing, tag, now_ms)
if tonumber(redis.call('HGET', missing, tag)) > missing_since_ms then
  return 0
end
redis.call('HDEL', missing, tag)
return redis.call('ZREM', due, tag)
