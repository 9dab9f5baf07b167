
if record then
  local known = record.fingerprint
  if known ~= FINGERPRINT and (PREVIOUS_FINGERPRINT == '' or known ~= PREVIOUS_FINGERPRINT) then
    return {'other_content'}
  end
  if record.state == 'done' then return outcome('done') end
  if record.holder and record.holder ~= HOLDER and NOW < record.lease_until then
    return {'in_progress', text(record.lease_until - NOW)}
  end
end
if locked_by_another then return {'name_in_progress', text(lock.left)} end

record = record or {state = 'claimed', fingerprint = FINGERPRINT}
if record.state == 'sending' then record.state = 'unknown' end
hold()
if record.state == 'claimed' then return {'fresh'} end

-- The clock of another server may be behind, after a failover.
local function ago(moment) return text(math.max(NOW - moment, 0)) end
return {'unknown', ago(record.first_sent), ago(record.last_sent)}
