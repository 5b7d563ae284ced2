-- Writes the records of a lost control set again, if they are absent, or older than the caller's
-- records. Harmless when repeated.
-- KEYS[1] control set  ARGV (field, record)*; a bar is a bare number, the later one wins
-- Returns the number of records written
local function age(record) return tonumber(record) or tonumber(cjson.decode(record).revision) or 0 end
local writes = {}
for i = 1, #ARGV, 2 do
  local known = redis.call('HGET', KEYS[1], ARGV[i])
  if not known or age(known) < age(ARGV[i + 1]) then
    writes[#writes + 1] = ARGV[i]
    writes[#writes + 1] = ARGV[i + 1]
  end
end
if #writes > 0 then redis.call('HSET', KEYS[1], unpack(writes)) end
return #writes / 2
