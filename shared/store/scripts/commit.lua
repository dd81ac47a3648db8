-- Write the outcome of a fold, if nobody else has written meanwhile (compare-and-set on generation and revision).
--
-- KEYS   per order: document, state, log, meta
-- ARGV   per order: revision it was loaded with ("" for none), new revision, document ("" unchanged), state,
--          new cursor, change to announce ("" keeps what is there), record to append to the log ("" none),
--          server's time in ms at which all keys of the order go, generation it was loaded with
-- Return per order: 1 written, 0 somebody else was faster, 2 the order is gone (another one may have its name)
-- Note   cursor and log move together here; an order that was erased stays erased. One that was made by a version without
--          generations has none, and keeps none: whatever has its name after an erasure has one.
local results = {}
for n = 1, math.floor(#KEYS / 4) do
  local document, state, log, meta = KEYS[n * 4 - 3], KEYS[n * 4 - 2], KEYS[n * 4 - 1], KEYS[n * 4]
  local at = (n - 1) * 9
  local fields = redis.call('HMGET', meta, 'g', 'r')
  local generation = fields[1] or ''
  if generation ~= ARGV[at + 9] or (generation == '' and redis.call('EXISTS', meta) == 0) then
    results[n] = 2
  elseif (fields[2] or '') == ARGV[at + 1] then
    if ARGV[at + 3] ~= '' then redis.call('SET', document, ARGV[at + 3]) end
    redis.call('SET', state, ARGV[at + 4])
    local cursor = tonumber(ARGV[at + 5])
    if ARGV[at + 7] ~= '' and redis.call('RPUSH', log, ARGV[at + 7]) == cursor + 1 then cursor = cursor + 1 end
    redis.call('HSET', meta, 'r', ARGV[at + 2], 'c', cursor)
    if ARGV[at + 6] ~= '' then redis.call('HSET', meta, 'n', ARGV[at + 6]) end
    for key = n * 4 - 3, n * 4 do redis.call('PEXPIREAT', KEYS[key], ARGV[at + 8]) end
    results[n] = 1
  else
    results[n] = 0
  end
end
return results
