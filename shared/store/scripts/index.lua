-- Note in a tenant's indexes what has become of orders.
--
-- KEYS   1: index   2: idle   3-6: open, attention, incomplete, disagrees   then: the sets of some statuses
-- ARGV   per order: six words, as `note_order` in indexed.lua
-- Return 1
--@include due.lua
--@include indexed.lua
local now = string.format('%.0f', now_ms()) -- a number would be written anew for each command
for at = 0, #ARGV - 1, 6 do note_order(1, at, now) end
return 1
