-- Replace folded records of an order's log by one packed record, if nothing was folded meanwhile.
--
-- KEYS   1: log   2: meta
-- ARGV   1: revision it was read with   2: cursor then   3: how many packed records stay in front   4: the packed record
--        5: generation it was read with   6: bytes of the records that were left out of it
-- Steps  keep what came after the cursor aside; cut the log back to the packed records that stay; append the new one,
--        then what was kept aside; move the cursor behind the new one.
-- Return 1 replaced, 0 the order has moved on
local fields = redis.call('HMGET', KEYS[2], 'r', 'c', 'g')
if (fields[1] or '') ~= ARGV[1] or (fields[2] or '') ~= ARGV[2] or (fields[3] or '') ~= ARGV[5] then return 0 end
local front = tonumber(ARGV[3])
local later = redis.call('LRANGE', KEYS[1], ARGV[2], -1)
if front == 0 then redis.call('DEL', KEYS[1]) else redis.call('LTRIM', KEYS[1], 0, front - 1) end
redis.call('RPUSH', KEYS[1], ARGV[4])
for _, record in ipairs(later) do redis.call('RPUSH', KEYS[1], record) end
redis.call('HSET', KEYS[2], 'c', front + 1, 'p', front + 1)
-- Whoever loaded the order before this holds a cursor into a log that is no more: its commit must fail.
redis.call('HINCRBY', KEYS[2], 'r', 1)
if ARGV[6] ~= '0' then redis.call('HINCRBY', KEYS[2], 'b', '-' .. ARGV[6]) end
local ends = redis.call('PEXPIRETIME', KEYS[2])
if ends >= 0 then redis.call('PEXPIREAT', KEYS[1], ends) end
return 1
