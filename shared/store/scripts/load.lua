-- Read what the fold needs of each order.
--
-- KEYS   per order: document, state, log, meta
-- ARGV   1: the most log records to read of one order   2: the most bytes of them   3: the most bytes in all
-- Steps  records are read in small lots until a bound is passed; an order that comes after the last bound gets none.
-- Return per order: { revision or "", cursor, packed records in front of the log, change to announce or "", state or "",
--          does the document exist, length of the log, { records from the cursor on }, generation,
--          dead letters whose events were replayed or "" }
local most, most_bytes, left = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local lot = 16
local results = {}
for n = 1, math.floor(#KEYS / 4) do
  local document, state, log, meta = KEYS[n * 4 - 3], KEYS[n * 4 - 2], KEYS[n * 4 - 1], KEYS[n * 4]
  local fields = redis.call('HMGET', meta, 'r', 'c', 'p', 'n', 'g', 'd')
  local cursor = tonumber(fields[2] or '0')
  local length = redis.call('LLEN', log)
  local records, bytes = {}, 0
  while #records < most and bytes < most_bytes and left > 0 and cursor + #records < length do
    local first = cursor + #records
    for _, record in ipairs(redis.call('LRANGE', log, first, first + math.min(lot, most - #records) - 1)) do
      records[#records + 1] = record
      bytes = bytes + #record
      left = left - #record
    end
  end
  results[n] = {
    fields[1] or '', cursor, tonumber(fields[3] or '0'), fields[4] or '', redis.call('GET', state) or '',
    redis.call('EXISTS', document), length, records, fields[5] or '', fields[6] or '',
  }
end
return results
