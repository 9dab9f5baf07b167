
if not is_held() or record.state ~= 'sending' then return LEASE_LOST end
hold({state = 'unknown'})
return OK
