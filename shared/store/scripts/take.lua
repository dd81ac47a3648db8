-- Claim orders that are due and read what the fold needs of each, in one call; where nothing is due, wait for work. On one server
-- only: the keys are made here.
--
-- KEYS   1: the list of what the shift is handed under the claim's id
-- ARGV   1: the claim's id   2 to 8: as `take_due` in taking.lua   9: "1" where the shift has waited under that id until now
--        10: "1" to wait if nothing is due
-- Steps  wait no longer, and see what was handed over meanwhile; claim, then load; or wait (nobody hears of that but whoever brings
--        work: see handing.lua).
-- Return { server's time in us, orders still due, { as claim.lua }, { per order, as `load_order` in loading.lua }, what was
--        handed over or "" }
--@include keys.lua
--@include due.lua
--@include claiming.lua
--@include loading.lua
--@include taking.lua
--@include waiting.lua
local claim = ARGV[1]
local handed = ARGV[9] == '1' and here_alone('ZREM', WAITING, claim) == 0 and here_alone('LPOP', KEYS[1]) or ''
local more, claimed, loaded = take_due(claim, 1)
if ARGV[10] == '1' and #claimed == 0 and handed == '' then
  local now = now_ms()
  here_alone('ZREMRANGEBYSCORE', WAITING, '-inf', now - 60000) -- shifts that have died
  wait_as(claim, now)
end
return { now_us(), more, claimed, loaded, handed }
