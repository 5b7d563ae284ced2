-- Notes that a worker is alive, or that it leaves, and forgets those that were silent for too long.
-- KEYS[1] workers (sorted set by the time of their last beat)  ARGV[1] worker  ARGV[2] lifetime in ms; 0: it leaves
-- Returns how many are alive
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[2] == '0' then redis.call('ZREM', KEYS[1], ARGV[1])
else
  redis.call('ZADD', KEYS[1], now, ARGV[1])
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
end
return redis.call('ZCARD', KEYS[1])
