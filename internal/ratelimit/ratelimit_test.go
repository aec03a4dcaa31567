package ratelimit

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// header reads "name: value" pairs and keeps the names as they are written.
func header(lines ...string) http.Header {
	h := http.Header{}
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ": ")
		h[name] = []string{value}
	}
	return h
}

func TestSeconds(t *testing.T) {
	for _, c := range []struct {
		name, v string
		want    time.Duration
		ok      bool
	}{
		{"empty", "", 0, false},
		{"seconds", "20", 20 * time.Second, true},
		{"zero", "0", 0, true},
		{"fraction", "0.25", 250 * time.Millisecond, true},
		{"date", now.Add(90 * time.Second).Format(http.TimeFormat), 90 * time.Second, true},
		{"past date", now.Add(-time.Hour).Format(http.TimeFormat), 0, true},
		{"old date format", now.Add(time.Minute).Format(time.ANSIC), time.Minute, true},
		{"RFC 3339", now.Add(time.Minute).Format(time.RFC3339), time.Minute, true},
		{"far date", "Fri, 31 Dec 9999 23:59:59 GMT", Longest, true},
		{"seconds since 1970", strconv.FormatInt(now.Unix()+30, 10), 30 * time.Second, true},
		{"Go duration", "7s", 7 * time.Second, true},
		{"longer Go duration", "6m0s", 6 * time.Minute, true},
		{"Go milliseconds", "120ms", 120 * time.Millisecond, true},
		{"far Go duration", "2000000h", Longest, true},
		{"negative Go duration", "-7s", 0, false},
		{"signed Go duration", "+7s", 0, false},
		{"negative", "-5", 0, false},
		{"huge", strings.Repeat("9", 400), 0, false},
		{"large", "99999999999999999999", Longest, true},
		{"exponent", "1e3", 0, false},
		{"hexadecimal", "0x10", 0, false},
		{"infinite", "Inf", 0, false},
		{"not a number", "NaN", 0, false},
		{"two dots", "1.2.3", 0, false},
		{"dot", ".", 0, false},
		{"outer space", "  7 ", 7 * time.Second, true},
		{"words", "later", 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := Seconds(c.v, now)
			assert.Equal(t, c.ok, ok)
			assert.Equal(t, c.want, got)
		})
	}
	d, ok := Milliseconds("1500.5")
	assert.True(t, ok)
	assert.Equal(t, 1500500*time.Microsecond, d)
	_, ok = Milliseconds("-1")
	assert.False(t, ok)
}

