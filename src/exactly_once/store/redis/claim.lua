
-- KEYS: the record; what the store remembers.
-- ARGV: what all under a lease have; the server; whether it may forget at any time.
local MEMORY = KEYS[2]
local SERVER, MAY_FORGET = ARGV[7], ARGV[8]
local MOST_SKEW = 30000

local function ago(moment) return text(NOW - moment) end

if record then
  if not is_same_content() then return {'other_content', record.content, record.outcome} end
  if record.state == 'done' then
    return {'done', ago(record.done_at), text(record.done_wall) or '', record.outcome}
  end
  local gives_way = is_of_same_holder() and record.holder <= HOLDER
  if record.holder and not gives_way and NOW < record.lease_until then
    return {'in_progress', text(record.lease_until - NOW)}
  end
  if record.state == 'undoing' then
    hold({})
    return {'undoing', record.context}
  end
  if record.state ~= 'claimed' then
    hold({state = 'unknown'})
    return {
      'unknown', ago(record.first_sent), text(record.first_wall) or '', ago(record.last_sent),
      text(record.last_wall) or '', record.context or '',
    }
  end
end

-- Since when this server has forgotten nothing, by its clock and by that of the first one who asked. Both
-- have to agree that it was long ago. A server whose clock stepped forward has removed records too early, and
-- one that may forget at any time restarts its memory with each claim.
local kept = read('HMGET', MEMORY, 'server', 'since', 'wall')
local since, wall = tonumber(kept[2]), tonumber(kept[3])
if kept.err or kept[1] ~= SERVER or not since or not wall or since > NOW
  or (NOW - since) - (WALL - wall) > MOST_SKEW or MAY_FORGET == '1'
then
  since, wall = NOW, tonumber(WALL)
  redis.call('DEL', MEMORY)
  redis.call('HSET', MEMORY, 'server', SERVER, 'since', text(since), 'wall', WALL)
end
local remembers_for = math.min(NOW - since, tonumber(WALL) - wall)

hold(record and {} or {state = 'claimed', content = CONTENT})
return {'fresh', text(remembers_for)}
