-- Walks through messages in the order of their sequences.
-- keys:

-- Returns a function that returns the next `count` sequences above `after` whose state matches
-- the pattern, in the pages of an index; fewer at the end. O(messages + pages without any).
local function walk(index, pattern, after)
  local number = math.floor(after / PAGE)
  local lowest, slot = string.format('%.0f', number), after % PAGE + 1
  local names, at, page, first = {}, 0, nil, 0

  local function next_page(count)
    at = at + 1
    if at > #names then
      names = redis.call('ZRANGEBYSCORE', index, lowest, '+inf',
        'LIMIT', 0, math.ceil(count / PAGE) + 1)
      at = 1
      if #names == 0 then
        return nil
      end
      lowest = '(' .. string.format('%.0f', struct.unpack('>I6', names[#names]))
    end
    local found = struct.unpack('>I6', names[at])
    slot = found == number and slot or 0
    first = found * PAGE - 1
    return page_named(names[at])
  end

  return function(count)
    local found = {}
    while #found < count do
      page = page or next_page(count - #found)
      if not page then
        break
      end
      slot = string.find(page.states, pattern, slot + 1)
      if slot then
        found[#found + 1] = struct.pack('>I7', first + slot)
      else
        page, number, slot = nil, nil, 0
      end
    end
    return found
  end
end
