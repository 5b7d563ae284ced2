-- Commits a user's changes together with their events, or nothing at all (promise P3).
--
-- Keeps true: the version only grows; event ids only grow and each entry names the one before it; an event is in the log if and
-- only if the state that it tells of is written. Everything is checked before the first write; all keys lie in one slot.
--
-- KEYS[1] state (hash)  KEYS[2] event log (stream)  KEYS[3] the connection's lease
-- ARGV  expected version
--       fence kind, field, value:
--         lease    the lease must hold exactly `value`
--         claim    state field `field` must hold exactly `value`
--         take     state field `field` becomes '<new version> <value>': the caller owns the trade from now on
--         version  the expected version is fence enough: the record has no owner
--       log length, log lifetime in ms
--       n, (field, value) * n     fields to write
--       n, field * n              fields to remove
--       n, (event, payload, channel, a, b, c) * n     packet = a .. id .. b .. previous id .. c
-- Returns {1, version, last event id} committed | {0, version, ''} version moved | {-1, version, ''} fenced off
local NO_EVENT = '0000000000000-00000'
local SEQUENCE_MAX = 99999

local at = 0
local function arg() at = at + 1; return ARGV[at] end

local expected, kind, fenceField, fence = arg(), arg(), arg(), arg()
local known = redis.call('HMGET', KEYS[1], 'v', 'last')
local version = known[1] or '0'
if kind == 'lease' then
  if redis.call('GET', KEYS[3]) ~= fence then return {-1, version, ''} end
elseif kind == 'claim' then
  if redis.call('HGET', KEYS[1], fenceField) ~= fence then return {-1, version, ''} end
elseif kind ~= 'take' and kind ~= 'version' then
  return redis.error_reply('ERR unknown fence ' .. tostring(kind))
end
if version ~= expected then return {0, version, ''} end

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2] -- microseconds since 1970, below 2^53: exact
local next = tonumber(version) + 1
if now > next then next = now end
next = string.format('%.0f', next)

local logMax, logTtlMs = arg(), arg()
local writes = {'v', next}
if kind == 'take' then writes[3] = fenceField; writes[4] = next .. ' ' .. fence end
for _ = 1, tonumber(arg()) do
  writes[#writes + 1] = arg()
  writes[#writes + 1] = arg()
end
local removals = {}
for _ = 1, tonumber(arg()) do removals[#removals + 1] = arg() end

local last = known[2] or NO_EVENT
local ms, sequence = tonumber(string.sub(last, 1, 13)), tonumber(string.sub(last, 15))
local nowMs = math.floor(now / 1000)
local packets = {}
for _ = 1, tonumber(arg()) do
  if nowMs > ms then ms = nowMs; sequence = 0
  elseif sequence == SEQUENCE_MAX then ms = ms + 1; sequence = 0
  else sequence = sequence + 1 end
  local id = string.format('%013d-%05d', ms, sequence)
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', logMax, string.format('%d-%d', ms, sequence), 'e', arg(), 'd', arg(), 'p', last)
  packets[#packets + 1] = {arg(), arg() .. id .. arg() .. last .. arg()}
  last = id
end
if #packets > 0 then
  redis.call('PEXPIRE', KEYS[2], logTtlMs)
  writes[#writes + 1] = 'last'
  writes[#writes + 1] = last
end
redis.call('HSET', KEYS[1], unpack(writes))
if #removals > 0 then redis.call('HDEL', KEYS[1], unpack(removals)) end
for _, packet in ipairs(packets) do redis.call('PUBLISH', packet[1], packet[2]) end
return {1, next, last}
