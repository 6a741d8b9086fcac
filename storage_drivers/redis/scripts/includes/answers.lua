-- Adds members and records to an answer.
-- keys:

local function answer_with(answer, found)
  for i = 1, #found do
    answer[#answer + 1] = found[i].member
    answer[#answer + 1] = found[i].record
  end
  return answer
end
