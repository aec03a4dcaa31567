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
	resting := Health{State: InCooldown, CooldownMS: 1500}
	allowance := Allowance{Remaining: &n, Limit: &n, ResetMS: 10}
	return &State{
		Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Total: load,
		Providers: []Provider{{ID: hostile, DisplayName: hostile + " shown", Aliases: []string{hostile}, BaseURL: hostile, Endpoint: hostile, Formats: []string{hostile},
			Models: 2, ModelsInCooldown: 1, Load: load}},
		OtherProviders: []string{hostile},
		Models:         []Model{{Provider: hostile, ID: hostile, Health: resting, Load: load}, {Health: Health{State: Due}}, {Health: Health{State: Healthy, Failures: 2}}},
		OtherModels:    []OtherModel{{Provider: hostile, Count: 2, IDs: []string{hostile}}},
		Keys:           []Key{{Provider: hostile, ID: hostile, Health: resting, Requests: allowance, Tokens: Allowance{Limit: &n}, Load: load}},
		Requests: []*Request{{Number: 1, ID: hostile, Surface: hostile, Path: hostile, Names: []string{hostile}, Code: hostile, Status: 503, Message: hostile,
			Provider: hostile, Model: hostile, Notes: []string{hostile}, Rejected: []Rejected{{hostile, hostile}}, Omitted: 1,
			Trail: []Step{{Provider: hostile, Model: hostile, Key: hostile, KeyID: hostile, Outcome: hostile, Kind: hostile, Reason: hostile, CooldownMS: 1, TotalMS: 2}}}},
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
		"another choice":      {httptest.NewRequest(http.MethodGet, "/?only=good", nil), 400, "text/plain; charset=utf-8", "only is failed"},
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
	assert.Len(t, used(Allowance{Remaining: &n, Limit: &n}).Bars, 2)
	assert.Equal(t, []bar{{0, 0, chartWidth, chartHeight, "spent"}}, used(Allowance{Remaining: &zero, Limit: &n}).Bars, "nothing left can be seen")
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
	for n, want := range map[int64]string{0: "0 bytes", 1000: "1000 bytes", 1 << 20: "1 MiB", 64 << 20: "64 MiB", 1536: "1.5 KiB", 2 << 30: "2 GiB"} {
		assert.Equal(t, want, plain(byteCount(n)))
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
		h.Add(&Request{Status: i, OK: true})
		list := h.Latest()
		require.Len(t, list, min(i+1, 50))
		assert.Equal(t, i, list[0].Status, "the newest first")
		assert.Equal(t, uint64(i+1), list[0].Number)
	}
	list := h.Latest()
	assert.Equal(t, 200, list[49].Status, "and the oldest are gone")
}

// Regression: at 50 requests a second, those that succeeded pushed out the one
// that had not within two seconds.
func TestHistoryKeepsTrouble(t *testing.T) {
	var h History
	troubled := map[uint64]bool{}
	for i := range uint64(3000) {
		r := &Request{OK: true, Trail: []Step{{Outcome: Succeeded}}}
		switch i % 40 {
		case 0:
			r.OK = false
		case 1:
			r.Trail = []Step{{Outcome: Failed}, {Outcome: Succeeded}}
		default: // all others, while a provider rests
			r.Trail = []Step{{Outcome: Skipped}, {Outcome: Succeeded}}
		}
		h.Add(r)
		troubled[r.Number] = i%40 < 2
		if i%97 != 0 {
			continue
		}
		list := h.Latest()
		require.LessOrEqual(t, len(list), 100, "within the bound of memory")
		for j := range list[1:] {
			require.Greater(t, list[j].Number, list[j+1].Number, "the newest first, and each once")
		}
	}
	n := 0
	for i, r := range h.Latest() {
		if troubled[r.Number] {
			n++
		} else {
			assert.Less(t, i, 50)
		}
	}
	assert.Equal(t, 50, n)
}

func TestOnlyFailed(t *testing.T) {
	s := source()
	s.State = func(time.Time) *State {
		return &State{Time: time.Now(), Requests: []*Request{
			{Number: 3, OK: true, Names: []string{"fine"}},
			{Number: 2, Names: []string{"failed"}},
			{Number: 1, OK: true, Names: []string{"over"}, Trail: []Step{{Outcome: Failed}, {Outcome: Succeeded}}},
		}}
	}
	h := NewHandler(s)
	rows := func(target string) []string {
		w := serve(h, httptest.NewRequest(http.MethodGet, target, nil))
		assert.Equal(t, http.StatusOK, w.Code)
		return regexp.MustCompile(`id="r\d"`).FindAllString(w.Body.String(), -1)
	}
	assert.Equal(t, []string{`id="r3"`, `id="r2"`, `id="r1"`}, rows("/"))
	assert.Equal(t, []string{`id="r2"`, `id="r1"`}, rows("/?only=failed"))
	page := serve(h, httptest.NewRequest(http.MethodGet, "/?only=failed", nil)).Body.String()
	assert.Contains(t, page, `<a href="?only=failed#requests" aria-current="true">Failed or failed over</a> <small>2</small>`)
	assert.Contains(t, page, `<a href="?#requests">All</a> <small>3</small>`)

	var state State
	require.NoError(t, json.Unmarshal(serve(h, httptest.NewRequest(http.MethodGet, "/?only=failed&format=json", nil)).Body.Bytes(), &state))
	assert.Len(t, state.Requests, 2)

	none := source()
	none.State = func(time.Time) *State { return &State{Requests: []*Request{{Number: 1, OK: true}}} }
	w := serve(NewHandler(none), httptest.NewRequest(http.MethodGet, "/?only=failed", nil))
	assert.Contains(t, w.Body.String(), "None of those that are kept.")
}

