package debugpage

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// hostile is text that means something to a browser, wherever it stands.
const hostile = `</script></style></textarea>"'><img src=x onerror=alert(1)>{{.}}`

// full is a state with something in every place, and hostile text in each that
// can hold text.
func full() *State {
	n := int64(7)
	load := Load{
		Requests: 3, InFlight: 1, ErrorRate: ErrorRate{Total: 2. / 3, Server: 1. / 3, RateLimit: 1. / 3},
		Latency: Latency{UpstreamAvg: 1234, UpstreamP95: 20_000, GatewayAvg: 0.01, FirstTokenAvg: 5}, Tokens: Tokens{Input: 12_345, Output: 1},
		Slots: []Slot{{}, {Requests: 2, Failed: 1, LatencyMS: 3, Tokens: Tokens{Input: 1, Output: 2}}, {Requests: 1, Failed: 1}},
	}
	resting := Health{State: Resting, RestingMS: 1500}
	allowance := Allowance{Remaining: &n, Limit: &n, ResetMS: 10}
	return &State{
		Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Total: load,
		Providers: []Provider{{ID: hostile, Aliases: []string{hostile}, BaseURL: hostile, Endpoint: hostile, Formats: []string{hostile},
			Models: 2, ModelsResting: 1, Load: load}},
		OtherProviders: []string{hostile},
		Models:         []Model{{Provider: hostile, ID: hostile, Health: resting, Load: load}, {Health: Health{State: Due}}, {Health: Health{State: Awake, Failures: 2}}},
		OtherModels:    []OtherModel{{Provider: hostile, Count: 2, IDs: []string{hostile}}},
		Keys:           []Key{{Provider: hostile, ID: hostile, Health: resting, Requests: allowance, Tokens: Allowance{Limit: &n}, Load: load}},
		Requests: []*Request{{Number: 1, ID: hostile, Surface: hostile, Path: hostile, Names: []string{hostile}, Code: hostile, Status: 503, Message: hostile,
			Provider: hostile, Model: hostile, Notes: []string{hostile}, Rejected: []Rejected{{hostile, hostile}}, Omitted: 1,
			Trail: []Step{{Provider: hostile, Model: hostile, Key: hostile, Outcome: hostile, Kind: hostile, Reason: hostile, RestMS: 1, TotalMS: 2}}}},
		Config: json.RawMessage(`{}`), ConfigText: hostile,
		Runtime: Runtime{Secrets: hostile, Region: hostile},
	}
}

func source() Source {
	return Source{
		State: func(time.Time) *State { return full() },
		Explain: func(_ *http.Request, q *Question) *Explain {
			turn := []Turn{{hostile, hostile, hostile}}
			return &Explain{Error: hostile, Result: map[string]string{"body": q.Body}, Turns: turn, Rest: turn, More: 3, Notes: []string{hostile}}
		},
		Paths: []string{"/v1/chat/completions", hostile},
	}
}

func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func form(target string, values url.Values) *http.Request {
	r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(values.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

func TestEscaping(t *testing.T) {
	page := serve(NewHandler(source()), form("/", url.Values{"path": {hostile}, "header": {hostile}, "body": {hostile}})).Body.String()
	assert.NotContains(t, page, "<img", "no text is markup")
	assert.NotContains(t, page, "onerror=alert(1)>{{", "nor an attribute")
	assert.GreaterOrEqual(t, strings.Count(page, "&lt;img src=x onerror=alert(1)&gt;"), 30, "but it is there, everywhere")
	assert.Equal(t, 1, strings.Count(page, "<script"), "one script")
	assert.Equal(t, 1, strings.Count(page, "<style"), "and one style sheet")
	assert.NotRegexp(t, `<[^>]*\s(on[a-z]+|style)=["'a-z]`, regexp.MustCompile(`(?s)<style.*?</style>|<script.*?</script>|&lt;.*?&gt;`).ReplaceAllString(page, ""), "no inline handler or style")
	assert.NotRegexp(t, `(src|href|action)="?(https?:)?//`, page, "nothing of another host, and no address that a mount would break")
}

// The policy allows the page's own style and script, and they are as they were
// when they were hashed.
func TestPolicy(t *testing.T) {
	w := serve(NewHandler(source()), httptest.NewRequest(http.MethodGet, "/", nil))
	policy := w.Header().Get("Content-Security-Policy")
	for _, element := range []string{"style", "script"} {
		found := regexp.MustCompile(`(?s)<` + element + `>(.*?)</` + element + `>`).FindStringSubmatch(w.Body.String())
		require.Len(t, found, 2)
		assert.Contains(t, policy, element+"-src "+sourceHash(found[1])+";")
	}
	for _, directive := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'", "require-trusted-types-for 'script'"} {
		assert.Contains(t, policy, directive)
	}
	assert.NotContains(t, policy, "unsafe")
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY",
	} {
		assert.Equal(t, want, w.Header().Get(name))
	}
}

