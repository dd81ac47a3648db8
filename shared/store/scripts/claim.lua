-- Claim orders that are due, by lease: until it ends nobody else claims them; if its holder dies they are due again.
--
-- KEYS   per shard: due, marks, leases
-- ARGV   1: the most orders to claim   2: length of the lease, ms   3: the claim's id   4: which shard comes first
--        5: only orders that have been due for this long, ms
-- Steps  per shard: take the orders longest due; move each to the end of its lease; write down who holds it.
-- Return { server's time in us, orders still due, { { name, mark, whether its last lease ran out } per order } }
--@include due.lua
--@include claiming.lua
local function keys_of(shard)
  return KEYS[shard * 3 + 1], KEYS[shard * 3 + 2], KEYS[shard * 3 + 3]
end

local more, claimed = claim_due(keys_of, math.floor(#KEYS / 3), tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4]),
  tonumber(ARGV[5]))
return { now_us(), more, claimed }
