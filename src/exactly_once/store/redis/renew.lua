
if not is_held() then return LEASE_LOST end
hold({})
return OK
