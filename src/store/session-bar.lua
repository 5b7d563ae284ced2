-- Bars the tokens of a user, or of one login session, and publishes a notice, so that the relays
-- check their connections.
--
-- Invariant:
-- - A token that was barred once stays barred. If there are more bars than are kept, the oldest
--   session's bar is replaced by a bar of every token issued up to that logout; this includes the
--   tokens of that session.
--
-- KEYS[1] control set
-- ARGV[1] session ('': the whole user)  ARGV[2] sessions kept  ARGV[3] channel  ARGV[4] packet
-- Returns Redis time in microseconds: the revision of the control set.
local time = redis.call('TIME')
local now = tonumber(time[1])

local function barUser(at)
  if at > (tonumber(redis.call('HGET', KEYS[1], 'bar')) or 0) then redis.call('HSET', KEYS[1], 'bar', at) end
end

if ARGV[1] == '' then
  barUser(now)
else
  redis.call('HSETNX', KEYS[1], 'bar:' .. ARGV[1], now)
  local bars = {}
  for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    if string.sub(field, 1, 4) == 'bar:' then bars[#bars + 1] = field end
  end
  if #bars > tonumber(ARGV[2]) then
    local oldest, at = nil, math.huge
    for _, field in ipairs(bars) do
      local barred = tonumber(redis.call('HGET', KEYS[1], field))
      if barred < at then oldest, at = field, barred end
    end
    barUser(at)
    redis.call('HDEL', KEYS[1], oldest)
  end
end
redis.call('PUBLISH', ARGV[3], ARGV[4])
return string.format('%.0f', time[1] * 1000000 + time[2])
