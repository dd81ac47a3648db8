-- Finish a batch, in one call: write the outcomes of folds, announce what has changed, pack event logs, give the leases up; then
-- wait for work, if that is asked for. On one server only: the keys belong to many orders.
--
-- KEYS   1: the stream of changes   2: the list on which idle shifts block   3: the shifts that wait   then those that are used: per
--        shard due, marks, leases; per tenant index, idle, open, attention, incomplete, disagrees; the sets of some statuses
-- ARGV   1: the claim's id   2: the id under which the shift waits from now on, or ""   3: about how many changes the stream keeps
--        4: the most orders that one id leads to   5 to 8: what stands before an order's name in the keys of its document, state,
--        log, meta   9: what stands behind it
--        per order: its name, its shard's first key, the mark it was claimed with, when it shall be due again (as
--          `release_order`; "k": its lease is kept), what is to be done (1 write, 3 write and announce; 4 more: pack), how many
--          words follow, and these:
--          write     eight words, as `commit_order`
--          announce  the seven values of the stream's entry; its tenant's first key; six words, as `note_order`; how many ids lead
--                    to the order from now on; per id: bucket, digest
--          pack      how many packed records stay in front, the packed record, bytes that it leaves out
-- Steps  per order: write it; announce what has changed, or note that it is to be announced where that fails; pack; release.
--        What could not be written is neither announced nor packed, and due again at once. Wake
--        a shift where an order is due again at once.
-- Return per order: 1 written, 0 somebody else was faster, 2 the order is gone, 3 there was nothing to write
--@include due.lua
--@include committing.lua
--@include indexed.lua
--@include linking.lua
--@include packing.lua
--@include releasing.lua
--@include waiting.lua
local claim, changes, most_changes, most_linked = ARGV[1], KEYS[1], ARGV[3], tonumber(ARGV[4])
local suffix = ARGV[9]
local now = string.format('%.0f', now_ms())
local results, woken = {}, false

-- Announce a change by the words from `at` + 1; where they end.
local function announce(name, at)
  redis.call('XADD', changes, 'MAXLEN', '~', most_changes, '*', 'tenant', ARGV[at + 1], 'orderReferenceId', ARGV[at + 2],
    'version', ARGV[at + 3], 'status', ARGV[at + 4], 'previousStatus', ARGV[at + 5], 'terminal', ARGV[at + 6], 'at', ARGV[at + 7])
  at = at + 8
  note_order(tonumber(ARGV[at]), at, now)
  at = at + 7
  local ends = at + 2 * tonumber(ARGV[at])
  for word = at + 1, ends, 2 do link(ARGV[word], ARGV[word + 1], name, most_linked) end
  return ends
end

local at = 9
while at < #ARGV do
  local name, delay, todo, words = ARGV[at + 1], ARGV[at + 4], tonumber(ARGV[at + 5]), tonumber(ARGV[at + 6])
  local written = 3
  if todo > 0 then
    local rest, outcome = name .. suffix, at + 6
    local log, meta = ARGV[7] .. rest, ARGV[8] .. rest
    written = commit_order(ARGV[5] .. rest, ARGV[6] .. rest, log, meta, outcome, todo % 4 == 3)
    if written ~= 1 then
      if delay ~= 'k' then delay = '0' end
    else
      local following = outcome + 8
      if todo % 4 == 3 then
        local fine, result = pcall(announce, name, following)
        if not fine then
          redis.call('HSET', meta, 'n', ARGV[outcome + 5]) -- for whoever comes next
          error(result, 0)
        end
        following = result
      end
      if todo >= 4 then
        pack(log, meta, next_revision(ARGV[outcome + 1]), ARGV[outcome + 4], tonumber(ARGV[following + 1]), ARGV[following + 2],
          ARGV[outcome + 8], ARGV[following + 3])
      end
    end
  end
  if delay ~= 'k' and release_order(tonumber(ARGV[at + 2]), name, ARGV[at + 3], claim, delay) == 3 then woken = true end
  results[#results + 1] = written
  at = at + 6 + words
end
if woken then wake(KEYS[2]) end
if ARGV[2] ~= '' then wait_as(KEYS[3], ARGV[2], now) end
return results
