-- Posts a message at the end of the queue.
-- keys: messages ready order waiting expires leased

-- `sequence` is above all others. The caller saves.
local function append(sequence, record, now_ms)
  local expires_ms, visible_ms = struct.unpack(HEADER, record)
  local m = {member = member_of(sequence)}
  locate({m})
  write(m.member, record)
  local page = m.page
  page.expires_ms = math.min(page.expires_ms or expires_ms, expires_ms)
  if visible_ms > now_ms then
    set_state(page, m.slot, DELAYED)
    wait_until(visible_ms, page)
  else
    set_state(page, m.slot, READY)
  end
end
