-- Prolongs a lease if the caller still holds it.
-- KEYS[1] lease  ARGV[1] token  ARGV[2] lifetime in ms  Returns 1 prolonged | 0 no longer held
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
