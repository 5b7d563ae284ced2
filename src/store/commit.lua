-- Commits a user's changes together with their events, or nothing at all (promise P3).
--
-- Invariants:
-- - The version only grows.
-- - Event ids only grow, and each entry names the id before it.
-- - An event is in the log if and only if the state that it reports is written.
-- - Everything is checked before the first write, and no write is of a kind that Redis could refuse
--   (RDQ-07).
-- - The state is written first, and the log after it. If the script were cut between the two, the
--   log would lack an id that the state names. Readers answer that with a resync, and never report
--   a change that did not happen.
-- - A repeated commit finds that the version has moved (RDQ-06).
-- - All keys are in one slot.
--
-- The set of open fields follows the state as long as it belongs to the version before. A commit of
-- a writer that does not know the set leaves it outdated, and readers detect that by the version
-- (open-index.ts). The state lists its account records in the field `accounts`.
--
-- KEYS  state (hash), event log (stream), open fields (set), then the keys of the fence, then an
--       archive key and a tombstone key for each order that is archived
-- ARGV  expected version
--       fence kind, field, value
--         lease    KEYS: the lease, which must hold exactly `value`
--         claim    state field `field` must hold exactly `value`
--         resolve  state field `field` becomes '<new version> <value>': the caller owns the trade,
--                  and must not send it
--         take     the same, and the caller may send it.
--                  KEYS: the trade's archive, its tombstone, control set, budget
--                  ARGV: order field, cancel mark field, first ('1' or '0'), connection field, link
--                  field, halt field of the connection, revision of the caller's credentials,
--                  exposure (the request's effect on the position: 'adds', 'reduces' or 'shrinks'),
--                  budget ('1' or '0'), trading day or '' if the order is not counted; with a day,
--                  the arguments of pace-window.lua follow
--         change   as take, of an order that is at the broker: `field` and `value` are empty, and
--                  no claim is taken
--         version  the expected version is enough of a fence: the record has no owner
--       log length, log lifetime in ms
--       n, (field, value, open) * n   fields to write; `open` '1': one that the set of open fields
--       names, '0': one that it does not
--       n, field * n              fields to remove
--       n, lifetime in ms, lifetime of tombstones in ms, (order, origin, hash) * n   orders for the
--       archive; those of origin 'fillcast' leave their hash as a tombstone
--       n, (event, payload, channel, a, b, c) * n     packet = a .. id .. b .. previous id .. c
-- Returns {'committed', version, last event id} | {'conflict'} | {'fenced'} | {'halted', halt}
--       | {'archived', order} | {'ended', hash} | {'unusable', connection record or ''}
--       | {'over_budget', ms to wait} | {'over_pace', scope, most, ms to wait or -1}
--- include budget-window
--- include in-parts
--- include pace-window
local SEQUENCE_MAX = 99999

local argAt, keyAt = 0, 3
local function arg() argAt = argAt + 1; return ARGV[argAt] end
local function key() keyAt = keyAt + 1; return KEYS[keyAt] end

local expected, kind, fenceField, fence = arg(), arg(), arg(), arg()
local known = redis.call('HMGET', KEYS[1], 'v', 'last', 'indexed', 'accounts')
local version = known[1] or '0'
local openCount = redis.call('SCARD', KEYS[3])
local isIndexed = not known[1] or known[3] == version .. ' ' .. openCount
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2] -- microseconds since 1970, below 2^53: exact

-- Credentials may be used for trading once a login has verified their account: the link names their
-- revision (MUL-02).
local function isVerified(connection, link, used)
  if not connection or not link then return false end
  local revision = string.match(connection, '"revision":"(%d+)"')
  return revision == used and revision == string.match(link, '"verified":"(%d+)"')
end
local function forbids(halt, exposure)
  if not halt or exposure == 'shrinks' then return false end
  return not (exposure == 'reduces' and cjson.decode(halt).allows == 'reducing')
end

-- Returns the newest id that the log ever gave, even if that entry was removed, if it is newer than
-- `last`.
local function behindLog(log, last, ms, sequence)
  if redis.call('EXISTS', log) == 0 then return last, ms, sequence end
  local about = redis.call('XINFO', 'STREAM', log)
  for at = 1, #about, 2 do
    if about[at] == 'last-generated-id' then
      local topMs, topSequence = string.match(about[at + 1], '(%d+)-(%d+)')
      topMs, topSequence = tonumber(topMs), tonumber(topSequence)
      if topMs > ms or (topMs == ms and topSequence > sequence) then
        return string.format('%013d-%05d', topMs, topSequence), topMs, topSequence
      end
    end
  end
  return last, ms, sequence
end

local budget, kept, isSeen, pace
local isTaken = kind == 'take' or kind == 'resolve'
if kind == 'lease' then
  if redis.call('GET', key()) ~= fence then return {'fenced'} end
elseif kind == 'claim' then
  if redis.call('HGET', KEYS[1], fenceField) ~= fence then return {'fenced'} end
