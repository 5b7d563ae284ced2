-- Takes leave for one request to the broker, or blocks all of them for a while.
-- KEYS[1] budget  ARGV[1] kind: cancel | resolve | submit | poll | reconcile | refresh | block  ARGV[2] block: for how many ms
-- Returns 0 (go, or blocked as asked) | ms to wait
--- include budget-window
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local kept = budget_read(KEYS[1], now)
if ARGV[1] == 'block' then
  kept.blocked = math.max(kept.blocked, now + tonumber(ARGV[2]) * 1000)
  budget_write(KEYS[1], kept, now)
  return 0
end
local wait, isSpare = budget_wait(kept, ARGV[1], now)
if wait == 0 then budget_spend(KEYS[1], kept, ARGV[1], now, isSpare) end
return wait
