
if not is_held() then return LEASE_LOST end
write({holder = false, lease_until = false})
return OK
