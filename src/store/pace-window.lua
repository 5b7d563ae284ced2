-- Counts the orders that were sent, in the step that takes the claim, so that their number never
-- exceeds a limit: in any 60 s, and in a trading day. The counts are not compared with a version,
-- so that orders that are sent at once do not conflict.
--
-- KEYS  times of the user's orders within a minute, newest first (list); the same of the
--       connection; counts of a day (hash)
-- ARGV  connection id; then of the user, and of the connection: the most in a minute, the most in a
--       day, '' if there is no limit
-- Only the counts that have a limit are kept.
local PACE_US = 60000000
local PACE_KEPT_MAX = 10000
local PACE_DAY_TTL_MS = 172800000

local function pace_of(day, key, arg)
  local userTimes, connectionTimes, days, connection = key(), key(), key(), arg()
  local function scope(name, times, field)
    return {scope = name, times = times, field = field, minute = tonumber(arg()), day = tonumber(arg())}
  end
  return {day = day, days = days, scopes = {scope('user', userTimes, ''), scope('connection', connectionTimes, connection)}}
end

-- The latest day that was counted: a clock that is behind does not begin a day again.
local function pace_today(pace, field)
  local day, count = string.match(redis.call('HGET', pace.days, field) or '', '^(%S+) (%d+)$')
  if day and day >= pace.day then return day, tonumber(count) end
  return pace.day, 0
end

-- Times that lie ahead were written before the clock was set back: from now on they count as of
-- now.
local function pace_mend(times, now)
  local newest = tonumber(redis.call('LINDEX', times, 0) or nil)
  if not newest or newest <= now then return end
  local mended = redis.call('LRANGE', times, 0, -1)
  for i, time in ipairs(mended) do mended[i] = string.format('%.0f', math.min(tonumber(time), now)) end
  redis.call('DEL', times)
  inParts('RPUSH', times, mended)
  redis.call('PEXPIRE', times, PACE_US / 1000)
end

-- Returns the refusal, or nil.
local function pace_over(pace, now)
  for _, one in ipairs(pace.scopes) do
    if one.minute == 0 or one.day == 0 then return {'over_pace', one.scope, 0, -1} end
    if one.day then
      local _, count = pace_today(pace, one.field)
      if count >= one.day then return {'over_pace', one.scope, one.day, -1} end
    end
    if one.minute then
      pace_mend(one.times, now)
      local oldest = tonumber(redis.call('LINDEX', one.times, one.minute - 1) or nil)
      if oldest and now - oldest < PACE_US then
        return {'over_pace', one.scope, one.minute, math.ceil((PACE_US - now + oldest) / 1000)}
      end
    end
  end
end

local function pace_count(pace, now)
  for _, one in ipairs(pace.scopes) do
    if one.minute then
      redis.call('LPUSH', one.times, string.format('%.0f', now))
      redis.call('LTRIM', one.times, 0, PACE_KEPT_MAX - 1)
      redis.call('PEXPIRE', one.times, PACE_US / 1000)
    end
    if one.day then
      local day, count = pace_today(pace, one.field)
      redis.call('HSET', pace.days, one.field, day .. ' ' .. count + 1)
      redis.call('PEXPIRE', pace.days, PACE_DAY_TTL_MS)
    end
  end
end
