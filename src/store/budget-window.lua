-- Counts the requests of one broker account so that no 60 s hold more than the broker allows
-- (CON-07, S14).
--
-- The counts are stored in one value: first the end of a block ("until", set by a 429), then one
-- entry for each slice of 5 s in which a request was made. An entry holds the slice's number, then
-- the counts of all requests, of submissions, of background readings, and of background readings
-- other than polls. A window is 13 slices, so that it covers any 60 s. A block's length is stored
-- in an entry with the number 0. If a caller takes leave twice after a lost reply, it only makes
-- fewer requests than it might.
--
-- Redis time may step back, as when a replica takes over whose clock is behind. A slice that is
-- later than now counts as of now, and a block that ends later than its whole length from now
-- begins again: neither lasts as long as the step. Such a correction is written at once, because
-- otherwise it would begin again with every reading.
local SLICE_US = 5000000
local BLOCK_US_MAX = 60000000
local SLICES = 13
local ALL_MAX, SUBMIT_MAX, READ_MAX, BESIDE_MAX = 200, 150, 40, 16
-- The last ten requests are reserved for cancels and for resolving orders.
local ORDINARY_MAX = 190
-- An account with fewer requests than this has requests to spare: a recovery, whose lists count as
-- polls, need not wait for them.
local SPARE_BELOW = 80

local function budget_write(key, kept, now)
  local values = {kept.blocked, unpack(kept.slices)}
  if kept.blocked > 0 then values[#values + 1] = {0, kept.blockLength} end
  redis.call('SET', key, cmsgpack.pack(values), 'PX', math.ceil(math.max(SLICES * SLICE_US, kept.blocked - now) / 1000))
end

-- Adds a slice at the end; a slice later than now counts as the slice of now.
local function budget_add(slices, slice, number)
  local last = slices[#slices]
  slice[1] = math.min(slice[1], number)
  if not last or last[1] < slice[1] then
    slices[#slices + 1] = slice
    return
  end
  for place = 2, 5 do last[place] = last[place] + slice[place] end
end

local function budget_read(key, now)
  local text = redis.call('GET', key)
  local kept = {blocked = 0, blockLength = BLOCK_US_MAX, slices = {}}
  if not text then return kept end
  local known = cmsgpack.unpack(text)
  local number, isAhead = math.floor(now / SLICE_US), false
  kept.blocked = known[1]
  for i = 2, #known do
    local slice = known[i]
    slice[5] = slice[5] or 0 -- written before polls had a limit of their own
    if slice[1] == 0 then kept.blockLength = slice[2]
    elseif slice[1] > number - SLICES then
      isAhead = isAhead or slice[1] > number
      budget_add(kept.slices, slice, number)
    end
  end
  if kept.blocked > now + kept.blockLength then
    kept.blocked, isAhead = now + kept.blockLength, true
  end
  if isAhead then budget_write(key, kept, now) end
  return kept
end

-- A poll finds the fills that no stream reported: the limit of all other readings leaves enough
-- requests for polls (P7).
local function budget_classes(kind)
  local beside = kind == 'reconcile' or kind == 'refresh'
  return {submit = kind == 'submit', read = beside or kind == 'poll', beside = beside}
end

local function budget_totals(kept)
  local totals = {0, 0, 0, 0, 0} -- places as in a slice
  for _, slice in ipairs(kept.slices) do
    for place = 2, 5 do totals[place] = totals[place] + slice[place] end
  end
  return totals
end

-- Returns the place of the count that is used up, or nil; and whether the request may be made all
-- the same, from the spare requests.
local function budget_full(totals, kind)
  local is = budget_classes(kind)
  local isOrdinary = is.submit or is.read
  if totals[2] >= (isOrdinary and ORDINARY_MAX or ALL_MAX) then return 2, false end
  if is.submit and totals[3] >= SUBMIT_MAX then return 3, false end
  local isSpare = is.read and totals[2] < SPARE_BELOW
  if is.read and totals[4] >= READ_MAX then return 4, isSpare end
  if is.beside and totals[5] >= BESIDE_MAX then return 5, isSpare end
  return nil, false
end

-- Returns 0, or how many ms until a request of this kind may be made; and whether it is made from
-- the spare requests.
local function budget_wait(kept, kind, now)
  if kept.blocked > now then return math.ceil((kept.blocked - now) / 1000) end
  local full, isSpare = budget_full(budget_totals(kept), kind)
  if not full or isSpare then return 0, isSpare end
  -- The oldest slice in which that count grew leaves the window first.
  for _, slice in ipairs(kept.slices) do
    if slice[full] > 0 then return math.ceil(((slice[1] + SLICES) * SLICE_US - now) / 1000) end
  end
end

local function budget_block(key, kept, now, length)
  if now + length > kept.blocked then kept.blocked, kept.blockLength = now + length, length end
  budget_write(key, kept, now)
end

-- A request from the spare requests counts in the total only, not in the limits of readings.
local function budget_spend(key, kept, kind, now, isSpare)
  local number, is = math.floor(now / SLICE_US), budget_classes(kind)
  local slice = kept.slices[#kept.slices]
  if not slice or slice[1] ~= number then
    slice = {number, 0, 0, 0, 0}
    kept.slices[#kept.slices + 1] = slice
  end
  slice[2] = slice[2] + 1
  if is.submit then slice[3] = slice[3] + 1 end
  if is.read and not isSpare then slice[4] = slice[4] + 1 end
  if is.beside and not isSpare then slice[5] = slice[5] + 1 end
  budget_write(key, kept, now)
end
