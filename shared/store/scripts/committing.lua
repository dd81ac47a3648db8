-- Shared by the scripts that write the outcome of a fold; not a script of its own.

-- Write one order's outcome, if nobody else has written meanwhile (compare-and-set on generation and revision). ARGV from
-- `at` + 1: revision it was loaded with ("" for none), new revision, document ("" unchanged), state, new cursor, change to
-- announce ("" keeps what is there), record to append to the log ("" none), server's time in ms at which all keys of the
-- order go, generation it was loaded with.
-- Returns 1 written, 0 somebody else was faster, 2 the order is gone (another one may have its name).
-- Cursor and log move together here; an order that was erased stays erased. One that was made by a version without
-- generations has none, and keeps none: whatever has its name after an erasure has one.
local function commit_order(document, state, log, meta, at)
  local fields = redis.call('HMGET', meta, 'g', 'r')
  local generation = fields[1] or ''
  if generation ~= ARGV[at + 9] or (generation == '' and redis.call('EXISTS', meta) == 0) then return 2 end
  if (fields[2] or '') ~= ARGV[at + 1] then return 0 end
  local ends = ARGV[at + 8]
  if ARGV[at + 3] ~= '' then redis.call('SET', document, ARGV[at + 3]) end
  redis.call('SET', state, ARGV[at + 4], 'PXAT', ends)
  local cursor = tonumber(ARGV[at + 5])
  if ARGV[at + 7] ~= '' and redis.call('RPUSH', log, ARGV[at + 7]) == cursor + 1 then cursor = cursor + 1 end
  if ARGV[at + 6] ~= '' then redis.call('HSET', meta, 'r', ARGV[at + 2], 'c', cursor, 'n', ARGV[at + 6])
  else redis.call('HSET', meta, 'r', ARGV[at + 2], 'c', cursor) end
  redis.call('PEXPIREAT', document, ends)
  redis.call('PEXPIREAT', log, ends)
  redis.call('PEXPIREAT', meta, ends)
  return 1
end
