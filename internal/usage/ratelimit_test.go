package usage

import (
	"net/http"
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

func TestRetryAfter(t *testing.T) {
	for _, c := range []struct {
		name string
		h    http.Header
		want time.Duration
		ok   bool
	}{
		{"none", header(), 0, false},
		{"seconds", header("Retry-After: 20"), 20 * time.Second, true},
		{"zero", header("Retry-After: 0"), 0, true},
		{"fraction", header("Retry-After: 0.25"), 250 * time.Millisecond, true},
		{"date", header("Retry-After: " + now.Add(90*time.Second).Format(http.TimeFormat)), 90 * time.Second, true},
		{"past date", header("Retry-After: " + now.Add(-time.Hour).Format(http.TimeFormat)), 0, true},
		{"old date format", header("Retry-After: " + now.Add(time.Minute).Format(time.ANSIC)), time.Minute, true},
		{"far date", header("Retry-After: Fri, 31 Dec 9999 23:59:59 GMT"), longest, true},
		{"milliseconds first", header("Retry-After-Ms: 1500.5", "Retry-After: 20"), 1500500 * time.Microsecond, true},
		{"bad milliseconds", header("Retry-After-Ms: soon", "Retry-After: 20"), 20 * time.Second, true},
		{"negative milliseconds", header("Retry-After-Ms: -1", "Retry-After: 20"), 20 * time.Second, true},
		{"negative", header("Retry-After: -5"), 0, false},
		{"huge", header("Retry-After: " + strings.Repeat("9", 400)), 0, false},
		{"large", header("Retry-After: 99999999999999999999"), longest, true},
		{"exponent", header("Retry-After: 1e3"), 0, false},
		{"hexadecimal", header("Retry-After: 0x10"), 0, false},
		{"infinite", header("Retry-After: Inf"), 0, false},
		{"not a number", header("Retry-After: NaN"), 0, false},
		{"two dots", header("Retry-After: 1.2.3"), 0, false},
		{"dot", header("Retry-After: ."), 0, false},
		{"outer space", header("Retry-After:  7 "), 7 * time.Second, true},
		{"words", header("Retry-After: later"), 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := RetryAfter(c.h, now)
			assert.Equal(t, c.ok, ok)
			assert.Equal(t, c.want, got)
		})
	}
}

func TestRateLimit(t *testing.T) {
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
		{"specific beats general", header("X-Ratelimit-Limit: 1", "X-Ratelimit-Remaining: 2", "X-Ratelimit-Remaining-Requests: 3"),
			Quota{RemainingRequests: n(3)}},
		{"garbage", header("X-Ratelimit-Limit-Requests: many", "X-Ratelimit-Remaining-Requests: -1", "X-Ratelimit-Reset-Requests: -5s",
			"X-Ratelimit-Limit-Tokens: 99999999999999999999", "X-Ratelimit-Reset-Tokens: 99999999999999999999", "Anthropic-Ratelimit-Tokens-Reset: soon"), Quota{}},
		{"no values", http.Header{"X-Ratelimit-Limit-Requests": nil}, Quota{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := RateLimit(c.h, now)
			assert.Equal(t, c.want, got)
			assert.Equal(t, c.want != Quota{}, got.Known())
		})
	}
}

func FuzzHeaders(f *testing.F) {
	for _, v := range []string{"1", "1.5", "6m0s", "2026-05-01T12:01:00Z", "Fri, 31 Dec 9999 23:59:59 GMT", "-1", "1e9"} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v string) {
		for _, h := range []http.Header{{"Retry-After": {v}}, {"Retry-After-Ms": {v}}, {"Retry-After-Ms": {v}, "Retry-After": {v}}} {
			d, ok := RetryAfter(h, now)
			assert.True(t, d >= 0 && d <= longest && (ok || d == 0))
		}
		q := RateLimit(http.Header{"X-Ratelimit-Remaining-Tokens": {v}, "X-Ratelimit-Reset-Tokens": {v}, "X-Ratelimit-Limit-Requests": {v}}, now)
		assert.GreaterOrEqual(t, q.LimitRequests.N, int64(0))
		assert.GreaterOrEqual(t, q.RemainingTokens.N, int64(0))
	})
}

func BenchmarkRateLimit(b *testing.B) {
	h := header("X-Ratelimit-Limit-Requests: 500", "X-Ratelimit-Remaining-Requests: 499", "X-Ratelimit-Reset-Requests: 120ms", "Content-Type: x", "Date: x", "Server: x")
	b.ReportAllocs()
	for b.Loop() {
		RateLimit(h, now)
	}
}
