-- Requests of one broker account, counted so that no 60 s hold more than the broker allows (CON-07, S14).
--
-- The count lies in one value: the end of a block ("until", set by a 429), then one entry for each slice of 5 s in which something
-- was asked: its number, everything, submissions, reading in the background, and of that what is no poll. A window is 13 slices, so
-- that it covers any 60 s.
-- Who counts twice after a lost reply only asks less than it might.
local SLICE_US = 5000000
local SLICES = 13
local ALL_MAX, SUBMIT_MAX, READ_MAX, BESIDE_MAX = 200, 150, 40, 16

local function budget_read(key, now)
  local text = redis.call('GET', key)
  local kept = {blocked = 0, slices = {}}
  if not text then return kept end
  local known = cmsgpack.unpack(text)
  kept.blocked = known[1]
  local oldest = math.floor(now / SLICE_US) - SLICES + 1
  for i = 2, #known do
    local slice = known[i]
    slice[5] = slice[5] or 0 -- written before polls had a share of their own
    if slice[1] >= oldest then kept.slices[#kept.slices + 1] = slice end
  end
  return kept
end

-- A poll is what finds out about fills that no stream told of: whatever else is read leaves it enough (P7).
local function budget_classes(kind)
  local beside = kind == 'reconcile' or kind == 'refresh'
  return {submit = kind == 'submit', read = beside or kind == 'poll', beside = beside}
end

-- 0, or how many ms until a request of this kind may be made.
local function budget_wait(kept, kind, now)
  if kept.blocked > now then return math.ceil((kept.blocked - now) / 1000) end
  local all, submit, read, beside = 0, 0, 0, 0
  for _, slice in ipairs(kept.slices) do
    all = all + slice[2]; submit = submit + slice[3]; read = read + slice[4]; beside = beside + slice[5]
  end
  local is = budget_classes(kind)
  local full -- place in a slice of the count that is spent
  if all >= ALL_MAX then full = 2
  elseif is.submit and submit >= SUBMIT_MAX then full = 3
  elseif is.read and read >= READ_MAX then full = 4
  elseif is.beside and beside >= BESIDE_MAX then full = 5
  else return 0 end
  -- The oldest slice in which that count grew leaves the window first.
  for _, slice in ipairs(kept.slices) do
    if slice[full] > 0 then return math.ceil(((slice[1] + SLICES) * SLICE_US - now) / 1000) end
  end
end

local function budget_write(key, kept, now)
  redis.call('SET', key, cmsgpack.pack({kept.blocked, unpack(kept.slices)}),
    'PX', math.ceil(math.max(SLICES * SLICE_US, kept.blocked - now) / 1000))
end

local function budget_spend(key, kept, kind, now)
  local number = math.floor(now / SLICE_US)
  local slice = kept.slices[#kept.slices]
  if not slice or slice[1] ~= number then
    slice = {number, 0, 0, 0, 0}
    kept.slices[#kept.slices + 1] = slice
  end
  slice[2] = slice[2] + 1
  local is = budget_classes(kind)
  if is.submit then slice[3] = slice[3] + 1 end
  if is.read then slice[4] = slice[4] + 1 end
  if is.beside then slice[5] = slice[5] + 1 end
  budget_write(key, kept, now)
end
