-- Claim orders that are due and read what the fold needs of each, in one call. On one server only: the keys of the orders
-- are not known before.
--
-- KEYS   per shard: due, marks, leases
-- ARGV   1 to 5: as claim.lua   6 to 8: as 1 to 3 of load.lua   9 to 12: what stands before an order's name in the keys of
--        its document, state, log, meta   13: what stands behind it
-- Steps  claim, then load.
-- Return { server's time in us, orders still due, { as claim.lua }, { per order, as `load_order` in loading.lua } }
--@include due.lua
--@include claiming.lua
--@include loading.lua
local more, claimed = claim_due(math.floor(#KEYS / 3), tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4]),
  tonumber(ARGV[5]))
local left = tonumber(ARGV[8])
local results = {}
for n, order in ipairs(claimed) do
  local rest = order[1] .. ARGV[13]
  results[n], left = load_order(ARGV[9] .. rest, ARGV[10] .. rest, ARGV[11] .. rest, ARGV[12] .. rest, tonumber(ARGV[6]),
    tonumber(ARGV[7]), left)
end
local time = redis.call('TIME')
return { tonumber(time[1]) * 1000000 + tonumber(time[2]), more, claimed, results }
