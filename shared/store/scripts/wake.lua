-- Wake one idle shift.
--
-- KEYS   1: wake
-- Return 1
--@include due.lua
wake(KEYS[1])
return 1
