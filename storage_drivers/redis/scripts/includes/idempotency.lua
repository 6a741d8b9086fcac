-- Remembers the answer to a write under the client's key, and finds it again.
-- keys: idempotency

-- Returns nothing when the write is new, KEY_REUSED when the key was used for another
-- request, else the first answer. A record of a former life of the queue counts as absent.
local function first_answer(incarnation, fingerprint, now_ms)
  local stored = fingerprint ~= '' and redis.call('GET', idempotency)
  if not stored then
    return nil
  end
  local record = cmsgpack.unpack(stored)
  if record[1] ~= incarnation or record[3] <= now_ms then
    return nil
  end
  if record[2] ~= fingerprint then
    return KEY_REUSED
  end
  return record[4]
end

-- NOTE: the expiry inside is the truth; the store's own only clears away, an hour later.
local function remember(incarnation, fingerprint, answer, now_ms, window_ms)
  if fingerprint ~= '' then
    local ends_ms = now_ms + window_ms
    local record = cmsgpack.pack({incarnation, fingerprint, ends_ms, answer})
    redis.call('SET', idempotency, record, 'PXAT', ends_ms + 3600000)
  end
end
