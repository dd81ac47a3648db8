-- Keep how far a round is, what it has done, and which orders are to be left alone; only for who holds the lease.
--
-- KEYS   1: lease   2: position   3: counts   4: quiet   5: wanted
-- ARGV   1: who asks ("": somebody who did without a lease, and has no position)   2: for how long it holds the lease from now on, ms   3: position ("" keeps what is there)
--        4: the most orders to be remembered as quiet   5: how long they are remembered at most, ms
--        6: how many counts follow, then per count: name, how many more
--        then per order that was asked about: escaped reference, for how long it is left alone, ms
-- Return the server's time in ms where it was kept, 0 where somebody else holds the lease
-- Note   an order that is wanted was asked about now, and is no longer wanted.
--@include due.lua
local held = ARGV[1] ~= ''
if held and redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local now = now_ms()
if held then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
if ARGV[3] ~= '' then redis.call('SET', KEYS[2], ARGV[3]) end
local counts = tonumber(ARGV[6])
for n = 1, counts do redis.call('HINCRBY', KEYS[3], ARGV[5 + n * 2], ARGV[6 + n * 2]) end
for n = 7 + counts * 2, #ARGV, 2 do
  redis.call('ZADD', KEYS[4], string.format('%.0f', now + tonumber(ARGV[n + 1])), ARGV[n])
  redis.call('ZREM', KEYS[5], ARGV[n])
end
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', now)
redis.call('ZREMRANGEBYRANK', KEYS[4], 0, -1 - tonumber(ARGV[4]))
if redis.call('EXISTS', KEYS[4]) == 1 then redis.call('PEXPIRE', KEYS[4], ARGV[5]) end
return now
