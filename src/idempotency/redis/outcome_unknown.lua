
if not is_held() or record.state == 'claimed' then return LEASE_LOST end
record.state = 'unknown'
hold()
return OK
