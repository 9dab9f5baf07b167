
if not is_held() or locked_by_another then return LEASE_LOST end
hold()
return OK
