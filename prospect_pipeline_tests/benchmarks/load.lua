-- What wrk asks: POST with each of a file's lines as the body, one after the other, for ever.
local requests, last = {}, 0

function init(arguments)
  for body in io.lines(arguments[1]) do
    local headers = { ["Content-Type"] = "application/json" }
    requests[#requests + 1] = wrk.format("POST", nil, headers, body)
  end
end

function request()
  last = last % #requests + 1
  return requests[last]
end

function done(summary, latency)
  local wrong = {}
  for kind, count in pairs(summary.errors) do
    wrong[#wrong + 1] = string.format('"%s": %d', kind, count)
  end
  io.write(string.format(
    '{"requests": %d, "microseconds": %d, "errors": {%s}, "p50": %d, "p95": %d, "p99": %d}\n',
    summary.requests, summary.duration, table.concat(wrong, ", "),
    latency:percentile(50), latency:percentile(95), latency:percentile(99)))
end
