-- Mark orders as due.
--
-- KEYS   per order: due, marks, leases
-- ARGV   per order: its name
-- Return per order: 1 it was not due before, 0 it was
--@include due.lua
local results, now = {}, now_ms()
for n = 1, #ARGV do
  results[n] = mark(KEYS[n * 3 - 2], KEYS[n * 3 - 1], KEYS[n * 3], ARGV[n], now) and 1 or 0
end
return results
