-- Read what the fold needs of each order.
--
-- KEYS   per order: document, state, log, meta
-- ARGV   1: the most log records to read of one order   2: the most bytes of them   3: the most bytes in all
-- Steps  an order that comes after the last bound gets no records.
-- Return per order: as `load_order` in loading.lua
--@include loading.lua
local left = tonumber(ARGV[3])
local results = {}
for n = 1, math.floor(#KEYS / 4) do
  results[n], left = load_order(KEYS[n * 4 - 3], KEYS[n * 4 - 2], KEYS[n * 4 - 1], KEYS[n * 4], tonumber(ARGV[1]),
    tonumber(ARGV[2]), left)
end
return results
