-- Writes or removes one record of a control set. Its revision only grows: max(previous + 1, Redis
-- time in microseconds).
-- KEYS[1] control set
-- ARGV[1] field
-- ARGV[2] record without its revision, as a JSON object; '' removes it
-- ARGV[3] field of another record, ARGV[4] its revision (both or neither): the script writes only
--         if that record has this revision
-- Returns the revision, or '' if the script did not write
if ARGV[3] then
  local guard = redis.call('HGET', KEYS[1], ARGV[3])
  if not guard or cjson.decode(guard).revision ~= ARGV[4] then return '' end
end
local time = redis.call('TIME')
local revision = time[1] * 1000000 + time[2]
local known = redis.call('HGET', KEYS[1], ARGV[1])
if known then
  local previous = tonumber(cjson.decode(known).revision) or 0
  if previous >= revision then revision = previous + 1 end
end
revision = string.format('%.0f', revision)
if ARGV[2] == '' then redis.call('HDEL', KEYS[1], ARGV[1])
else redis.call('HSET', KEYS[1], ARGV[1], string.sub(ARGV[2], 1, -2) .. ',"revision":"' .. revision .. '"}') end
return revision