func TestTags(t *testing.T) {
	failing := Load{Requests: 2, ErrorRate: ErrorRate{Total: 1, Server: 1}}
	half := Load{Requests: 2, ErrorRate: ErrorRate{Total: .5}}
	for _, c := range []struct {
		got  tag
		want tag
	}{
		{healthTag(Health{State: Healthy}, half), tag{"good", "healthy"}},
		{healthTag(Health{State: Healthy}, failing), tag{"warn", "healthy, all failed"}},
		{healthTag(Health{State: Healthy, Failures: 2}, failing), tag{"warn", "healthy, 2 failed"}},
		{healthTag(Health{State: Due}, half), tag{"warn", "due for a probe"}},
		{healthTag(Health{State: Probing}, half), tag{"warn", "being probed"}},
		{healthTag(Health{State: InCooldown, CooldownMS: 20_000}, half), tag{"bad", "cooldown 20\u00a0s"}},
		{healthTag(Health{State: InCooldown, CooldownMS: 20_000, OfKeys: true}, half), tag{"bad", "its keys in cooldown, 20\u00a0s"}},

		{providerTag(Provider{}), tag{"good", "healthy"}},
		{providerTag(Provider{Models: 2, Keys: 1}), tag{"good", "healthy"}},
		{providerTag(Provider{Models: 2, Load: failing}), tag{"warn", "healthy, all failed"}},
		{providerTag(Provider{Models: 2, Disabled: true, ModelsInCooldown: 2}), tag{"", "disabled"}},
		{providerTag(Provider{Models: 2, ModelsInCooldown: 1}), tag{"warn", "1 of 2 models in cooldown"}},
		{providerTag(Provider{Models: 2, ModelsInCooldown: 2}), tag{"bad", "2 of 2 models in cooldown"}},
		{providerTag(Provider{Models: 1, ModelsDue: 1}), tag{"warn", "1 of 1 models due for a probe"}},
		{providerTag(Provider{Models: 1, ModelsProbing: 1}), tag{"warn", "1 of 1 models being probed"}},
		{providerTag(Provider{Models: 3, ModelsInCooldown: 1, ModelsProbing: 1, ModelsDue: 1}), tag{"warn", "1 of 3 models in cooldown, 1 being probed, 1 due for a probe"}},
		{providerTag(Provider{Models: 3, ModelsDue: 1, Keys: 2, KeysInCooldown: 2}), tag{"bad", "2 of 2 keys in cooldown"}},
		{providerTag(Provider{Models: 3, Keys: 2, KeysInCooldown: 1}), tag{"warn", "1 of 2 keys in cooldown"}},

		{requestTag(&Request{OK: true, Trail: []Step{{Outcome: Succeeded}}}), tag{"good", "ok"}},
		{requestTag(&Request{OK: true, Trail: []Step{{Outcome: Failed}, {Outcome: Succeeded}}}), tag{"warn", "failed over"}},
		{requestTag(&Request{OK: true, Trail: []Step{{Outcome: Skipped}, {Outcome: Succeeded}}}), tag{"", "ok, 1 skipped"}},
		{requestTag(&Request{OK: true, Trail: []Step{{Outcome: Skipped}, {Outcome: Failed}, {Outcome: Succeeded}}}), tag{"warn", "failed over"}},
		{requestTag(&Request{Status: 200, Code: "stream_broken"}), tag{"bad", "200 stream_broken"}},
		{requestTag(&Request{Code: "client_gone"}), tag{"bad", "client_gone"}},

		{stepTag(Step{Outcome: Succeeded, Status: 200}), tag{"good", "success\u00a0200"}},
		{stepTag(Step{Outcome: Failed, Status: 500}), tag{"bad", "failed\u00a0500"}},
		{stepTag(Step{Outcome: NotSent}), tag{"bad", "not sent"}},
		{stepTag(Step{Outcome: Skipped}), tag{"", "skipped"}},
	} {
		assert.Equal(t, c.want, c.got)
	}
}

