
-- ARGV: what all under a lease have; the step; the context of a sending.
local STEP, CONTEXT = ARGV[7], ARGV[8]

if not is_held() then return LEASE_LOST end
local state, is_live = record.state, record.lease_until > NOW
local sent = {state = 'sending', last_sent = NOW, last_wall = WALL, context = CONTEXT ~= '' and CONTEXT}

if STEP == 'renew' then
  hold({})
elseif STEP == 'begin_sending' and state == 'claimed' and is_live then
  sent.first_sent, sent.first_wall = NOW, WALL
  hold(sent)
elseif STEP == 'resend' and state == 'unknown' and is_live then
  sent.lost_before = '1'
  hold(sent)
elseif STEP == 'not_created' and state == 'sending' and not record.lost_before then
  hold({
    state = 'claimed', first_sent = false, first_wall = false, last_sent = false, last_wall = false,
    context = false,
  })
elseif (STEP == 'not_created' or STEP == 'outcome_unknown') and state == 'sending' then
  hold({state = 'unknown'})
elseif STEP == 'distrust_clocks' and state == 'unknown' then
  hold({last_sent = NOW, last_wall = false})
elseif STEP == 'release' and state == 'claimed' then
  redis.call('DEL', RECORD)
elseif STEP == 'abandon' then
  write({holder = false, lease_until = false})
else
  return LEASE_LOST
end
return OK
