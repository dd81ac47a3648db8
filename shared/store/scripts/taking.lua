-- Shared by the scripts that claim and load in one call, on one server; not a script of its own. Needs keys.lua, due.lua,
-- claiming.lua and loading.lua.

local function shard_keys(shard)
  local rest = shard .. ENDS
  return DUE .. rest, MARKS .. rest, LEASES .. rest
end

-- Claim orders that are due, and load them. ARGV from `at` + 1: the most orders; length of the lease, ms; log records of one order,
-- their bytes, and those of all orders; which shard comes first; only orders that have been due for this long, ms.
-- Returns how many are still due, { as claim.lua }, { per order, as `load_order` }.
local function take_due(claim, at)
  local more, claimed = claim_due(shard_keys, SHARDS, tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), claim, tonumber(ARGV[at + 6]),
    tonumber(ARGV[at + 7]))
  local most, most_bytes, left = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5])
  local loaded = {}
  for n, order in ipairs(claimed) do
    local rest = order[1] .. ENDS
    loaded[n], left = load_order(DOCUMENT .. rest, STATE .. rest, LOG .. rest, META .. rest, most, most_bytes, left)
  end
  return more, claimed, loaded
end
