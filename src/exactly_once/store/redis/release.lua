
if not is_held() or record.state ~= 'claimed' then return LEASE_LOST end
redis.call('DEL', RECORD)
return OK
