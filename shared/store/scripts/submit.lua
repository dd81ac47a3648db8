-- Claim a submit by its idempotency key, or tell what became of it.
--
-- KEYS   1: submit
-- ARGV   1: digest of the order submitted   2: the claim's id   3: length of the claim, us
--        4: how long after a lost answer the order may still appear, us   5: how long all this is kept, ms
-- Fields s: `p` claimed, `u` sent and not answered, `d` done   b digest   c claim   l its end   f first claimed   o order's id
-- Return { what, order's id, wait in us, time of the first claim in us }, where what is
--        new      claimed: submit it
--        unknown  claimed: an earlier submit of it was not answered, search for it first
--        done     the order's id is known
--        busy     somebody submits it just now, or it is too early to search for it
--        other    the key was used for another order
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local state, digest, lease, first, order = unpack(redis.call('HMGET', KEYS[1], 's', 'b', 'l', 'f', 'o'))

local function claim(since)
  redis.call('HSET', KEYS[1], 's', 'p', 'b', ARGV[1], 'c', ARGV[2], 'f', string.format('%.0f', since),
    'l', string.format('%.0f', now + tonumber(ARGV[3])))
  redis.call('PEXPIRE', KEYS[1], ARGV[5])
end

if not state then
  claim(now)
  return { 'new', '', 0, now }
end
if digest ~= ARGV[1] then return { 'other', '', 0, 0 } end
if state == 'd' then return { 'done', order, 0, tonumber(first) } end
local wait = tonumber(lease) - now
if state == 'u' then wait = wait + tonumber(ARGV[4]) end
if wait > 0 then return { 'busy', '', wait, tonumber(first) } end
claim(tonumber(first)) -- its submitter died, or was not answered
return { 'unknown', '', 0, tonumber(first) }
