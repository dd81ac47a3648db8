-- wrk: lifelike item and order statuses. 200 orders are under way at a time; each has two connected orders, three items
-- and 20 events, and no event comes twice (unless asked for).
--
-- Environment  BENCH_SECRET    the secret header
--              BENCH_PREFIX    in front of order references: tells the passes of one run apart
--              BENCH_DISTINCT  0: every event is new; n: the first n events, again and again
--              BENCH_SECOND    when the first event was made, seconds since 1970
--              BENCH_ANSWERS   a file: write down what the service says it has accepted (slow: not for measuring)
-- At the end   one line `BENCH {...}`: requests answered, microseconds, errors, latency in microseconds
local secret = os.getenv('BENCH_SECRET')
local prefix = os.getenv('BENCH_PREFIX')
local distinct = tonumber(os.getenv('BENCH_DISTINCT'))
local answers = os.getenv('BENCH_ANSWERS')
local ORDERS, EVENTS = 200, 20
local STATUSES = { 'created', 'passed', 'in_production', 'printed', 'shipped', 'in_transit', 'delivered' }
local format, floor = string.format, math.floor
local first_second = tonumber(os.getenv('BENCH_SECOND'))
local created = {}
for step = 0, EVENTS - 1 do created[step] = os.date('!%Y-%m-%dT%H:%M:%S+00:00', first_second + step * 3600) end
local head = 'POST /webhooks/gelato HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nX-Webhook-Secret: '
  .. secret .. '\r\nContent-Length: '
local n = 0
local file

local function item_status(number, order, step)
  local item = step % 3
  return format('{"id":"is_%08x%05x","event":"order_item_status_updated","itemReferenceId":"item-%d","orderReferenceId":'
    .. '"%s%d","orderId":"2b8b2b0d-1383-44ac-a65%d-%012x","storeId":null,"fulfillmentCountry":"US",'
    .. '"fulfillmentStateProvince":"NY","fulfillmentFacilityId":"21315db8-e694-4ded-a72a-98f60814c6e8","status":"%s",'
    .. '"comment":"","created":"%s"}', first_second + order, number % 1048576, item, prefix, order,
    item == 2 and 1 or 0, order, STATUSES[floor(step / 3) + 1], created[step])
end

local function order_status(number, order, step)
  local status = STATUSES[floor(step / 3) + 1]
  local entry = '{"itemReferenceId":"item-%d","fulfillmentStatus":"%s","fulfillments":[{"trackingCode":"T%08d%d",'
    .. '"trackingUrl":"https://tracking.example/T%08d%d","shipmentMethodName":"DHL Global Mail","shipmentMethodUid":'
    .. '"dhl_global_mail","fulfillmentCountry":"US","fulfillmentStateProvince":"NY","fulfillmentFacilityId":'
    .. '"21315db8-e694-4ded-a72a-98f60814c6e8"}]}'
  return format('{"id":"os_%08x%05x","event":"order_status_updated","orderReferenceId":"%s%d","orderId":'
    .. '"2b8b2b0d-1383-44ac-a650-%012x","storeId":null,"fulfillmentStatus":"%s","comment":"","items":[',
    first_second + order, number % 1048576, prefix, order, order, status)
    .. format(entry, 0, status, order, 0, order, 0) .. ',' .. format(entry, 1, status, order, 0, order, 0) .. ']}'
end

function init(arguments)
  if answers then file = io.open(answers, 'w') end
end

function request()
  local number = distinct > 0 and n % distinct or n
  n = n + 1
  local round = number % (ORDERS * EVENTS)
  local step = floor(round / ORDERS)
  local order = floor(number / (ORDERS * EVENTS)) * ORDERS + round % ORDERS
  local body = step % 5 == 4 and order_status(number, order, step) or item_status(number, order, step)
  return head .. #body .. '\r\n\r\n' .. body
end

if answers then
  function response(status, headers, body)
    if status == 200 then
      file:write(body, '\n')
      file:flush()
    end
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(format('BENCH {"requests":%d,"microseconds":%d,"refused":%d,"broken":%d,"p50":%d,"p99":%d}\n',
    summary.requests, summary.duration, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
