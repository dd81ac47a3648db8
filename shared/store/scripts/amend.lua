-- Give a dead letter another payload and another order, if it is still there.
--
-- KEYS   1: letter
-- ARGV   1: payload   2: reference
-- Return { 1 done, reference before ("" none), length of the payload before }; { 0 } it is gone
if redis.call('HEXISTS', KEYS[1], 'receivedAt') == 0 then return { 0 } end
local before = redis.call('HGET', KEYS[1], 'orderReferenceId') or ''
local length = redis.call('HSTRLEN', KEYS[1], 'payload')
redis.call('HSET', KEYS[1], 'payload', ARGV[1], 'orderReferenceId', ARGV[2])
return { 1, before, length }
