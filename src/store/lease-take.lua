-- Takes a free lease, or reports that it is held.
-- KEYS[1] lease  ARGV[1] lifetime in ms  Returns the fencing token, or '' if the lease is held.
-- A token is Redis time in microseconds: it grows each time the lease is taken, and never restarts
-- after a loss.
-- Keys expire by Redis time: if that time stepped back, a lease would outlive its holder by the
-- length of the step. So a lease expires at most its lifetime from now.
if redis.call('PTTL', KEYS[1]) > tonumber(ARGV[1]) then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
if redis.call('EXISTS', KEYS[1]) == 1 then return '' end
local time = redis.call('TIME')
local token = string.format('%.0f', time[1] * 1000000 + time[2])
redis.call('SET', KEYS[1], token, 'PX', ARGV[1])
return token