func TestRequests(t *testing.T) {
	h := NewHandler(source())
	post := func(target, kind, body string) *http.Request {
		r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(body))
		r.Header.Set("Content-Type", kind)
		return r
	}
	foreign := form("/", url.Values{"body": {"{}"}})
	foreign.Header.Set("Sec-Fetch-Site", "cross-site")
	for name, c := range map[string]struct {
		request *http.Request
		status  int
		kind    string
		body    string
	}{
		"page":                {httptest.NewRequest(http.MethodGet, "/", nil), 200, "text/html; charset=utf-8", "<!DOCTYPE html>"},
		"anywhere":            {httptest.NewRequest(http.MethodGet, "/a/b/c/", nil), 200, "text/html; charset=utf-8", "<!DOCTYPE html>"},
		"named":               {httptest.NewRequest(http.MethodGet, "/?format=html", nil), 200, "text/html; charset=utf-8", "<!DOCTYPE html>"},
		"json":                {httptest.NewRequest(http.MethodGet, "/?format=json", nil), 200, "application/json", `"window_seconds"`},
		"another format":      {httptest.NewRequest(http.MethodGet, "/?format=xml", nil), 400, "text/plain; charset=utf-8", "html or json"},
		"put":                 {httptest.NewRequest(http.MethodPut, "/", nil), 405, "text/plain; charset=utf-8", "only"},
		"delete":              {httptest.NewRequest(http.MethodDelete, "/?format=json", nil), 405, "text/plain; charset=utf-8", "only"},
		"form":                {form("/", url.Values{"body": {"pasted"}}), 200, "text/html; charset=utf-8", "\npasted</textarea>"},
		"form, json":          {form("/?format=json", url.Values{"body": {"pasted"}}), 200, "application/json", `"body": "pasted"`},
		"from elsewhere":      {foreign, 403, "text/plain; charset=utf-8", ""},
		"too large":           {form("/", url.Values{"body": {strings.Repeat("a", maxForm)}}), 413, "text/html; charset=utf-8", "at most 1 MiB"},
		"malformed":           {post("/", "application/x-www-form-urlencoded", "%zz"), 400, "text/html; charset=utf-8", "could not be read"},
		"another type":        {post("/", "application/json", "{}"), 415, "text/html; charset=utf-8", "could not be read"},
		"fields in the query": {post("/?body=x", "application/json", "{}"), 415, "text/html; charset=utf-8", "could not be read"},
	} {
		t.Run(name, func(t *testing.T) {
			w := serve(h, c.request)
			assert.Equal(t, c.status, w.Code)
			assert.Equal(t, c.kind, w.Header().Get("Content-Type"))
			assert.Contains(t, w.Body.String(), c.body)
			assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
			if c.status == 405 {
				assert.Equal(t, "GET, HEAD, POST", w.Header().Get("Allow"))
			}
		})
	}
}

func TestHead(t *testing.T) {
	h := NewHandler(source())
	head, get := serve(h, httptest.NewRequest(http.MethodHead, "/", nil)), serve(h, httptest.NewRequest(http.MethodGet, "/", nil))
	assert.Equal(t, get.Header(), head.Header())
	assert.Zero(t, head.Body.Len())
}

