
if not is_held() or record.state ~= 'unknown' or record.lease_until <= NOW then return LEASE_LOST end
hold({state = 'sending', last_sent = NOW, last_wall = WALL, lost_before = '1'})
return OK
