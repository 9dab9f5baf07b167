
if not is_held() or record.state ~= 'claimed' or record.lease_until <= NOW then return LEASE_LOST end
hold({state = 'sending', first_sent = NOW, first_wall = WALL, last_sent = NOW, last_wall = WALL})
return OK
