-- Lua passes on a few thousand values at a time.
local VALUES_MAX = 4000

-- Runs a command with all values from place `first` on, in parts. Returns the sum of the answers.
local function inParts(command, key, values, first)
  local changed = 0
  for from = first or 1, #values, VALUES_MAX do
    changed = changed + redis.call(command, key, unpack(values, from, math.min(from + VALUES_MAX - 1, #values)))
  end
  return changed
end
