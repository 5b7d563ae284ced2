-- Releases a lease if the caller still holds it.
-- KEYS[1] lease  ARGV[1] token  Returns 1 released | 0 the caller did not hold it
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
