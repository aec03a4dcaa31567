// Package ratelimit reads the rate-limit headers of providers: the limit, the rest of it, and the time of its reset. It
// writes those of the gateway's own limits.
// windows.tsv has the headers' names, one row a window.
package ratelimit

import (
	_ "embed"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Longest bounds every duration of this package. Added to a time it cannot overflow.
const Longest = 365 * 24 * time.Hour

// Count is a number, if Known.
//
// The zero Count is unknown. A known 0 means that nothing is left.
type Count struct {
	N     int64
	Known bool
}

// Quota is the rest of a key's rate limits, from one answer. Of several windows the shortest counts. The zero Quota is
// unknown.
type Quota struct {
	LimitRequests, RemainingRequests Count
	LimitTokens, RemainingTokens     Count

	// ResetRequests and ResetTokens are the times of the resets. Zero if unknown.
	ResetRequests, ResetTokens time.Time
}

// Known reports whether q holds anything.
func (q Quota) Known() bool { return q != Quota{} }

//go:embed windows.tsv
var windowsTSV string

// window is a row of windows.tsv.
//
// Of several windows of one unit in an answer the lowest rank counts.
type window struct {
	tokens bool // else requests
	rank   int
}

// cell is a header's place in the table.
type cell struct {
	window int
	column column
}

// column is one of a window's three headers, in the table's order.
type column uint8

const (
	limitColumn column = iota
	remainingColumn
	resetColumn
)

// maxWindows is room for the rows of the table, on the stack of Read.
const maxWindows = 24

// The table is read once, and panics at a slip. The package's tests find every slip.
var windows, cells = parseWindows(windowsTSV)

// parseWindows returns the rows, and the place of each header under its canonical name.
//
// A row has seven columns: provider, tokens or requests, rank, three headers,
// and a source. Headers stand under their canonical names.
func parseWindows(table string) (list []window, byHeader map[string]cell) {
	byHeader = map[string]cell{}
	names := false
	for line := range strings.Lines(table) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		if !names {
			names = true
			continue
		}
		row := strings.Split(line, "\t")
		if len(row) != 7 || row[6] == "" || len(list) == maxWindows {
			panic(fmt.Sprintf("ratelimit: a bad row: %q", line))
		}
		rank, err := strconv.Atoi(row[2])
		if err != nil {
			panic(fmt.Sprintf("ratelimit: a bad rank: %q", line))
		}
		for i, name := range row[3:6] {
			if name != "" {
				byHeader[name] = cell{len(list), column(i)}
			}
		}
		list = append(list, window{tokens: row[1] == "tokens", rank: rank})
	}
	return list, byHeader
}

// IsHeader reports whether a header tells of a limit, of whatever window: those of the table, and others by the words that
// all of them have.
func IsHeader(canonical string) bool {
	name := strings.ToLower(strings.ReplaceAll(canonical, "-", ""))
	return strings.Contains(name, "ratelimit") || strings.Contains(name, "tokenlimit")
}

// reading is one window of one answer.
//
// overdrawn marks a rest below zero. It counts as used up.
type reading struct {
	limit, remaining Count
	overdrawn        bool
	reset            time.Time
}

// counts reports whether the window was in the answer. A reset without any number is not a window.
func (r reading) counts() bool { return r.limit.Known || r.remaining.Known }

// read fills a reading for each window. now is the time of the answer: some resets are a wait, others a date.
//
// into is the caller's, on its stack: this runs once for each answer.
func read(h http.Header, now time.Time, into *[maxWindows]reading) (found bool) {
	for key, values := range h {
		// An answer has twenty other headers: they must be cheap.
		if len(values) == 0 || !isLimit(key) {
			continue
		}
		if len(key) == len("RateLimit") {
			into[combined] = structured(values[0], now)
			found = true
			continue
		}
		c, ok := cells[http.CanonicalHeaderKey(key)]
		if !ok {
			continue
		}
		found = true
		v := strings.TrimSpace(values[0])
		switch r := &into[c.window]; c.column {
		case limitColumn:
			r.limit = count(v)
		case remainingColumn:
			r.remaining = count(v)
			// Limiters that count behind tell less than nothing.
			r.overdrawn = v != "" && v[0] == '-' && count(v[1:]).Known
		case resetColumn:
			r.reset = instant(v, now)
		}
	}
	return found
}

