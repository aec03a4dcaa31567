package usage

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// longest bounds every duration that is read from a header, so that adding it
// to a time cannot overflow. No caller waits for a tenth of it.
const longest = 365 * 24 * time.Hour

// RetryAfter is how long the upstream asks to wait, from retry-after-ms or else
// Retry-After, in seconds or as a date. Both may have a fraction. It is 0 for a
// date that has passed, a year at most, and false when neither is readable.
func RetryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	if n, ok := number(h.Get("Retry-After-Ms")); ok {
		return scale(n, time.Millisecond), true
	}
	v := strings.TrimSpace(h.Get("Retry-After"))
	if n, ok := number(v); ok {
		return scale(n, time.Second), true
	}
	if v == "" {
		return 0, false
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0, false
	}
	return min(max(at.Sub(now), 0), longest), true
}

// Count is a number that may be unknown.
type Count struct {
	N     int64
	Known bool
}

// Quota is what is left of a key's rate limits, as one answer told it. Of several
// windows the shortest is taken. The zero Quota knows nothing.
type Quota struct {
	LimitRequests, RemainingRequests Count
	LimitTokens, RemainingTokens     Count

	// When the counts start anew. Zero if unknown.
	ResetRequests, ResetTokens time.Time
}

// Known reports whether there is anything in q.
func (q Quota) Known() bool { return q != Quota{} }

// RateLimit reads the x-ratelimit-* headers of OpenAI and those who follow it,
// and Anthropic's anthropic-ratelimit-*. now is when the answer came: resets are
// told as a time to go by some, as a time of day by others.
func RateLimit(h http.Header, now time.Time) Quota {
	var q, less Quota // less: from the less specific headers
	for key, values := range h {
		// Two comparisons keep the other twenty headers of an answer cheap.
		if len(values) == 0 || !prefixed(key, "X-Ratelimit-") && !prefixed(key, "Anthropic-Ratelimit-") {
			continue
		}
		v := strings.TrimSpace(values[0])
		switch http.CanonicalHeaderKey(key) {
		case "X-Ratelimit-Limit-Requests", "Anthropic-Ratelimit-Requests-Limit":
			q.LimitRequests = count(v)
		case "X-Ratelimit-Remaining-Requests", "Anthropic-Ratelimit-Requests-Remaining":
			q.RemainingRequests = count(v)
		case "X-Ratelimit-Reset-Requests", "Anthropic-Ratelimit-Requests-Reset":
			q.ResetRequests = reset(v, now)
		case "X-Ratelimit-Limit-Tokens", "Anthropic-Ratelimit-Tokens-Limit":
			q.LimitTokens = count(v)
		case "X-Ratelimit-Remaining-Tokens", "Anthropic-Ratelimit-Tokens-Remaining":
			q.RemainingTokens = count(v)
		case "X-Ratelimit-Reset-Tokens", "Anthropic-Ratelimit-Tokens-Reset":
			q.ResetTokens = reset(v, now)

		case "X-Ratelimit-Limit", "X-Ratelimit-Limit-Requests-Day":
			less.LimitRequests = count(v)
		case "X-Ratelimit-Remaining", "X-Ratelimit-Remaining-Requests-Day":
			less.RemainingRequests = count(v)
		case "X-Ratelimit-Reset", "X-Ratelimit-Reset-Requests-Day":
			less.ResetRequests = reset(v, now)
		case "X-Ratelimit-Limit-Tokens-Minute", "Anthropic-Ratelimit-Input-Tokens-Limit":
			less.LimitTokens = count(v)
		case "X-Ratelimit-Remaining-Tokens-Minute", "Anthropic-Ratelimit-Input-Tokens-Remaining":
			less.RemainingTokens = count(v)
		case "X-Ratelimit-Reset-Tokens-Minute", "Anthropic-Ratelimit-Input-Tokens-Reset":
			less.ResetTokens = reset(v, now)
		}
	}
	// A family is taken as a whole: what remains of one limit says nothing beside
	// the size of another.
	if !q.LimitRequests.Known && !q.RemainingRequests.Known {
		q.LimitRequests, q.RemainingRequests = less.LimitRequests, less.RemainingRequests
		q.ResetRequests = less.ResetRequests
	}
	if !q.LimitTokens.Known && !q.RemainingTokens.Known {
		q.LimitTokens, q.RemainingTokens = less.LimitTokens, less.RemainingTokens
		q.ResetTokens = less.ResetTokens
	}
	return q
}

func prefixed(key, prefix string) bool {
	return len(key) > len(prefix) && strings.EqualFold(key[:len(prefix)], prefix)
}

func count(v string) Count {
	n, ok := number(v)
	if !ok || n >= 1<<53 {
		return Count{}
	}
	return Count{N: int64(n), Known: true}
}

// reset reads a time: a duration ("6m0s", "20ms"), a date of RFC 3339, or a bare
// number, which is an instant when it is too large for seconds to go.
func reset(v string, now time.Time) time.Time {
	if n, ok := number(v); ok {
		switch {
		case n >= 1e15:
			return time.Time{}
		case n >= 1e11:
			return time.UnixMilli(int64(n))
		case n >= 1e9:
			return time.Unix(int64(n), 0)
		}
		return now.Add(scale(n, time.Second))
	}
	if d, err := time.ParseDuration(v); err == nil && d >= 0 {
		return now.Add(min(d, longest))
	}
	if at, err := time.Parse(time.RFC3339, v); err == nil {
		return at
	}
	return time.Time{}
}

// number reads digits with an optional fraction. strconv alone would also take
// signs, exponents, hexadecimals and words.
func number(v string) (float64, bool) {
	v = strings.TrimSpace(v)
	for i := range len(v) {
		if c := v[i]; c != '.' && (c < '0' || c > '9') {
			return 0, false
		}
	}
	n, err := strconv.ParseFloat(v, 64)
	return n, err == nil
}

func scale(n float64, unit time.Duration) time.Duration {
	return time.Duration(math.Min(math.Ceil(n*float64(unit)), float64(longest)))
}
