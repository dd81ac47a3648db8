-- Note that ids lead to orders.
--
-- KEYS   per id: bucket
-- ARGV   1: the most orders that one id leads to   per id: its digest, order's name
-- Return per id: 1 noted, 0 it was there
--@include linking.lua
local results = {}
for n = 1, #KEYS do results[n] = link(KEYS[n], ARGV[n * 2], ARGV[n * 2 + 1], tonumber(ARGV[1])) end
return results
