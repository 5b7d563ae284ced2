-- Begins the set of open fields anew, unless the state has changed since it was read.
--
-- KEYS  state (hash), open fields (set)
-- ARGV  version that was read, field * n
-- Returns 1, or 0 when the version has moved
local VALUES_MAX = 4000 -- Lua hands over a few thousand values at a time
if redis.call('HGET', KEYS[1], 'v') ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[2])
local count = 0
for from = 2, #ARGV, VALUES_MAX do
  count = count + redis.call('SADD', KEYS[2], unpack(ARGV, from, math.min(from + VALUES_MAX - 1, #ARGV)))
end
redis.call('HSET', KEYS[1], 'indexed', ARGV[1] .. ' ' .. count)
return 1
