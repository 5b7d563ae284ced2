-- Takes leave for one request to the broker, or blocks all requests for a while.
-- KEYS[1] budget
-- ARGV[1] kind: cancel | resolve | submit | poll | reconcile | refresh | block
-- ARGV[2] block: for how many ms
-- ARGV[3] the time in microseconds since 1970; absent: Redis time. Only tests pass it.
-- Returns 0 (send the request, or blocked as asked) | ms to wait
--- include budget-window
local time = redis.call('TIME')
local now = tonumber(ARGV[3]) or time[1] * 1000000 + time[2]
local kept = budget_read(KEYS[1], now)
if ARGV[1] == 'block' then
  budget_block(KEYS[1], kept, now, math.min(tonumber(ARGV[2]) * 1000, BLOCK_US_MAX))
  return 0
end
local wait, isSpare = budget_wait(kept, ARGV[1], now)
if wait == 0 then budget_spend(KEYS[1], kept, ARGV[1], now, isSpare) end
return wait