// isLimit reports whether a header may be of a rate limit.
//
// The first letter rules out nearly all headers of an answer.
func isLimit(key string) bool {
	if key == "" {
		return false
	}
	switch key[0] {
	case 'X', 'x':
		return prefixed(key, "X-Ratelimit-") || prefixed(key, "X-Rate-Limit-") || prefixed(key, "X-Tokenlimit-")
	case 'A', 'a':
		return prefixed(key, "Anthropic-Ratelimit-")
	case 'R', 'r':
		return prefixed(key, "Ratelimit-") || strings.EqualFold(key, "RateLimit")
	}
	return false
}

// prefixed reports whether a header begins with a prefix, in any letter case.
func prefixed(key, prefix string) bool {
	return len(key) > len(prefix) && strings.EqualFold(key[:len(prefix)], prefix)
}

// combined is the window of the single RateLimit header of the IETF's drafts.
var combined = cells["Ratelimit-Remaining"].window

// structured reads `limit=100, remaining=50, reset=30`, and the later `"name";r=50;t=30`. Of several windows the first
// counts.
//
// Parameters of other names, such as the window w or the policy's name, are
// skipped. The bits of seen tell which values were read.
func structured(v string, now time.Time) (r reading) {
	seen := 0
	for part := range strings.FieldsFuncSeq(v, func(c rune) bool { return c == ';' || c == ',' }) {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		bit := 0
		switch name {
		case "limit", "q":
			bit, r.limit = 1, first(seen&1 == 0, count(value), r.limit)
		case "remaining", "r":
			bit, r.remaining = 2, first(seen&2 == 0, count(value), r.remaining)
		case "reset", "t":
			bit, r.reset = 4, first(seen&4 == 0, instant(value, now), r.reset)
		}
		seen |= bit
	}
	return r
}

// first keeps the value from before unless this one is the first.
func first[T any](fresh bool, now, before T) T {
	if fresh {
		return now
	}
	return before
}

// Read reads the quota from an answer's headers. now is the time of the answer.
//
// It never fails: a malformed value is unknown. Values are the upstream's claim,
// and are not checked against each other.
func Read(h http.Header, now time.Time) (q Quota) {
	var all [maxWindows]reading
	if !read(h, now, &all) {
		return Quota{}
	}
	// A window is taken as a whole: the rest of one limit means nothing beside the size of another.
	requests, tokens := -1, -1
	for i, w := range windows {
		if !all[i].counts() {
			continue
		}
		best := &requests
		if w.tokens {
			best = &tokens
		}
		if *best < 0 || w.rank < windows[*best].rank {
			*best = i
		}
	}
	if requests >= 0 {
		r := &all[requests]
		q.LimitRequests, q.RemainingRequests, q.ResetRequests = r.limit, r.remaining, r.reset
	}
	if tokens >= 0 {
		r := &all[tokens]
		q.LimitTokens, q.RemainingTokens, q.ResetTokens = r.limit, r.remaining, r.reset
	}
	return q
}

// Exhausted is the wait until every used-up window is open again. It is false without a used-up window, or if no such
// window has a reset.
//
// The longest wait counts, for one closed window is enough to be refused.
func Exhausted(h http.Header, now time.Time) (wait time.Duration, ok bool) {
	var all [maxWindows]reading
	if !read(h, now, &all) {
		return 0, false
	}
	for i := range windows {
		r := &all[i]
		if (r.overdrawn || r.remaining.Known && r.remaining.N == 0) && !r.reset.IsZero() {
			wait, ok = max(wait, min(r.reset.Sub(now), Longest)), true
		}
	}
	return wait, ok
}

// Milliseconds reads a number of milliseconds, with or without a fraction.
//
// It is false for a sign, an exponent, and anything else than digits.
func Milliseconds(v string) (time.Duration, bool) {
	n, ok := number(v)
	return scale(n, time.Millisecond), ok
}

// Seconds reads a wait as providers write it: seconds with or without a fraction, a duration of Go ("6m0s"), of ISO 8601
// ("PT30S") or with a word ("30 seconds"), or a date. It is 0 for a past date, and [Longest] at most.
//
// RFC 9110 allows whole seconds or a date in Retry-After. The other forms are
// those of providers.
func Seconds(v string, now time.Time) (time.Duration, bool) {
	v = strings.TrimSpace(v)
	if n, ok := number(v); ok {
		switch {
		case n >= 1e11 && n < 1e15: // 3,000 years are a date in milliseconds
			return until(time.UnixMilli(int64(n)), now), true
		case n >= 1e9 && n < 1e11: // 30 years are a date
			return until(time.Unix(int64(n), 0), now), true
		}
		return scale(n, time.Second), true
	}
	if d, err := time.ParseDuration(v); err == nil && d >= 0 && v[0] != '+' {
		return min(d, Longest), true
	}
	if at, ok := date(v); ok {
		return until(at, now), true
	}
	if d, ok := iso(v); ok {
		return d, true
	}
	if d, ok := spelled(v); ok {
		return d, true
	}
	// Proxies join equal lines.
	if one, _, ok := strings.Cut(v, ","); ok {
		if n, ok := number(one); ok {
			return scale(n, time.Second), true
		}
	}
	return 0, false
}

