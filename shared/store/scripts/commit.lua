-- Write the outcomes of folds.
--
-- KEYS   per order: document, state, log, meta
-- ARGV   per order: eight words, as `commit_order` in committing.lua
-- Return per order: 1 written, 0 somebody else was faster, 2 the order is gone (another one may have its name)
--@include committing.lua
local results = {}
for n = 1, math.floor(#KEYS / 4) do
  results[n] = commit_order(KEYS[n * 4 - 3], KEYS[n * 4 - 2], KEYS[n * 4 - 1], KEYS[n * 4], (n - 1) * 8, false)
end
return results
