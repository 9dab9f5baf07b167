
if not is_held() or record.state ~= 'unknown' then return LEASE_LOST end
hold({last_sent = NOW, last_wall = false})
return OK