func TestRead(t *testing.T) {
	n := func(n int64) Count { return Count{N: n, Known: true} }
	after := now.Add
	for _, c := range []struct {
		name string
		h    http.Header
		want Quota
	}{
		{"none", header("Content-Type: text/plain", "X-Ratelimit-: 1", "X-Rate: 1"), Quota{}},
		{"openai", header(
			"X-Ratelimit-Limit-Requests: 500", "X-Ratelimit-Remaining-Requests: 499", "X-Ratelimit-Reset-Requests: 120ms",
			"X-Ratelimit-Limit-Tokens: 30000", "X-Ratelimit-Remaining-Tokens: 29984", "X-Ratelimit-Reset-Tokens: 6m0s",
		), Quota{n(500), n(499), n(30000), n(29984), after(120 * time.Millisecond), after(6 * time.Minute)}},
		{"groq", header(
			"x-ratelimit-limit-requests: 14400", "x-ratelimit-remaining-requests: 14370", "x-ratelimit-reset-requests: 2m59.56s",
			"x-ratelimit-remaining-tokens: 0", "x-ratelimit-reset-tokens: 7.66s",
		), Quota{n(14400), n(14370), Count{}, n(0), after(2*time.Minute + 59560*time.Millisecond), after(7660 * time.Millisecond)}},
		{"anthropic", header(
			"Anthropic-Ratelimit-Requests-Limit: 50", "Anthropic-Ratelimit-Requests-Remaining: 49", "Anthropic-Ratelimit-Requests-Reset: 2026-05-01T12:00:01Z",
			"Anthropic-Ratelimit-Tokens-Limit: 48000", "Anthropic-Ratelimit-Tokens-Remaining: 47000", "Anthropic-Ratelimit-Tokens-Reset: 2026-05-01T12:01:00Z",
			"Anthropic-Ratelimit-Input-Tokens-Limit: 40000", "Anthropic-Ratelimit-Input-Tokens-Remaining: 39000",
		), Quota{n(50), n(49), n(48000), n(47000), after(time.Second), after(time.Minute)}},
		{"anthropic, input alone", header(
			"ANTHROPIC-RATELIMIT-INPUT-TOKENS-LIMIT: 40000", "anthropic-ratelimit-input-tokens-remaining: 39000", "Anthropic-Ratelimit-Input-Tokens-Reset: 2026-05-01T12:01:00Z",
		), Quota{LimitTokens: n(40000), RemainingTokens: n(39000), ResetTokens: after(time.Minute)}},
		{"cerebras", header(
			"X-Ratelimit-Limit-Requests-Day: 1000", "X-Ratelimit-Remaining-Requests-Day: 999", "X-Ratelimit-Reset-Requests-Day: 33011.25",
			"X-Ratelimit-Limit-Tokens-Minute: 60000", "X-Ratelimit-Remaining-Tokens-Minute: 59000", "X-Ratelimit-Reset-Tokens-Minute: 11",
		), Quota{n(1000), n(999), n(60000), n(59000), after(33011250 * time.Millisecond), after(11 * time.Second)}},
		{"openrouter", header("X-Ratelimit-Limit: 20", "X-Ratelimit-Remaining: 19", "X-Ratelimit-Reset: 1777636860000"),
			Quota{LimitRequests: n(20), RemainingRequests: n(19), ResetRequests: time.UnixMilli(1777636860000)}},
		{"epoch", header("X-Ratelimit-Limit: 20", "X-Ratelimit-Reset: 1777636860"),
			Quota{LimitRequests: n(20), ResetRequests: time.Unix(1777636860, 0)}},
		{"mistral", header(
			"X-Ratelimit-Limit-Req-Minute: 60", "X-Ratelimit-Remaining-Req-Minute: 59", "X-Ratelimit-Limit-Tokens-Minute: 50000",
			"X-Ratelimit-Remaining-Tokens-Minute: 47196", "X-Ratelimit-Limit-Tokens-Month: 4000000", "X-Ratelimit-Remaining-Tokens-Month: 3950246",
		), Quota{LimitRequests: n(60), RemainingRequests: n(59), LimitTokens: n(50000), RemainingTokens: n(47196)}},
		{"fireworks", header("X-Ratelimit-Limit-Tokens-Prompt: 7200000", "X-Ratelimit-Remaining-Tokens-Prompt: 7193993", "X-Ratelimit-Limit-Tokens-Generated: 72000"),
			Quota{LimitTokens: n(7200000), RemainingTokens: n(7193993)}},
		{"together", header("X-Ratelimit-Limit: 10", "X-Ratelimit-Remaining: 9", "X-Ratelimit-Reset: 1", "X-Tokenlimit-Limit: 3000", "X-Tokenlimit-Remaining: 2000"),
			Quota{LimitRequests: n(10), RemainingRequests: n(9), ResetRequests: after(time.Second), LimitTokens: n(3000), RemainingTokens: n(2000)}},
		{"the draft's", header("Ratelimit-Limit: 100", "RateLimit-Remaining: 50", "ratelimit-reset: 30"),
			Quota{LimitRequests: n(100), RemainingRequests: n(50), ResetRequests: after(30 * time.Second)}},
		{"one header", header("RateLimit: limit=100, remaining=50, reset=30"), Quota{LimitRequests: n(100), RemainingRequests: n(50), ResetRequests: after(30 * time.Second)}},
		{"one structured header", header("Ratelimit: \"api\";r=55;t=60, \"day\";r=1;t=9"), Quota{RemainingRequests: n(55), ResetRequests: after(time.Minute)}},
		{"one bad header", header("Ratelimit: r;t=;;=,"), Quota{}},
		{"a day beside a minute", header("X-Ratelimit-Remaining-Tokens-Day: 7", "X-Ratelimit-Remaining-Tokens-Minute: 5"), Quota{RemainingTokens: n(5)}},
		{"output alone", header("Anthropic-Ratelimit-Output-Tokens-Remaining: 5"), Quota{RemainingTokens: n(5)}},
		{"specific beats general", header("X-Ratelimit-Limit: 1", "X-Ratelimit-Remaining: 2", "X-Ratelimit-Remaining-Requests: 3"),
			Quota{RemainingRequests: n(3)}},
		{"garbage", header("X-Ratelimit-Limit-Requests: many", "X-Ratelimit-Remaining-Requests: -1", "X-Ratelimit-Reset-Requests: -5s",
			"X-Ratelimit-Limit-Tokens: 99999999999999999999", "X-Ratelimit-Reset-Tokens: 99999999999999999999", "Anthropic-Ratelimit-Tokens-Reset: soon"), Quota{}},
		{"no values", http.Header{"X-Ratelimit-Limit-Requests": nil}, Quota{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Read(c.h, now)
			assert.Equal(t, c.want, got)
			assert.Equal(t, c.want != Quota{}, got.Known())
		})
	}
}

