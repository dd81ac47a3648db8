-- A receiver says that it can take events, and since when. Time in which none could is kept as an outage.
--
-- KEYS   1: ready   2: outages
-- ARGV   1: how long it has been able to, without a break, ms (what it spooled while this server was away counts)
--        2: a gap of at most so many ms is no outage   3: an outage is kept for so long, ms   4: the most outages kept
-- Steps  1. what other receivers reported as an outage and this one was ready in was none: cut it short or take it out;
--        2. keep the gap between the last report and the beginning of this one, if it is long; 3. forget old outages.
--        All by this server's clock: receivers give durations, so that their clocks do not matter.
-- Return {from, to} of an outage that this report has ended, else nothing. The first report ever ends none.
--@include due.lua
local now, gap = now_ms(), tonumber(ARGV[2])
local since = now - tonumber(ARGV[1])
local last = tonumber(redis.call('GET', KEYS[1]) or '')
local function keep(from, to)
  redis.call('ZADD', KEYS[2], to, string.format('%.0f-%.0f', from, to))
end
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. string.format('%.0f', since), '+inf')) do
  local from = tonumber(string.match(member, '^(%d+)-'))
  redis.call('ZREM', KEYS[2], member)
  if since - from > gap then keep(from, since) end
end
local ended = {}
if last and since - last > gap then
  keep(last, since)
  ended = {last, since}
end
if not last or now > last then redis.call('SET', KEYS[1], string.format('%.0f', now)) end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now - tonumber(ARGV[3])))
redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -1 - tonumber(ARGV[4]))
return ended
