
if not is_held() or record.lease_until <= NOW or locked_by_another then return LEASE_LOST end
record.state = 'sending'
record.first_sent = record.first_sent or NOW
record.last_sent = NOW
hold()
extend_lock(SETTLE)
return OK