func TestExhausted(t *testing.T) {
	for _, c := range []struct {
		name string
		h    http.Header
		want time.Duration
		ok   bool
	}{
		{"no headers", header(), 0, false},
		{"something left", header("X-Ratelimit-Remaining-Requests: 1", "X-Ratelimit-Reset-Requests: 1s"), 0, false},
		{"nothing left", header("X-Ratelimit-Remaining-Requests: 0", "X-Ratelimit-Reset-Requests: 1s"), time.Second, true},
		{"the longer of two", header("X-Ratelimit-Remaining-Requests: 0", "X-Ratelimit-Reset-Requests: 1s",
			"X-Ratelimit-Remaining-Tokens: 0", "X-Ratelimit-Reset-Tokens: 6m0s"), 6 * time.Minute, true},
		{"not that of a window with more", header("X-Ratelimit-Remaining-Requests: 0", "X-Ratelimit-Reset-Requests: 1s",
			"X-Ratelimit-Remaining-Tokens: 9", "X-Ratelimit-Reset-Tokens: 6m0s"), time.Second, true},
		{"a date", header("Anthropic-Ratelimit-Output-Tokens-Remaining: 0", "Anthropic-Ratelimit-Output-Tokens-Reset: 2026-05-01T12:00:40Z"), 40 * time.Second, true},
		{"a past date", header("Anthropic-Ratelimit-Tokens-Remaining: 0", "Anthropic-Ratelimit-Tokens-Reset: 2026-05-01T11:00:00Z"), 0, true},
		{"seconds with a fraction", header("X-Ratelimit-Remaining-Tokens-Minute: 0", "X-Ratelimit-Reset-Tokens-Minute: 26.5"), 26500 * time.Millisecond, true},
		{"milliseconds since 1970", header("X-Ratelimit-Remaining: 0", "X-Ratelimit-Reset: "+strconv.FormatInt(now.UnixMilli()+60000, 10)), time.Minute, true},
		{"the draft's", header("RateLimit-Remaining: 0", "RateLimit-Reset: 50"), 50 * time.Second, true},
		{"one header", header("RateLimit: \"api\";r=0;t=7"), 7 * time.Second, true},
		{"no reset", header("X-Ratelimit-Remaining-Tokens-Month: 0"), 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := Exhausted(c.h, now)
			assert.Equal(t, c.ok, ok)
			assert.Equal(t, c.want, got)
		})
	}
}

// TestWindows has each row of the table speak: no header is misspelt, and no row is in the shadow of another.
func TestWindows(t *testing.T) {
	byWindow := map[int]http.Header{}
	for name, c := range cells {
		assert.Equal(t, http.CanonicalHeaderKey(name), name)
		assert.True(t, isLimit(name), name)
		if byWindow[c.window] == nil {
			byWindow[c.window] = http.Header{}
		}
		byWindow[c.window][name] = []string{strconv.Itoa(int(c.column) * 7)}
	}
	assert.Len(t, byWindow, len(windows))
	for i, h := range byWindow {
		q := Read(h, now)
		limit, remaining := q.LimitRequests, q.RemainingRequests
		if windows[i].tokens {
			limit, remaining = q.LimitTokens, q.RemainingTokens
		}
		assert.Equal(t, Count{0, true}, limit, h)
		assert.Equal(t, Count{7, true}, remaining, h)
	}
}

// TestIsHeader: each header of the table is one of a limit, and no other header of usual answers.
func TestIsHeader(t *testing.T) {
	for name := range cells {
		assert.True(t, IsHeader(name), name)
	}
	for _, name := range []string{"Content-Type", "Retry-After", "X-Request-Id", "Openai-Processing-Ms", "X-Amzn-Bedrock-Input-Token-Count"} {
		assert.False(t, IsHeader(name), name)
	}
}

func FuzzHeaders(f *testing.F) {
	for _, v := range []string{"1", "1.5", "6m0s", "2026-05-01T12:01:00Z", "Fri, 31 Dec 9999 23:59:59 GMT", "-1", "1e9"} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v string) {
		for _, read := range []func() (time.Duration, bool){
			func() (time.Duration, bool) { return Seconds(v, now) },
			func() (time.Duration, bool) { return Milliseconds(v) },
		} {
			d, ok := read()
			assert.True(t, d >= 0 && d <= Longest && (ok || d == 0))
		}
		wait, ok := Exhausted(http.Header{"X-Ratelimit-Remaining-Tokens": {"0"}, "X-Ratelimit-Reset-Tokens": {v}}, now)
		assert.True(t, wait >= 0 && wait <= Longest && (ok || wait == 0))
		Read(http.Header{"Ratelimit": {v}}, now)
		q := Read(http.Header{"X-Ratelimit-Remaining-Tokens": {v}, "X-Ratelimit-Reset-Tokens": {v}, "X-Ratelimit-Limit-Requests": {v}}, now)
		assert.GreaterOrEqual(t, q.LimitRequests.N, int64(0))
		assert.GreaterOrEqual(t, q.RemainingTokens.N, int64(0))
	})
}

func BenchmarkRead(b *testing.B) {
	h := header("X-Ratelimit-Limit-Requests: 500", "X-Ratelimit-Remaining-Requests: 499", "X-Ratelimit-Reset-Requests: 120ms", "Content-Type: x", "Date: x", "Server: x")
	b.ReportAllocs()
	for b.Loop() {
		Read(h, now)
	}
}

// TestReplace tells of our own limits in place of the upstream's.
func TestReplace(t *testing.T) {
	h := header("X-Ratelimit-Limit-Requests: 1000", "Anthropic-Ratelimit-Tokens-Reset: 1", "Content-Type: a")
	Replace(h, Left{Limit: 10, Remaining: 9, Reset: 1500*time.Millisecond + 1}, Left{})
	assert.Equal(t, header("X-Ratelimit-Limit-Requests: 10", "X-Ratelimit-Remaining-Requests: 9", "X-Ratelimit-Reset-Requests: 1.501s", "Content-Type: a"), h)
}
