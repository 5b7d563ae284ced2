-- Links a broker account to one connection in the whole store (MUL-06), or removes the link.
-- KEYS[1] linked accounts  ARGV[1] account  ARGV[2] connection  ARGV[3] link | unlink
-- Returns the connection that the account is linked to, or ''
local known = redis.call('HGET', KEYS[1], ARGV[1])
if ARGV[3] == 'unlink' then
  if known == ARGV[2] then redis.call('HDEL', KEYS[1], ARGV[1]) end
  return ''
end
if known and known ~= ARGV[2] then return known end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return ARGV[2]
