-- Give up leases.
--
-- KEYS   per order: due, marks, leases
-- ARGV   per order: its name, the mark it was claimed with, the claim's id, when it shall be due again, as `release_order` in
--        releasing.lua
-- Return per order: as `release_order`
--@include due.lua
--@include releasing.lua
local results = {}
for n = 1, math.floor(#KEYS / 3) do
  results[n] = release_order(n * 3 - 2, ARGV[n * 4 - 3], ARGV[n * 4 - 2], ARGV[n * 4 - 1], ARGV[n * 4])
end
return results
