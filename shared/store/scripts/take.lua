-- Claim orders that are due and read what the fold needs of each, in one call; where nothing is due, wait for work. On one server
-- only: the keys of the orders are not known before.
--
-- KEYS   per shard: due, marks, leases   then: the shifts that wait, the list of what this one is handed
-- ARGV   1 to 5: as claim.lua   6 to 8: as 1 to 3 of load.lua   9 to 12: what stands before an order's name in the keys of
--        its document, state, log, meta   13: what stands behind it
--        14: "1" where the shift has waited under the claim's id until now   15: "1" to wait if nothing is due
-- Steps  wait no longer, and see what was handed over meanwhile; claim, then load; or wait (nobody hears of that but whoever brings
--        work: see handing.lua).
-- Return { server's time in us, orders still due, { as claim.lua }, { per order, as `load_order` in loading.lua }, what was
--        handed over or "" }
--@include due.lua
--@include claiming.lua
--@include loading.lua
--@include waiting.lua
local waiting, hand = KEYS[#KEYS - 1], KEYS[#KEYS]
redis.set_repl(redis.REPL_NONE)
local handed = ARGV[14] == '1' and redis.call('ZREM', waiting, ARGV[3]) == 0 and redis.call('LPOP', hand) or ''
redis.set_repl(redis.REPL_ALL)
local more, claimed = claim_due(math.floor((#KEYS - 2) / 3), tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4]),
  tonumber(ARGV[5]))
local left = tonumber(ARGV[8])
local results = {}
for n, order in ipairs(claimed) do
  local rest = order[1] .. ARGV[13]
  results[n], left = load_order(ARGV[9] .. rest, ARGV[10] .. rest, ARGV[11] .. rest, ARGV[12] .. rest, tonumber(ARGV[6]),
    tonumber(ARGV[7]), left)
end
if ARGV[15] == '1' and #claimed == 0 and handed == '' then
  wait_as(waiting, ARGV[3], now_ms())
end
local time = redis.call('TIME')
return { tonumber(time[1]) * 1000000 + tonumber(time[2]), more, claimed, results, handed }
