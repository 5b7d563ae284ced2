-- Writes the set of open fields anew, unless the state has changed since it was read.
--
-- KEYS  state (hash), open fields (set)
-- ARGV  version that was read, field * n
-- Returns 1, or 0 if the version has moved
--- include in-parts
if redis.call('HGET', KEYS[1], 'v') ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[2])
local count = inParts('SADD', KEYS[2], ARGV, 2)
redis.call('HSET', KEYS[1], 'indexed', ARGV[1] .. ' ' .. count)
return 1
