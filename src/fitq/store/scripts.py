"""What Redis does in one step, so that nobody sees half of it. Scripts run whole or not at all, and alone."""

from __future__ import annotations

from fitq.records import RunStatus

# KEYS: run, runs, by status, by experiment, by pool and status, experiments, pool names
# ARGV: json, id, score, experiment, pool
ADD = """
if redis.call('SETNX', KEYS[1], ARGV[1]) == 0 then return 0 end
for i = 2, 5 do redis.call('ZADD', KEYS[i], ARGV[3], ARGV[2]) end
redis.call('ZADD', KEYS[6], 'GT', ARGV[3], ARGV[4])
redis.call('SADD', KEYS[7], ARGV[5])
return 1
"""
# KEYS: run, then what its indexes by status, and by pool and status, begin with
# ARGV: json, id, score, expected sequence, status, expected claim or empty
REPLACE = """
local data = redis.call('GET', KEYS[1])
if data == ARGV[1] then return 1 end
local current = data and cjson.decode(data)
if not current or current.sequence ~= tonumber(ARGV[4]) then return 0 end
if ARGV[6] ~= '' and current.claim_id ~= ARGV[6] then return 0 end
redis.call('SET', KEYS[1], ARGV[1])
if current.status ~= ARGV[5] then
  for i = 2, 3 do
    redis.call('ZREM', KEYS[i] .. current.status, ARGV[2])
    redis.call('ZADD', KEYS[i] .. ARGV[5], ARGV[3], ARGV[2])
  end
end
return 1
"""

# Whether the writer that says ARGV[1] and ARGV[2] may add to something that is `length` long.
_MAY_WRITE = f"""
local ended = {{{", ".join(f"{status} = true" for status in RunStatus if status.is_final)}}}
local function may_write(length)
  local data = redis.call('GET', KEYS[1])
  local run = data and cjson.decode(data)
  return run and run.claim_id == ARGV[1] and not ended[run.status] and length == tonumber(ARGV[2])
end
"""
# KEYS: run, log   ARGV: claim, offset, data
APPEND_LOG = f"""{_MAY_WRITE}
local length = redis.call('STRLEN', KEYS[2])
if may_write(length) then length = redis.call('APPEND', KEYS[2], ARGV[3]) end
return length
"""
# KEYS: run, metrics   ARGV: claim, offset, point …
APPEND_METRICS = f"""{_MAY_WRITE}
local length = redis.call('LLEN', KEYS[2])
if may_write(length) then
  for i = 3, #ARGV do length = redis.call('RPUSH', KEYS[2], ARGV[i]) end
end
return length
"""

# By the server's clock, so that the keys can be read; who judges goes by its own.
# KEYS: leases   ARGV: seconds, then run|attempt …
RENEW = """
local t = redis.call('TIME')
local ends = t[1] + t[2] / 1000000 + ARGV[1]
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], ends, ARGV[i]) end
return 1
"""
# KEYS: leader   ARGV: candidate, milliseconds
LEAD = """
local leader = redis.call('GET', KEYS[1])
if leader and leader ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
