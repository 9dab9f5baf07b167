
if not is_held() or record.state == 'unknown' then return LEASE_LOST end
record.state = 'claimed'
record.first_sent = nil
record.last_sent = nil
hold()
set_lock(LEASE)
return OK
