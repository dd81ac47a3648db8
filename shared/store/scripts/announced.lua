-- Note that a change was announced, unless a newer one waits.
--
-- KEYS   per order: meta
-- ARGV   per order: its generation, the change, as they were read
-- Return per order: 1 noted, 0 a newer one waits, 2 the order is gone (another one may have its name)
local results = {}
for n = 1, #KEYS do
  local fields = redis.call('HMGET', KEYS[n], 'g', 'n')
  local generation = fields[1] or '' -- none: it was made by a version without
  if generation ~= ARGV[n * 2 - 1] or (generation == '' and redis.call('EXISTS', KEYS[n]) == 0) then
    results[n] = 2
  elseif fields[2] == ARGV[n * 2] then
    redis.call('HDEL', KEYS[n], 'n')
    results[n] = 1
  else
    results[n] = 0
  end
end
return results
