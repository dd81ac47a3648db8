-- Shared by the scripts that read orders for the fold; not a script of its own.

-- Read one order: at most `most` log records, until `most_bytes` of them, or `left` bytes, are passed; they are read in small
-- lots. Returns { revision or "", cursor, packed records in front of the log, change to announce or "", state or "", does the
-- document exist, length of the log, { records from the cursor on }, generation, dead letters whose events were replayed or
-- "" }, and how many bytes are left.
local function load_order(document, state, log, meta, most, most_bytes, left)
  local fields = redis.call('HMGET', meta, 'r', 'c', 'p', 'n', 'g', 'd')
  local cursor = tonumber(fields[2] or '0')
  local length = redis.call('LLEN', log)
  local lot = 16
  local records, bytes = {}, 0
  while #records < most and bytes < most_bytes and left > 0 and cursor + #records < length do
    local first = cursor + #records
    for _, record in ipairs(redis.call('LRANGE', log, first, first + math.min(lot, most - #records) - 1)) do
      records[#records + 1] = record
      bytes = bytes + #record
      left = left - #record
    end
  end
  return {
    fields[1] or '', cursor, tonumber(fields[3] or '0'), fields[4] or '', redis.call('GET', state) or '',
    redis.call('EXISTS', document), length, records, fields[5] or '', fields[6] or '',
  }, left
end
