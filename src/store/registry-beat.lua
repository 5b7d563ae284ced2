-- Notes that a worker is alive, or that it leaves, and forgets the workers that were silent for too
-- long.
-- KEYS[1] workers (sorted set by the time of their last beat)
-- ARGV[1] worker  ARGV[2] lifetime in ms; 0: it leaves
-- Returns the number of workers alive
-- Redis time may step back: a beat that is later than now counts as of now, so that a worker that
-- died before the step does not count for the length of the step.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, worker in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')) do redis.call('ZADD', KEYS[1], now, worker) end
if ARGV[2] == '0' then redis.call('ZREM', KEYS[1], ARGV[1])
else
  redis.call('ZADD', KEYS[1], now, ARGV[1])
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
end
return redis.call('ZCARD', KEYS[1])
