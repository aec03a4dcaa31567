package apierror

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestRead(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		want Report
	}{
		"OpenAI":                   {`{"error":{"message":"m","type":"t","param":"p","code":"c"}}`, Report{Code: "c", Type: "t", Message: "m", Param: "p", Found: true}},
		"a strange code":           {`{"error":{"message":"m","type":"t","code":{"a":1}}}`, Report{Type: "t", Message: "m", Found: true}},
		"a strange type":           {`{"error":{"message":"m","type":["t"],"code":"c"}}`, Report{Code: "c", Message: "m", Found: true}},
		"a strange message":        {`{"error":{"message":{"x":1},"type":"t"}}`, Report{Type: "t", Found: true}},
		"Azure":                    {`{"error":{"code":null,"message":"m","innererror":{"code":"ResponsibleAIPolicyViolation"}}}`, Report{Code: "ResponsibleAIPolicyViolation", Message: "m", Found: true}},
		"Anthropic":                {`{"type":"error","error":{"type":"overloaded_error","message":"m"},"request_id":"r"}`, Report{Type: "overloaded_error", Message: "m", Status: 529, Found: true}},
		"Google":                   {`{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}`, Report{Code: "INVALID_ARGUMENT", Message: "m", Status: 400, Reasons: []string{"API_KEY_INVALID"}, Found: true}},
		"Google, a list":           {`[1,{"error":{"code":503,"message":"m","status":"UNAVAILABLE"}}]`, Report{Code: "UNAVAILABLE", Message: "m", Status: 503, Found: true}},
		"xAI":                      {`{"code":"permission-denied","error":"m"}`, Report{Code: "permission-denied", Message: "m", Status: 403, Found: true}},
		"FastAPI":                  {`{"detail":"m"}`, Report{Message: "m", Found: true}},
		"FastAPI, a list":          {`{"detail":[{"loc":["body","messages",0],"msg":"m","type":"missing"},{"msg":"n"}]}`, Report{Message: "m; n", Param: "body.messages.0", Found: true}},
		"MiniMax":                  {`{"id":"","choices":null,"base_resp":{"status_code":1008,"status_msg":"m"}}`, Report{Code: "1008", Message: "m", Status: 402, Found: true}},
		"MiniMax, a success":       {`{"id":"1","choices":[{}],"base_resp":{"status_code":0,"status_msg":""}}`, Report{}},
		"vLLM":                     {`{"object":"error","message":"m","type":"BadRequestError","param":null,"code":400}`, Report{Type: "BadRequestError", Message: "m", Status: 400, Found: true}},
		"a message":                {`{"message":"no healthy upstream"}`, Report{Message: "no healthy upstream", Found: true}},
		"a typed message":          {`{"type":"error","message":"boom"}`, Report{Message: "boom", Found: true}},
		"a code":                   {`{"code":500,"message":"m"}`, Report{Message: "m", Status: 500, Found: true}},
		"a lone code":              {`{"code":"500"}`, Report{Status: 500, Found: true}},
		"OpenRouter":               {`{"error":{"code":403,"message":"m","metadata":{"reasons":["violence"],"provider_name":"P","error_type":"permission_denied"}}}`, Report{Message: "m", Status: 403, Reasons: []string{"permission_denied", "violence"}, Provider: "P", Found: true}},
		"DashScope":                {`{"code":"InvalidApiKey","message":"m","request_id":"r"}`, Report{Code: "InvalidApiKey", Message: "m", Status: 401, Found: true}},
		"Zhipu":                    {`{"error":{"code":"1301","message":"m"}}`, Report{Code: "1301", Message: "m", Status: 400, Found: true}},
		"Zhipu, a number":          {`{"error":{"code":1113,"message":"m"}}`, Report{Code: "1113", Message: "m", Status: 429, Found: true}},
		"an overloaded Codex":      {`{"type":"error","sequence_number":2,"error":{"type":"service_unavailable_error","code":"server_is_overloaded","message":"m","param":null}}`, Report{Code: "server_is_overloaded", Type: "service_unavailable_error", Message: "m", Status: 503, Found: true}},
		"a failed response":        {`{"type":"response.failed","response":{"id":"r","status":"failed","error":{"code":"server_error","message":"m"}}}`, Report{Code: "server_error", Message: "m", Status: 500, Found: true}},
		"an event of responses":    {`{"type":"error","code":"rate_limit_exceeded","message":"m","param":null}`, Report{Code: "rate_limit_exceeded", Message: "m", Status: 429, Found: true}},
		"a choice":                 {`{"id":"1","choices":[{"message":{"content":""},"finish_reason":"error","error":{"code":502,"message":"m"}}]}`, Report{Message: "m", Status: 502, Found: true}},
		"errors":                   {`{"success":false,"errors":[{"code":7003,"message":"m"}]}`, Report{Code: "7003", Message: "m", Found: true}},
		"AWS":                      {`{"__type":"com.amazon.coral#UnrecognizedClientException","message":"m"}`, Report{Type: "UnrecognizedClientException", Message: "m", Found: true}},
		"a later choice":           {`{"id":"1","choices":[{"message":{"content":"a"}},{"error":{"code":502,"message":"m"}}]}`, Report{Message: "m", Status: 502, Found: true}},
		"a number":                 {`{"error":404}`, Report{Status: 404, Found: true}},
		"a flag":                   {`{"error":true,"message":"m"}`, Report{Message: "m", Found: true}},
		"an error in an error":     {`{"error":{"error":{"message":"m","type":"server_error"}}}`, Report{Type: "server_error", Message: "m", Status: 500, Found: true}},
		"a document in a message":  {`{"error":{"message":"{\"error\":{\"message\":\"m\",\"code\":\"c\"}}","code":"400"}}`, Report{Code: "c", Message: "m", Status: 400, Found: true}},
		"a string":                 {`"m"`, Report{Message: "m", Found: true}},
		"plain text":               {"m\nn", Report{Message: "m"}},
		"an event":                 {"event: error\ndata: {\"error\":{\"message\":\"m\"}}\n\n", Report{Message: "m", Found: true}},
		"an error field":           {"error: {\"code\":500,\"message\":\"m\"}\ndata: [DONE]\n", Report{Message: "m", Status: 500, Found: true}},
		"a byte order mark":        {"\xef\xbb\xbf{\"message\":\"m\"}", Report{Message: "m", Found: true}},
		"HTML":                     {"<html>m</html>", Report{}},
		"cut off":                  {`{"error":{"message":"m`, Report{}},
		"empty":                    {"", Report{}},
		"null":                     {"null", Report{}},
		"a whole answer":           {`{"id":"1","object":"chat.completion","choices":[{"message":{"content":"m"}}]}`, Report{}},
		"a whole Anthropic answer": {`{"id":"1","type":"message","content":[{"text":"m"}]}`, Report{}},
		"a whole Ollama answer":    {`{"model":"x","message":{"role":"assistant","content":"m"},"done":true}`, Report{}},
		"an envelope":              {`{"code":0,"message":"ok","data":{}}`, Report{}},
		"no error":                 {`{"id":"1","error":null,"status":"completed"}`, Report{}},
	} {
		t.Run(name, func(t *testing.T) {
			got := Read([]byte(c.body))
			got.words, got.retry, got.headers, got.inner = nil, "", nil, nil
			assert.Equal(t, c.want, got)
		})
	}
}

