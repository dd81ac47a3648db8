-- Shared by the scripts that write the outcome of a fold; not a script of its own.

-- The revision behind one ("" for none).
local function next_revision(revision)
  return revision == '' and 1 or revision + 1
end

-- Write one order's outcome, if nobody else has written meanwhile (compare-and-set on generation and revision). ARGV from
-- `at` + 1: revision it was loaded with ("" for none), document ("" unchanged), state, new cursor, change to announce ("" keeps
-- what is there), record to append to the log ("" none), server's time in ms at which all keys of the order go, generation it
-- was loaded with. `announced`: the same call announces the change, so it need not wait with the order.
-- Returns 1 written, 0 somebody else was faster, 2 the order is gone (another one may have its name).
-- Cursor and log move together here; an order that was erased stays erased. One that was made by a version without
-- generations has none, and keeps none: whatever has its name after an erasure has one.
local function commit_order(document, state, log, meta, at, announced)
  local fields = redis.call('HMGET', meta, 'g', 'r')
  local generation = fields[1] or ''
  if generation ~= ARGV[at + 8] or (generation == '' and redis.call('EXISTS', meta) == 0) then return 2 end
  if (fields[2] or '') ~= ARGV[at + 1] then return 0 end
  local ends = ARGV[at + 7]
  if ARGV[at + 2] ~= '' then redis.call('SET', document, ARGV[at + 2], 'PXAT', ends)
  else redis.call('PEXPIREAT', document, ends) end
  redis.call('SET', state, ARGV[at + 3], 'PXAT', ends)
  local cursor = tonumber(ARGV[at + 4])
  if ARGV[at + 6] ~= '' and redis.call('RPUSH', log, ARGV[at + 6]) == cursor + 1 then cursor = cursor + 1 end
  local revision = next_revision(ARGV[at + 1])
  if ARGV[at + 5] ~= '' and not announced then redis.call('HSET', meta, 'r', revision, 'c', cursor, 'n', ARGV[at + 5])
  else redis.call('HSET', meta, 'r', revision, 'c', cursor) end
  redis.call('PEXPIREAT', log, ends)
  redis.call('PEXPIREAT', meta, ends)
  return 1
end