func TestCharts(t *testing.T) {
	load := Load{Requests: 6, Slots: []Slot{{}, {Requests: 4, Failed: 1}, {Requests: 2}, {Requests: 1000, Failed: 1}}}
	c := requestBars(load)
	require.Len(t, c.Bars, 5, "nothing is no bar")
	assert.Equal(t, "6 requests, 0\u00a0% failed", c.Label)
	for _, b := range c.Bars {
		assert.GreaterOrEqual(t, b.H, 1., "what there is can be seen")
		assert.GreaterOrEqual(t, b.Y, 0.)
		assert.LessOrEqual(t, b.Y+b.H, float64(chartHeight))
		assert.LessOrEqual(t, b.X+b.W, float64(chartWidth))
	}
	assert.Empty(t, requestBars(Load{Slots: []Slot{{}, {}}}).Bars)
	n, zero := int64(5), int64(0)
	assert.Len(t, used(Allowance{Remaining: &zero, Limit: &n}).Bars, 2)
	assert.Empty(t, used(Allowance{Remaining: &n, Limit: &zero}).Bars)
	assert.Empty(t, used(Allowance{Remaining: &n}).Bars)
}

func TestNumbers(t *testing.T) {
	plain := func(s string) string { return strings.ReplaceAll(s, "\u00a0", " ") }
	for n, want := range map[int64]string{0: "0", 9999: "9999", 10_000: "10 k", 12_345: "12.3 k", 200_000: "200 k", 3_000_000: "3 M", 5_400_000_000: "5.4 G"} {
		assert.Equal(t, want, plain(count(n)))
	}
	for r, want := range map[float64]string{0: "0 %", 0.0001: "< 0.1 %", 0.012: "1.2 %", 0.5: "50 %", 1: "100 %"} {
		assert.Equal(t, want, plain(percent(r)))
	}
	for ms, want := range map[float64]string{0: "–", 0.01: "< 0.1 ms", 1.23: "1.2 ms", 999: "999 ms", 1234: "1.23 s", 65_000: "65 s", 600_000: "10 min"} {
		assert.Equal(t, want, plain(milliseconds(ms)))
	}
	assert.Equal(t, "server", causes(ErrorRate{Total: 1, Server: 1}))
	assert.Equal(t, "timeout 50 %, client 50 %", plain(causes(ErrorRate{Total: 1, Timeout: 0.5, Client: 0.5})))
}

func TestHistory(t *testing.T) {
	var h History
	assert.False(t, h.Wanted())
	h.Want()
	assert.True(t, h.Wanted())
	assert.Empty(t, h.Latest())
	for i := range 250 {
		h.Add(&Request{Status: i})
		list := h.Latest()
		require.Len(t, list, min(i+1, 100))
		assert.Equal(t, i, list[0].Status, "the newest first")
		assert.Equal(t, uint64(i+1), list[0].Number)
	}
	list := h.Latest()
	assert.Equal(t, 150, list[99].Status, "and the oldest are gone")
}

func TestHistoryFromManyGoroutines(t *testing.T) {
	var h History
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 500 {
				h.Add(&Request{})
				for i, r := range h.Latest() {
					if i > 100 || r == nil {
						t.Error("more than there can be")
					}
				}
			}
		})
	}
	wg.Wait()
	assert.Equal(t, uint64(2000), h.Latest()[0].Number)
}

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"":                          "",
		"plain":                     "plain",
		"a\nb\x00c\x1bd":            "a·b·c·d",
		"\u202egnp.exe":             "·gnp.exe",
		"a\xffb":                    "a·b",
		strings.Repeat("é", 64):     strings.Repeat("é", 64),
		strings.Repeat("é", 65):     strings.Repeat("é", 62) + "…",
		strings.Repeat("\x80", 200): strings.Repeat("·", 1) + "…",
	} {
		got := Name(in)
		assert.Equal(t, want, got)
	}
	assert.LessOrEqual(t, len(Text(strings.Repeat("日本", 1000))), maxText)
	body := strings.Repeat("x", 1000)
	assert.NotSame(t, unsafe.StringData(body), unsafe.StringData(Name(body[:10])), "it does not keep what it was a part of")
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"", "plain", strings.Repeat("\x80", 200), strings.Repeat("é", 65), "\u202e", hostile, strings.Repeat("\x00", 127)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Name(s)
		assert.LessOrEqual(t, len(got), maxName)
		assert.True(t, utf8.ValidString(got))
	})
}