elseif kind == 'take' or kind == 'change' then
  local archived, tombstone = redis.call('GET', key()), redis.call('GET', key())
  local there = redis.call('HMGET', KEYS[1], arg(), arg())
  if archived and not there[1] then return {'archived', archived} end
  if tombstone and not there[1] then return {'ended', tombstone} end
  isSeen = arg() == '1' and (there[1] or there[2])
  local control = redis.call('HMGET', key(), arg(), arg(), arg(), 'halt')
  local revision, exposure = arg(), arg()
  if forbids(control[4], exposure) then return {'halted', control[4]} end
  if forbids(control[3], exposure) then return {'halted', control[3]} end
  if not isVerified(control[1], control[2], revision) then return {'unusable', control[1] or ''} end
  budget = key()
  if arg() == '0' then budget = nil end
  local day = arg()
  if day ~= '' then pace = pace_of(day, key, arg) end
elseif kind ~= 'resolve' and kind ~= 'version' then
  return redis.error_reply('ERR unknown fence ' .. tostring(kind))
end
if version ~= expected or isSeen then return {'conflict'} end
if budget then
  kept = budget_read(budget, now)
  local wait = budget_wait(kept, 'submit', now)
  if wait > 0 then return {'over_budget', wait} end
end
if pace then
  local over = pace_over(pace, now)
  if over then return over end
end

local next = tonumber(version) + 1
if now > next then next = now end
next = string.format('%.0f', next)

local logMax, logTtlMs = arg(), arg()
local writes = {'v', next}
if isTaken then writes[3] = fenceField; writes[4] = next .. ' ' .. fence end
local opened, closed = {}, {}
-- ' broker_1 broker_2 ': a blank on both sides of each connection that has an account record.
local accounts = known[4] or ' '
local function noteAccount(name, isThere)
  local connectionId = string.match(name, '^account:(.*)$')
  if not connectionId then return end
  local from, to = string.find(accounts, ' ' .. connectionId .. ' ', 1, true)
  if isThere and not from then accounts = accounts .. connectionId .. ' '
  elseif from and not isThere then accounts = string.sub(accounts, 1, from) .. string.sub(accounts, to + 1) end
end
for _ = 1, tonumber(arg()) do
  local name = arg()
  writes[#writes + 1] = name
  writes[#writes + 1] = arg()
  local names = arg() == '1' and opened or closed
  names[#names + 1] = name
  noteAccount(name, true)
end
local removals = {}
for _ = 1, tonumber(arg()) do
  local name = arg()
  removals[#removals + 1] = name
  closed[#closed + 1] = name
  noteAccount(name, false)
end
if accounts ~= (known[4] or ' ') then
  writes[#writes + 1] = 'accounts'
  writes[#writes + 1] = accounts
end
local archives, archivesCount, archiveTtlMs, tombstoneTtlMs = {}, tonumber(arg()), arg(), arg()
for i = 1, archivesCount do archives[i] = {key(), key(), arg(), arg(), arg()} end

local eventCount = tonumber(arg())
local last = known[2] or '0000000000000-00000'
local ms, sequence = tonumber(string.sub(last, 1, 13)), tonumber(string.sub(last, 15))
if eventCount > 0 then
  -- Usually there is no entry behind the state's last id, and this check costs little.
  local ahead = redis.call('XRANGE', KEYS[2], '(' .. string.format('%d-%d', ms, sequence), '+', 'COUNT', 1)[1]
  if ahead or not known[2] or redis.call('XLEN', KEYS[2]) == 0 then
    last, ms, sequence = behindLog(KEYS[2], last, ms, sequence)
  end
end
local nowMs = math.floor(now / 1000)
local entries = {}
for i = 1, eventCount do
  if nowMs > ms then ms = nowMs; sequence = 0
  elseif sequence == SEQUENCE_MAX then ms = ms + 1; sequence = 0
  else sequence = sequence + 1 end
  local id = string.format('%013d-%05d', ms, sequence)
  local event, payload, channel = arg(), arg(), arg()
  entries[i] = {string.format('%d-%d', ms, sequence), event, payload, last, channel, arg() .. id .. arg() .. last .. arg()}
  last = id
end
if #entries > 0 then
  writes[#writes + 1] = 'last'
  writes[#writes + 1] = last
end

if budget then budget_spend(budget, kept, 'submit', now) end
if pace then pace_count(pace, now) end
for _, archive in ipairs(archives) do
  redis.call('SET', archive[1], archive[3], 'PX', archiveTtlMs)
  if archive[4] == 'fillcast' then redis.call('SET', archive[2], archive[5], 'PX', tombstoneTtlMs) end
end
if isIndexed then
  if not known[1] and openCount > 0 then
    redis.call('DEL', KEYS[3])
    openCount = 0
  end
  openCount = openCount + inParts('SADD', KEYS[3], opened) - inParts('SREM', KEYS[3], closed)
  writes[#writes + 1] = 'indexed'
  writes[#writes + 1] = next .. ' ' .. openCount
end
inParts('HSET', KEYS[1], writes)
inParts('HDEL', KEYS[1], removals)
for _, entry in ipairs(entries) do
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', logMax, entry[1], 'e', entry[2], 'd', entry[3], 'p', entry[4])
end
if #entries > 0 then redis.call('PEXPIRE', KEYS[2], logTtlMs) end
for _, entry in ipairs(entries) do redis.call('PUBLISH', entry[5], entry[6]) end
return {'committed', next, last}