func TestIdleModels(t *testing.T) {
	busy, failing := Load{Requests: 1}, Health{State: Healthy, Failures: 1}
	s := &State{Models: []Model{
		{Provider: "a", ID: "busy", Health: Health{State: Healthy}, Load: busy},
		{Provider: "a", ID: "begun", Health: Health{State: Healthy}, Load: Load{InFlight: 1}},
		{Provider: "a", ID: "resting", Health: Health{State: InCooldown}},
		{Provider: "a", ID: "failing", Health: failing},
		{Provider: "b", ID: "off", Disabled: true, Health: Health{State: Healthy}},
	}}
	assert.Len(t, s.ModelRows(), 5, "few have a row each")
	assert.Empty(t, s.IdleModels())
	for range 60 {
		s.Models = append(s.Models, Model{Provider: "a", ID: "idle", Health: Health{State: Healthy}})
	}
	assert.Equal(t, s.Models[:4], s.ModelRows())
	idle := s.IdleModels()
	assert.Equal(t, 61, total(idle))
	assert.Equal(t, []string{"off (disabled)"}, idle[0].IDs)
	assert.Len(t, idle[1].IDs, 60)
}

func TestGrouped(t *testing.T) {
	for name, c := range map[string]struct{ notes, want []string }{
		"none": {nil, nil},
		"one":  {[]string{"filter: a:m left out: no such key: gpu"}, []string{"filter: a:m left out: no such key: gpu"}},
		"several": {
			[]string{"filter: a:m left out: no such key: gpu", "filter: a:n left out: no such key: gpu", "and 15 more"},
			[]string{"17 models left out: no such key: gpu"},
		},
		"of two runs": {
			[]string{"filter: a:m left out: x", "filter: a:n left out: x", "filter: a:m left out: x", "filter: a:o left out: x"},
			[]string{"3 models left out: x"},
		},
		"of two kinds": {
			[]string{"filter: a:m left out: x", "sorted by nothing", "filter: a:n left out: y", "filter: a:o left out: x", "and 3 more"},
			[]string{"2 models left out: x", "sorted by nothing", "filter: a:n left out: y", "and 3 more"},
		},
		"keys": {
			[]string{`api_key_selection.strategy[0] for provider "a": filter: k left out: x`, `api_key_selection.strategy[0] for provider "a": filter: l left out: x`},
			[]string{`api_key_selection.strategy[0] for provider "a": 2 keys left out: x`},
		},
		"only more": {[]string{"and 3 more"}, []string{"and 3 more"}},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, c.want, Grouped(c.notes)) })
	}
}

func TestTimes(t *testing.T) {
	east := time.FixedZone("", 2*60*60)
	now := time.Date(2026, 3, 1, 0, 30, 0, 0, east)
	assert.Equal(t, moment{"00:29:59", "", "2026-03-01T00:29:59+02:00"}, newMoment(now, now.Add(-time.Second)))
	assert.Equal(t, moment{"23:30:00", "28 Feb", "2026-02-28T23:30:00+02:00"}, newMoment(now, now.Add(-time.Hour)))
	assert.Equal(t, moment{"00:30:00", "1 Mar 2025", "2025-03-01T00:30:00+02:00"}, newMoment(now, now.AddDate(-1, 0, 0)))
	assert.Equal(t, "00:00:00", newMoment(now, now.Add(-30*time.Minute).UTC()).Clock, "in one zone")
	assert.Equal(t, "UTC+02:00", zone(now))
	assert.Equal(t, "UTC", zone(now.UTC()))
}

// What the page says of a request in each place where it may have nothing to say.
func TestRequestRow(t *testing.T) {
	row := func(r Request) string {
		s := source()
		now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		r.Time = now.Add(-24 * time.Hour)
		s.State = func(time.Time) *State { return &State{Time: now, Requests: []*Request{&r}} }
		return serve(NewHandler(s), httptest.NewRequest(http.MethodGet, "/", nil)).Body.String()
	}
	assert.Contains(t, row(Request{Auto: true}), `<bdi>auto</bdi>`)
	assert.Contains(t, row(Request{}), `<bdi>–</bdi>`, "nobody knows what was asked")
	assert.Contains(t, row(Request{Names: []string{"a", "b"}, NamesOmitted: 3}), `<bdi>a, b, …</bdi>`)
	assert.Contains(t, row(Request{}), `title="2026-01-01T03:04:05Z">03:04:05<small class="block">1 Jan</small></time>`)
	assert.Contains(t, row(Request{}), `as of <time datetime="2026-01-02T03:04:05Z" title="2026-01-02T03:04:05Z">03:04:05</time> UTC<`)
	page := row(Request{Trail: []Step{{Key: "sk-rack…cccc", KeyID: "083d32e7c172", TotalMS: 5, FirstByteMS: 1, FirstTokenMS: 2}}})
	assert.Contains(t, page, "key <code>083d32e7c172</code> (<code>sk-rack…cccc</code>)")
	assert.Contains(t, strings.ReplaceAll(page, "\u00a0", " "), `first byte 1.0 ms</span> · <span class="nb">first token 2.0 ms`)
}

func TestHistoryFromManyGoroutines(t *testing.T) {
	var h History
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 500 {
				h.Add(&Request{})
				for i, r := range h.Latest() {
					if i >= 100 || r == nil {
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
