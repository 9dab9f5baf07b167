
if not is_held() then return LEASE_LOST end
if record.state == 'sending' then record.state = 'unknown' end
record.holder = nil
record.lease_until = nil
write_record(record)
return OK