// dates are the forms of dates beside those of HTTP. Without a zone a date is of UTC.
var dates = []string{time.RFC3339, time.RFC1123Z, "Mon, 02 Jan 2006 15:04:05 UTC", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05 UTC", "2006-01-02 15:04:05", "2006-01-02T15:04:05",
	"2006-01-02 15:04:05 -0700 MST", "2006-01-02 15:04:05 -0700", "2006-01-02 15:04 UTC"}

// date reads a date.
func date(v string) (time.Time, bool) {
	if at, err := http.ParseTime(v); err == nil {
		return at, true
	}
	for _, form := range dates {
		if at, err := time.Parse(form, v); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}

// iso reads a duration of ISO 8601 without years and months, whose lengths vary.
//
// A negative duration and a sign are refused.
func iso(v string) (d time.Duration, ok bool) {
	days, rest, timed := strings.Cut(v, "T")
	if days, ok = strings.CutPrefix(days, "P"); !ok {
		return 0, false
	}
	if days != "" {
		n, whole := number(strings.TrimSuffix(days, "D"))
		if !whole || !strings.HasSuffix(days, "D") {
			return 0, false
		}
		d = scale(n, 24*time.Hour)
	}
	if !timed {
		return d, days != ""
	}
	t, err := time.ParseDuration(strings.ToLower(rest))
	if err != nil || t < 0 || rest[0] == '+' {
		return 0, false
	}
	return min(d+min(t, Longest), Longest), true
}

// spelled reads a number and the word of its unit.
//
// A number without a word is not for this function: Seconds has read it before.
func spelled(v string) (time.Duration, bool) {
	n, word, _ := strings.Cut(v, " ")
	count, ok := number(n)
	switch strings.TrimSuffix(strings.ToLower(strings.TrimSpace(word)), "s") {
	case "second", "sec", "":
		return scale(count, time.Second), ok && word != ""
	case "minute", "min":
		return scale(count, time.Minute), ok
	case "hour":
		return scale(count, time.Hour), ok
	}
	return 0, false
}

// until is the wait until a time, within the bounds of this package.
func until(at, now time.Time) time.Duration { return min(max(at.Sub(now), 0), Longest) }

// count reads a whole number that a float64 can hold. All else is unknown.
func count(v string) Count {
	n, ok := number(v)
	if !ok || n >= 1<<53 {
		return Count{}
	}
	return Count{N: int64(n), Known: true}
}

// instant reads a reset: a duration ("6m0s", "20ms"), a date of RFC 3339, or a number of seconds. A number of 30 years or
// more is a date in seconds, and a still larger number a date in milliseconds.
//
// The zero time is unknown.
func instant(v string, now time.Time) time.Time {
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
		return now.Add(min(d, Longest))
	}
	if at, err := time.Parse(time.RFC3339, v); err == nil {
		return at
	}
	return time.Time{}
}

// number reads digits with an optional fraction. strconv would also take signs, exponents, hexadecimals and words.
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

// scale rounds up: a client that comes back too early is refused again.
func scale(n float64, unit time.Duration) time.Duration {
	return time.Duration(math.Min(math.Ceil(n*float64(unit)), float64(Longest)))
}

// Left is the rest of a limit of our own. A zero Limit means no limit.
type Left struct {
	Limit, Remaining int64
	Reset            time.Duration // until the whole limit remains again
}

// Replace tells of our own limits in the header of an answer, by the names of OpenAI. The
// limits of the upstream are deleted: they are about another key.
func Replace(h http.Header, requests, tokens Left) {
	for name := range h {
		if IsHeader(name) {
			delete(h, name)
		}
	}
	for _, l := range [...]struct {
		what string
		Left
	}{{"Requests", requests}, {"Tokens", tokens}} {
		if l.Limit == 0 {
			continue
		}
		h["X-Ratelimit-Limit-"+l.what] = []string{strconv.FormatInt(l.Limit, 10)}
		h["X-Ratelimit-Remaining-"+l.what] = []string{strconv.FormatInt(l.Remaining, 10)}
		h["X-Ratelimit-Reset-"+l.what] = []string{((l.Reset + time.Millisecond - 1) / time.Millisecond * time.Millisecond).String()}
	}
}
