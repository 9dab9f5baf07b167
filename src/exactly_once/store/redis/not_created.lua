
if not is_held() or record.state ~= 'sending' then return LEASE_LOST end
if record.lost_before then
  hold({state = 'unknown'})
else
  hold({state = 'claimed', first_sent = false, first_wall = false, last_sent = false, last_wall = false})
end
return OK
