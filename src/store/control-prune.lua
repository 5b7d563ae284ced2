-- Forgets a user whose control set is empty, unless a record was put into it meanwhile.
-- KEYS[1] index  ARGV[1] user  ARGV[2] position at which the set was found empty
-- Returns 1 forgotten | 0
if tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1])) ~= tonumber(ARGV[2]) then return 0 end
return redis.call('ZREM', KEYS[1], ARGV[1])
