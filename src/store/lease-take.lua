-- Takes a free lease, or answers that it is held.
-- KEYS[1] lease  ARGV[1] lifetime in ms  Returns the fencing token, or '' when somebody holds it.
-- A token is Redis time in microseconds: it grows with every taking and never restarts after a loss.
-- Keys expire by Redis time: where that stepped back, a lease would outlive its holder by as much. It has its lifetime from now at most.
if redis.call('PTTL', KEYS[1]) > tonumber(ARGV[1]) then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
if redis.call('EXISTS', KEYS[1]) == 1 then return '' end
local time = redis.call('TIME')
local token = string.format('%.0f', time[1] * 1000000 + time[2])
redis.call('SET', KEYS[1], token, 'PX', ARGV[1])
return token
