
if not is_held() then return LEASE_LOST end
redis.call('DEL', RECORD)
end_lock()
return OK
