-- Note in a tenant's index that orders have changed, by the time at which this is told (never earlier than it was).
--
-- KEYS   1: index
-- ARGV   escaped references
-- Return 1
--@include due.lua
for n = 1, #ARGV do redis.call('ZADD', KEYS[1], 'GT', now_ms(), ARGV[n]) end
return 1
