-- wrk: the bodies of a file, one a line, each once; after the last one it again and again, until wrk is told to end.
--
-- Environment  BENCH_SECRET   the secret header
--              BENCH_BODIES   the file
--              BENCH_DONE     made when every body has been answered (long after the last was sent)
-- At the end   as events.lua
local secret = os.getenv('BENCH_SECRET')
local head = 'POST /webhooks/gelato HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nX-Webhook-Secret: '
  .. secret .. '\r\nContent-Length: '
local bodies, body
local calls, over = 0, 0

function init(arguments) bodies = io.open(os.getenv('BENCH_BODIES')) end

function request()
  calls = calls + 1
  -- wrk makes one request before it starts, to look at, and does not send it: its body is said again.
  local line = calls == 2 and body or bodies:read('*l')
  if line then
    body = line
  else
    over = over + 1
    -- Every connection has had its turn many times since.
    if over == 2000 then io.open(os.getenv('BENCH_DONE'), 'w'):close() end
  end
  return head .. #body .. '\r\n\r\n' .. body
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format('BENCH {"requests":%d,"microseconds":%d,"refused":%d,"broken":%d,"p50":%d,"p99":%d}\n',
    summary.requests, summary.duration, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
