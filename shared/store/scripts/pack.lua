-- Replace folded records of orders' logs by one packed record each.
--
-- KEYS   per order: log, meta, state
-- ARGV   per order: revision it was read with, cursor then, how many packed records stay in front, the packed record,
--          generation it was read with, bytes of the records that were left out of the packed one, the state as it shall be
--          kept ("" as it is)
-- Return per order: 1 replaced, 0 the order has moved on
--@include packing.lua
local results = {}
for n = 1, math.floor(#KEYS / 3) do
  local at = (n - 1) * 7
  results[n] = pack(KEYS[n * 3 - 2], KEYS[n * 3 - 1], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3]), ARGV[at + 4],
    ARGV[at + 5], ARGV[at + 6])
  if results[n] == 1 and ARGV[at + 7] ~= '' then redis.call('SET', KEYS[n * 3], ARGV[at + 7], 'XX', 'KEEPTTL') end
end
return results
