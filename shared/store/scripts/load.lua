-- Read what the fold needs of each order.
--
-- KEYS   per order: document, state, log, meta
-- ARGV   1: the most log records to read of one order
-- Return per order: { revision or "", cursor, packed records in front of the log, change to announce or "", state or "",
--          does the document exist, length of the log, { records from the cursor on } }
local results = {}
for n = 1, math.floor(#KEYS / 4) do
  local document, state, log, meta = KEYS[n * 4 - 3], KEYS[n * 4 - 2], KEYS[n * 4 - 1], KEYS[n * 4]
  local fields = redis.call('HMGET', meta, 'r', 'c', 'p', 'n')
  local cursor = tonumber(fields[2] or '0')
  results[n] = {
    fields[1] or '', cursor, tonumber(fields[3] or '0'), fields[4] or '', redis.call('GET', state) or '',
    redis.call('EXISTS', document), redis.call('LLEN', log),
    redis.call('LRANGE', log, cursor, cursor + tonumber(ARGV[1]) - 1),
  }
end
return results
