-- Replace folded records of orders' logs by one packed record each, where nothing was folded meanwhile.
--
-- KEYS   per order: log, meta
-- ARGV   per order: revision it was read with, cursor then, how many packed records stay in front, the packed record,
--          generation it was read with, bytes of the records that were left out of the packed one
-- Steps  keep what came after the cursor aside; cut the log back to the packed records that stay; append the new one,
--        then what was kept aside; move the cursor behind the new one.
-- Return per order: 1 replaced, 0 the order has moved on
local function pack(log, meta, revision, cursor, front, packed, generation, left_out)
  local fields = redis.call('HMGET', meta, 'r', 'c', 'g')
  if (fields[1] or '') ~= revision or (fields[2] or '') ~= cursor or (fields[3] or '') ~= generation then return 0 end
  local later = redis.call('LRANGE', log, cursor, -1)
  if front == 0 then redis.call('DEL', log) else redis.call('LTRIM', log, 0, front - 1) end
  redis.call('RPUSH', log, packed)
  for _, record in ipairs(later) do redis.call('RPUSH', log, record) end
  -- Whoever loaded the order before this holds a cursor into a log that is no more: its commit must fail.
  redis.call('HSET', meta, 'c', front + 1, 'p', front + 1, 'r', string.format('%.0f', tonumber(revision) + 1))
  if left_out ~= '0' then redis.call('HINCRBY', meta, 'b', '-' .. left_out) end
  local ends = redis.call('PEXPIRETIME', meta)
  if ends >= 0 then redis.call('PEXPIREAT', log, ends) end
  return 1
end

local results = {}
for n = 1, math.floor(#KEYS / 2) do
  local at = (n - 1) * 6
  results[n] = pack(KEYS[n * 2 - 1], KEYS[n * 2], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3]), ARGV[at + 4],
    ARGV[at + 5], ARGV[at + 6])
end
return results
