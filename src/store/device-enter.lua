-- Makes a connection the newest of its device, and publishes a notice, so that the relays close
-- older connections of the device.
-- KEYS[1] generations of the user's devices (hash)
-- ARGV[1] device  ARGV[2] devices kept  ARGV[3] lifetime in ms  ARGV[4] channel  ARGV[5] packet
-- Returns the generation: max(previous + 1, Redis time in microseconds), so that no generation
-- restarts after a loss.
local time = redis.call('TIME')
local generation = time[1] * 1000000 + time[2]
local previous = tonumber(redis.call('HGET', KEYS[1], ARGV[1])) or 0
if previous >= generation then generation = previous + 1 end
generation = string.format('%.0f', generation)
redis.call('HSET', KEYS[1], ARGV[1], generation)
if redis.call('HLEN', KEYS[1]) > tonumber(ARGV[2]) then
  local oldest, at = nil, math.huge
  local all = redis.call('HGETALL', KEYS[1])
  for i = 1, #all, 2 do
    if tonumber(all[i + 1]) < at then oldest, at = all[i], tonumber(all[i + 1]) end
  end
  redis.call('HDEL', KEYS[1], oldest)
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('PUBLISH', ARGV[4], ARGV[5])
return generation
