-- Shared by the scripts that pack event logs; not a script of its own.

-- Replace folded records of one order's log by one packed record, where nothing was folded meanwhile: keep what came after the
-- cursor aside; cut the log back to the `front` packed records that stay; append the new one, then what was kept aside; move the
-- cursor behind the new one. `revision`, `cursor` and `generation` as they were read; `left_out`: bytes of the records that were
-- left out of the packed one. Returns 1 replaced, 0 the order has moved on.
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
