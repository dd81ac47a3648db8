-- Replace folded records of orders' logs by one packed record each.
--
-- KEYS   per order: log, meta
-- ARGV   per order: revision it was read with, cursor then, how many packed records stay in front, the packed record,
--          generation it was read with, bytes of the records that were left out of the packed one
-- Return per order: 1 replaced, 0 the order has moved on
--@include packing.lua
local results = {}
for n = 1, math.floor(#KEYS / 2) do
  local at = (n - 1) * 6
  results[n] = pack(KEYS[n * 2 - 1], KEYS[n * 2], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3]), ARGV[at + 4],
    ARGV[at + 5], ARGV[at + 6])
end
return results
