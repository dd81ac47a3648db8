-- Finish a batch, in one call: write the outcomes of folds, announce what has changed, pack event logs, give the leases up; then
-- wait for work, if that is asked for. On one server only: the keys belong to many orders.
--
-- KEYS   those that are used: per shard due, marks, leases; per tenant index, idle, open, attention, incomplete, disagrees; the sets
--        of some statuses
-- ARGV   1: the claim's id   2: about how many changes the stream keeps   3: the most orders that one id leads to
--        4: the id under which the shift waits from now on, or ""   and then only   5 to 11: as `take_due` in taking.lua
--        per order: its name, its shard's first key, the mark it was claimed with, when it shall be due again (as
--          `release_order`; "k": its lease is kept), what is to be done (1 write, 3 write and announce; 4 more: pack), how many
--          words follow, and these:
--          write     eight words, as `commit_order`
--          announce  the seven values of the stream's entry; its tenant's first key; six words, as `note_order`; how many ids lead
--                    to the order from now on; per id: bucket, digest
--          pack      how many packed records stay in front, the packed record, bytes that it leaves out
-- Steps  per order: write it; announce what has changed, or note that it is to be announced where that fails; pack; release.
--        What could not be written is neither announced nor packed, and due again at once. Wake
--        a shift where an order is due again at once. If one was to be woken and this one goes on, it is this one: claim and load what
--        is due, and hand it over to oneself; or wait.
-- Return per order: 1 written, 0 somebody else was faster, 2 the order is gone, 3 there was nothing to write
--@include keys.lua
--@include due.lua
--@include claiming.lua
--@include loading.lua
--@include taking.lua
--@include waiting.lua
--@include handing.lua
--@include committing.lua
--@include indexed.lua
--@include linking.lua
--@include packing.lua
--@include releasing.lua
local claim, most_changes, most_linked, following = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local now = now_ms()
local results, woken = {}, false

-- Announce a change by the words from `at` + 1; where they end.
local function announce(name, at)
  redis.call('XADD', CHANGES, 'MAXLEN', '~', most_changes, '*', 'tenant', ARGV[at + 1], 'orderReferenceId', ARGV[at + 2],
    'version', ARGV[at + 3], 'status', ARGV[at + 4], 'previousStatus', ARGV[at + 5], 'terminal', ARGV[at + 6], 'at', ARGV[at + 7])
  at = at + 8
  note_order(tonumber(ARGV[at]), at, now)
  at = at + 7
  local ends = at + 2 * tonumber(ARGV[at])
  for word = at + 1, ends, 2 do link(ARGV[word], ARGV[word + 1], name, most_linked) end
  return ends
end

local at = following == '' and 4 or 11
while at < #ARGV do
  local name, delay, todo, words = ARGV[at + 1], ARGV[at + 4], tonumber(ARGV[at + 5]), tonumber(ARGV[at + 6])
  local written = 3
  if todo > 0 then
    local rest, outcome = name .. ENDS, at + 6
    local log, meta = LOG .. rest, META .. rest
    written = commit_order(DOCUMENT .. rest, STATE .. rest, log, meta, outcome, todo % 4 == 3)
    if written ~= 1 then
      if delay ~= 'k' then delay = '0' end
    else
      local next_word = outcome + 8
      if todo % 4 == 3 then
        local fine, result = pcall(announce, name, next_word)
        if not fine then
          redis.call('HSET', meta, 'n', ARGV[outcome + 5]) -- for whoever comes next
          error(result, 0)
        end
        next_word = result
      end
      if todo >= 4 then
        pack(log, meta, tostring(next_revision(ARGV[outcome + 1])), ARGV[outcome + 4], tonumber(ARGV[next_word + 1]), ARGV[next_word + 2],
          ARGV[outcome + 8], ARGV[next_word + 3])
      end
    end
  end
  if delay ~= 'k' and release_order(tonumber(ARGV[at + 2]), name, ARGV[at + 3], claim, delay) == 3 then woken = true end
  results[#results + 1] = written
  at = at + 6 + words
end
if following == '' then
  if woken then wake(WAKE) end
elseif redis.call('LPOP', WAKE) or woken then
  local more, claimed, loaded = take_due(following, 4)
  if #claimed > 0 then give(following, now_us(), more, claimed, loaded) else wait_as(following, now) end
else
  wait_as(following, now)
end
return results