// TestStatuses has each row of the table stand at each place that it may.
func TestStatuses(t *testing.T) {
	for w, status := range statuses {
		places := []string{w.place}
		if w.place == "word" {
			places = []string{"code", "type", "reason", "error_type"}
		}
		for _, place := range places {
			assert.Equal(t, status, standsFor([]word{{place, w.text}}), "%s %s", place, w.text)
		}
		assert.True(t, status >= 400 && status < 600)
	}
	assert.Equal(t, 401, standsFor([]word{{"code", "invalid_request_error"}, {"type", "authentication_error"}}), "the more telling word")
	assert.Zero(t, standsFor([]word{{"message", "overloaded_error"}}))
}

var now = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

func TestHint(t *testing.T) {
	ms := time.Millisecond
	for name, group := range map[string][]struct {
		header []string // names and values
		body   string
		want   time.Duration
		ok     bool
	}{
		"headers": {
			{[]string{"Retry-After", "20"}, "", 20 * time.Second, true},
			{[]string{"Retry-After", "0.25"}, "", 250 * ms, true},
			{[]string{"Retry-After", "7s"}, "", 7 * time.Second, true},
			{[]string{"Retry-After", "6m0s"}, "", 6 * time.Minute, true},
			{[]string{"Retry-After", "Fri, 27 Nov 2026 12:00:30 GMT"}, "", 30 * time.Second, true},
			{[]string{"Retry-After", "Fri, 27 Nov 2026 11:00:30 GMT"}, "", 0, true},
			{[]string{"Retry-After-Ms", "1500", "Retry-After", "20"}, "", 1500 * ms, true},
			{[]string{"Retry-After-Ms", "soon", "Retry-After", "20"}, "", 20 * time.Second, true},
			{[]string{"Retry-After", "later"}, "", 0, false},
			{nil, "", 0, false},
			{[]string{"Retry-After", "1795780860"}, "", time.Minute, true},    // openclaw/clawhub#407
			{[]string{"Retry-After", "1795780860000"}, "", time.Minute, true}, // in milliseconds
			{[]string{"Retry-After", "PT1M30S"}, "", 90 * time.Second, true},
			{[]string{"Retry-After", "PT0.5S"}, "", 500 * ms, true},
			{[]string{"Retry-After", "P1DT2H"}, "", 26 * time.Hour, true},
			{[]string{"Retry-After", "PT"}, "", 0, false},
			{[]string{"Retry-After", "P1M"}, "", 0, false}, // a month
			{[]string{"Retry-After", "30 seconds"}, "", 30 * time.Second, true},
			{[]string{"Retry-After", "5 Minutes"}, "", 5 * time.Minute, true},
			{[]string{"Retry-After", "30, 30"}, "", 30 * time.Second, true},
			{[]string{"Retry-After", "Fri, 27 Nov 2026 12:00:30 UTC"}, "", 30 * time.Second, true},
			{[]string{"Retry-After", "Fri, 27 Nov 2026 14:00:30 +0200"}, "", 30 * time.Second, true},
			{[]string{"Retry-After", "Fri, 27 Nov 2026 14:00:30 EET"}, "", 0, false}, // no zone that all know
			{[]string{"Retry-After", "2026-11-27 12:00:30"}, "", 30 * time.Second, true},
			{[]string{"Retry-After", "2026-11-27T12:00:30.5Z"}, "", 30500 * ms, true},
			{[]string{"Retry-After", "-5"}, "", 0, false},
			{[]string{"Retry-After", "1e3"}, "", 0, false},
			{[]string{"Retry-After", "NaN"}, "", 0, false},
			{[]string{"Retry-After", "99999999999999999999"}, "", 365 * 24 * time.Hour, true},
		},
		"limits": {
			{[]string{"X-Ratelimit-Remaining-Requests", "0", "X-Ratelimit-Reset-Requests", "1s"}, "", time.Second, true},
			{[]string{"X-Ratelimit-Remaining-Requests", "5", "X-Ratelimit-Reset-Requests", "1s"}, "", 0, false},
			{[]string{"Anthropic-Ratelimit-Input-Tokens-Remaining", "0", "Anthropic-Ratelimit-Input-Tokens-Reset", "2026-11-27T12:00:10Z"}, "", 10 * time.Second, true},
			{[]string{"Ratelimit-Remaining", "0", "Ratelimit-Reset", "9"}, "", 9 * time.Second, true},
			{[]string{"X-Rate-Limit-Remaining", "0", "X-Rate-Limit-Reset", "1795780860"}, "", time.Minute, true},
			{[]string{"X-Ratelimit-Remaining-Tokens", "-12", "X-Ratelimit-Reset-Tokens", "30s"}, "", 30 * time.Second, true},
			{[]string{"X-Ratelimit-Remaining-Tokens", "-x", "X-Ratelimit-Reset-Tokens", "30s"}, "", 0, false},
			{[]string{"Retry-After", "2", "X-Ratelimit-Remaining-Requests", "0", "X-Ratelimit-Reset-Requests", "1m"}, "", 2 * time.Second, true},
		},
		"bodies": {
			{nil, `[{"error":{"code":429,"message":"m","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34s"}]}}]`, 34 * time.Second, true},
			{nil, `{"error":{"details":[{"retryDelay":"34.074824224s"}]}}`, 34074824224 * time.Nanosecond, true},
			{nil, `{"error":{"details":[{"retryDelay":"0s"}]}}`, 0, true},
			{nil, `{"error":{"details":[{"retryDelay":34}]}}`, 0, false},
			{nil, `{"error":{"message":"Rate limit reached. Please try again in 7.2s. Visit …"}}`, 7200 * ms, true},
			{nil, `{"error":{"message":"Please try again in 1m2.5s."}}`, 62500 * ms, true},
			{nil, `{"error":{"message":"Please try again in 120ms."}}`, 120 * ms, true},
			{nil, `{"error":{"message":"Please try again in 6m0s."}}`, 6 * time.Minute, true},
			{nil, `{"error":{"message":"Please try again in 1h2m3s"}}`, time.Hour + 2*time.Minute + 3*time.Second, true},
			{nil, `{"error":{"message":"Please retry in 34.5s."}}`, 34500 * ms, true},
			{nil, `{"error":{"message":"Please retry after 22 seconds."}}`, 22 * time.Second, true},
			{nil, `{"error":{"message":"please try again after 1 seconds"}}`, time.Second, true},
			{nil, `{"error":{"message":"Your quota will reset after 18h31m10s."}}`, 18*time.Hour + 31*time.Minute + 10*time.Second, true},
			{nil, `{"message":"try again in about 1 hour and 5 minutes"}`, 65 * time.Minute, true},
			{nil, `{"error":{"message":"You have hit your usage limit. Try again in ~162 min."}}`, 162 * time.Minute, true}, // thebotcompany#96
			{nil, `Too many requests, try again in 3 min`, 3 * time.Minute, true},
			{nil, `data: {"error":{"message":"try again in 2s"}}`, 2 * time.Second, true},
			{nil, `{"error":{"message":"try again in 99999999999999999999s"}}`, 365 * 24 * time.Hour, true},
			{nil, `{"error":{"message":"try again in a while"}}`, 0, false},
			{nil, `{"error":{"message":"try again in 5 messages"}}`, 0, false},
			{nil, `{"error":{"message":"unknown tool 'try again in 5s'"}}`, 0, false},
			{nil, `{"error":{"code":"1308","message":"您的限额将在 2026-11-27 20:06:00 重置。"}}`, 6 * time.Minute, true},
			{nil, `{"error":{"code":"1308","message":"Your limit will reset at 2026-11-27 19:00:00"}}`, 0, true},
			{nil, `{"error":{"code":"1302","message":"2026-11-27 20:06:00"}}`, 0, false},
			{nil, `{"error":{"code":"1308","message":"no date"}}`, 0, false},
			{nil, `{"error":{"message":"Rate limit exceeded: free-models-per-day","code":429,"metadata":{"headers":{"X-RateLimit-Limit":"50","X-RateLimit-Remaining":"0","X-RateLimit-Reset":"1795780860000"}}}}`, time.Minute, true},
			{nil, `{"error":{"code":429,"message":"slow","metadata":{"retry_after_seconds":3}}}`, 3 * time.Second, true},
			{nil, `{"message":"You are being rate limited.","retry_after":0.5}`, 500 * ms, true},
			{nil, `{"error":"Model x is currently loading","estimated_time":20.5}`, 20500 * ms, true},
			{nil, `{"message":"slow","retry_after":"soon"}`, 0, false},
			{nil, `{"error":{"type":"usage_limit_reached","message":"The usage limit has been reached","resets_in_seconds":3600}}`, time.Hour, true},
			{nil, `{"error":{"type":"usage_limit_reached","resets_at":1795780860}}`, time.Minute, true},
			{nil, `{"error":{"code":"RateLimitReached","message":"Rate limit of 50 per 86400s exceeded for UserByModelByDay. Please wait 43200 seconds before retrying."}}`, 12 * time.Hour, true},
			{nil, `{"error":{"details":[{"retryDelay":{"seconds":34,"nanos":500000000}}]}}`, 34500 * ms, true},
			{nil, `{"error":{"details":[{"retryDelay":{"seconds":"34"}}]}}`, 34 * time.Second, true},
			{nil, `{"error":{"details":[{"retryDelay":{"nanos":"x"}}]}}`, 0, false},
			{nil, `{"error":{"message":"slow","retryAfter":3}}`, 3 * time.Second, true},
			{nil, `{"error":"slow","retry_after_ms":1500}`, 1500 * ms, true},
			{nil, `{"error":"Daily cost limit exceeded","resetAt":"2026-11-27T12:01:00.000Z"}`, time.Minute, true},
			{nil, `{"error":"slow","reset_at":"2026-11-27 12:01:00+00:00"}`, time.Minute, true},
			{nil, `{"statusCode":403,"message":"Out of call volume quota. Quota will be replenished in 01:02:03."}`, time.Hour + 2*time.Minute + 3*time.Second, true},
			{nil, `{"statusCode":403,"message":"Quota will be replenished in 2.01:02:03."}`, 49*time.Hour + 2*time.Minute + 3*time.Second, true},
			{nil, `{"message":"Individual quota reached. Resets in 149h5m9s."}`, 149*time.Hour + 5*time.Minute + 9*time.Second, true},
			{nil, `{"message":"Your quota will reset in 3 days."}`, 72 * time.Hour, true},
			{nil, `{"message":"Your usage window resets at 2026-11-27T12:01:00Z"}`, time.Minute, true},
			{nil, `{"message":"Your usage window resets at 2026-11-27T12:01:00Z."}`, time.Minute, true},
			{nil, `{"message":"Please try again at 2026-11-27 12:01:00 UTC."}`, time.Minute, true},
			{nil, `{"message":"resets at noon"}`, 0, false},
			{[]string{"Retry-After", "5"}, `{"error":{"message":"try again in 2s"}}`, 5 * time.Second, true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, c := range group {
				h := http.Header{}
				for i := 0; i < len(c.header); i += 2 {
					h.Set(c.header[i], c.header[i+1])
				}
				got, ok := Hint(h, Read([]byte(c.body)), now)
				assert.Equal(t, c.ok, ok, "%v %s", c.header, c.body)
				assert.Equal(t, c.want, got, "%v %s", c.header, c.body)
			}
		})
	}
}

