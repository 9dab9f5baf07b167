
-- ARGV: what all under a lease have; the step; the context of a sending or of an undo, or the outcome of a
-- withdrawal.
local STEP, TEXT = ARGV[7], ARGV[8]

if STEP == 'abandon' and record and record.state ~= 'done' and is_of_same_holder() then
  write({holder = false, lease_until = false})
  return OK
end
if not is_held() then return LEASE_LOST end
local state, is_live = record.state, record.lease_until > NOW
local sent = {state = 'sending', last_sent = NOW, last_wall = WALL, context = TEXT ~= '' and TEXT}
local unsent = {
  state = 'claimed', first_sent = false, first_wall = false, last_sent = false, last_wall = false,
  lost_before = false, context = false,
}
local is_settled = state == 'claimed' or state == 'unknown' or state == 'undoing'

if STEP == 'renew' then
  hold({})
elseif STEP == 'begin_sending' and state == 'claimed' and is_live then
  sent.first_sent, sent.first_wall = NOW, WALL
  hold(sent)
elseif STEP == 'resend' and state == 'unknown' and is_live then
  sent.lost_before = '1'
  hold(sent)
elseif STEP == 'not_created' and state == 'sending' and not record.lost_before then
  hold(unsent)
elseif STEP == 'not_sent' then
  local before = {}
  if state == 'sending' then before = record.lost_before and {state = 'unknown'} or unsent end
  before.holder, before.lease_until = false, false
  write(before)
elseif (STEP == 'not_created' or STEP == 'outcome_unknown') and state == 'sending' then
  hold({state = 'unknown'})
elseif STEP == 'distrust_clocks' and state == 'unknown' then
  hold({last_sent = NOW, last_wall = false})
elseif STEP == 'undo' and is_settled and is_live then
  unsent.state, unsent.context = 'undoing', TEXT
  hold(unsent)
elseif STEP == 'undone' and state == 'undoing' then
  hold(unsent)
elseif STEP == 'withdraw' and is_settled and is_live then
  finish(TEXT)
elseif STEP == 'release' and state == 'claimed' then
  redis.call('DEL', RECORD)
else
  return LEASE_LOST
end
return OK
