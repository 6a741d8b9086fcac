-- Lists messages in an answer: member, record, member, record, ...
-- keys:

local function append_messages(answer, chosen)
  for _, m in ipairs(chosen) do
    answer[#answer + 1] = m.member
    answer[#answer + 1] = m.record
  end
  return answer
end