func TestShouldRetry(t *testing.T) {
	for value, want := range map[string][2]bool{"true": {true, true}, "False": {false, true}, "": {}, "no": {}} {
		should, known := ShouldRetry(http.Header{"X-Should-Retry": {value}})
		assert.Equal(t, want, [2]bool{should, known}, value)
	}
}

// FuzzRead looks for panics, and for hints out of their bounds.
func FuzzRead(f *testing.F) {
	for _, d := range dialects {
		for _, body := range bodies(d.place, append(d.values, "")[0], message(append(d.fragments, nil)[0])) {
			f.Add([]byte(marshal(body)), 400)
		}
	}
	f.Add([]byte("event: error\ndata: [DONE]\nerror: x"), 200)
	f.Add([]byte(`{"error":{"message":"try again in 1m2.5s 'a' \"b"}}`), 429)
	f.Fuzz(func(t *testing.T, body []byte, status int) {
		r := Read(body)
		assert.True(t, r.Status == 0 || r.Status >= 400 && r.Status < 600)
		v := Classify(status, nil, r)
		assert.True(t, v.Kind == Refusal == (v.Part != PartUnknown))
		d, ok := Hint(nil, r, now)
		assert.True(t, d >= 0 && d <= 365*24*time.Hour && (ok || d == 0))
	})
}
