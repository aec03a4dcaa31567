package apierror

import (
	_ "embed"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aigateway-go/aigateway/internal/ratelimit"
)

//go:embed hints.tsv
var hintsTSV string

// hint is a row of hints.tsv: a place for the time until the next try.
//
// place is where to look: a header, a field of the error, or a message. name is
// the header's, the field's, or the words before the time. read is nil for a row
// that package ratelimit reads.
type hint struct {
	place, name string
	read        func(text string, now time.Time) (time.Duration, bool)
}

// hints is read from the table at the start, and never changed.
var hints = parseHints(hintsTSV)

// hintFields are the fields of an error that hold a wait.
//
// They are words of [Report] too: its reader keeps their values for [Hint].
var hintFields = func() (names []string) {
	for _, row := range rows(hintsTSV) {
		if row["place"] == "field" {
			names = append(names, row["name"])
		}
	}
	return names
}()

// parseHints keeps the order of the rows: the first readable row decides. Explicit waits stand before the resets of limits.
//
// An unknown form panics, at the start of the program.
func parseHints(table string) (out []hint) {
	for _, row := range rows(table) {
		h := hint{place: row["place"], name: row["name"]}
		switch form := row["form"]; form {
		case "milliseconds":
			h.read = func(text string, _ time.Time) (time.Duration, bool) { return ratelimit.Milliseconds(text) }
		case "seconds":
			h.read = ratelimit.Seconds
		case "duration":
			h.read = func(text string, _ time.Time) (time.Duration, bool) { return spoken(text) }
		case "date":
			h.read = dated
		case "beijing":
			h.read = beijing
		case "pacific midnight":
			h.read = pacificMidnight
		case "reset":
			// Package ratelimit reads these.
		default:
			panic(fmt.Sprintf("apierror: %q is not a form of a hint", form))
		}
		out = append(out, h)
	}
	return out
}

// Hint is the wait that an upstream asks for, in the headers of its answer or the words of its error. It is false if neither
// asks, and [ratelimit.Longest] at most. now is the time of the answer.
//
// A wait of 0 with true means at once: the date that the upstream named is over.
func Hint(h http.Header, r Report, now time.Time) (time.Duration, bool) {
	for _, row := range hints {
		if d, ok := row.find(h, &r, now); ok {
			return d, true
		}
	}
	return 0, false
}

// find looks at the row's place.
//
// A row for a code reads the message beside the code, as with Zhipu's: the code
// tells what form the message has.
func (row *hint) find(h http.Header, r *Report, now time.Time) (time.Duration, bool) {
	switch row.place {
	case "header":
		return row.read(h.Get(row.name), now)
	case "retry_info":
		return row.read(r.retry, now)
	case "limits":
		return ratelimit.Exhausted(h, now)
	case "headers":
		return ratelimit.Exhausted(r.headers, now)
	case "field":
		for _, w := range r.words {
			if w.place == row.name {
				return row.read(w.text, now)
			}
		}
		return 0, false
	case "quota":
		for _, w := range r.words {
			if w.place == "quota" && strings.Contains(w.text, row.name) {
				return row.read(w.text, now)
			}
		}
		return 0, false
	case "code":
		if !slices.ContainsFunc(r.words, func(w word) bool { return w.place == "code" && w.text == row.name }) {
			return 0, false
		}
	}
	for _, w := range r.words {
		if w.place != "message" {
			continue
		}
		text := w.text[:min(len(w.text), maxMessage)]
		// The wait follows the row's words. Quoted text may be the client's.
		if row.place == "message" {
			_, after, ok := strings.Cut(unquoted(text), row.name+" ")
			if !ok {
				continue
			}
			text = after
		}
		if d, ok := row.read(text, now); ok {
			return d, true
		}
	}
	return 0, false
}

// ShouldRetry reads x-should-retry, the upstream's word on sending the request again. known is false without the header.
//
// OpenAI's SDKs obey this header of the API.
func ShouldRetry(h http.Header) (should, known bool) {
	switch strings.ToLower(strings.TrimSpace(h.Get("X-Should-Retry"))) {
	case "true":
		return true, true
	case "false":
		return false, true
	}
	return false, false
}

// units are the units of time in messages.
//
// Longer names stand before their own beginnings: "m" would fit "ms" and "min".
var units = []struct {
	name string
	unit time.Duration
}{
	{"milliseconds", time.Millisecond}, {"millisecond", time.Millisecond}, {"ms", time.Millisecond},
	{"minutes", time.Minute}, {"minute", time.Minute}, {"mins", time.Minute}, {"min", time.Minute}, {"m", time.Minute},
	{"seconds", time.Second}, {"second", time.Second}, {"secs", time.Second}, {"sec", time.Second}, {"s", time.Second},
	{"hours", time.Hour}, {"hour", time.Hour}, {"hrs", time.Hour}, {"hr", time.Hour}, {"h", time.Hour},
	{"days", 24 * time.Hour}, {"day", 24 * time.Hour}, {"d", 24 * time.Hour},
}

// spoken reads the duration at the front of a text: "7.2s", "1m2.5s", "1 hour and 5 minutes", "~162 min".
//
// The text is in lower case. Reading ends at the first word that is not a number
// with a unit; false means that there was none.
func spoken(text string) (d time.Duration, ok bool) {
	// Each round reads a number and its unit.
	text = strings.TrimPrefix(strings.TrimPrefix(text, "about "), "~")
	if d, ok := clock(text); ok {
		return d, true
	}
	for {
		digits := text[:len(text)-len(strings.TrimLeft(text, "0123456789."))]
		n, err := strconv.ParseFloat(strings.TrimRight(digits, "."), 64)
		if err != nil {
			return d, ok
		}
		text = strings.TrimLeft(text[len(digits):], " ")
		i := slices.IndexFunc(units, func(u struct {
			name string
			unit time.Duration
		}) bool {
			after, ok := strings.CutPrefix(text, u.name)
			return ok && (after == "" || after[0] < 'a' || after[0] > 'z')
		})
		if i < 0 {
			return d, ok
		}
		// Huge numbers must not overflow the sum.
		if n *= float64(units[i].unit); n > float64(ratelimit.Longest-d) {
			return ratelimit.Longest, true
		}
		d, ok = d+time.Duration(n), true
		text = strings.TrimLeft(text[len(units[i].name):], " ,")
		text = strings.TrimPrefix(text, "and ")
	}
}

// clock reads a time span of .NET at the front of a text: "01:22:33", "2.12:34:56".
//
// Services on .NET write a wait so. The form has hours, minutes and seconds, with days
// before a dot.
func clock(text string) (d time.Duration, ok bool) {
	end := len(text) - len(strings.TrimLeft(text, "0123456789:."))
	parts := strings.Split(strings.TrimRight(text[:end], "."), ":")
	if len(parts) != 3 {
		return 0, false
	}
	if days, hours, ok := strings.Cut(parts[0], "."); ok {
		parts = append([]string{days, hours}, parts[1:]...)
	}
	for i, unit := range []time.Duration{24 * time.Hour, time.Hour, time.Minute, time.Second}[4-len(parts):] {
		n, err := strconv.ParseFloat(parts[i], 64)
		if err != nil || n*float64(unit) > float64(ratelimit.Longest-d) {
			return 0, false
		}
		d += time.Duration(n * float64(unit))
	}
	return d, true
}

// dated reads a date at the front of a text in lower case, with or without its zone, or a time of day in UTC: "12:01am utc".
// It is 0 for a past date. A time of day is the next one.
//
// A date is up to four words: "2026-01-02t15:04:05z", or a day, a time and a zone under two names. Punctuation of the
// sentence comes off.
func dated(text string, now time.Time) (time.Duration, bool) {
	words := slices.DeleteFunc(strings.Fields(text), func(word string) bool { return word == "at" })
	for n := min(len(words), 4); n > 0; n-- {
		date := strings.ToUpper(strings.TrimRight(strings.Join(words[:n], " "), " .,;)"))
		if d, ok := timeOfDay(date, now); ok {
			return d, true
		}
		if len(date) < len("2006-01-02 15:04") {
			continue
		}
		if d, ok := ratelimit.Seconds(date, now); ok {
			return d, true
		}
	}
	return 0, false
}

// timeOfDay is the wait until a time of day. Without a zone the time could be any, and is not read.
func timeOfDay(text string, now time.Time) (time.Duration, bool) {
	text, zoned := strings.CutSuffix(strings.Replace(text, "GMT", "UTC", 1), "UTC")
	if !zoned {
		return 0, false
	}
	for _, form := range []string{"15:04", "15:04:05", "3:04PM", "3PM"} {
		at, err := time.Parse(form, strings.ReplaceAll(text, " ", ""))
		if err != nil {
			continue
		}
		now = now.UTC()
		at = time.Date(now.Year(), now.Month(), now.Day(), at.Hour(), at.Minute(), at.Second(), 0, time.UTC)
		if at.Before(now) {
			at = at.AddDate(0, 0, 1)
		}
		return at.Sub(now), true
	}
	return 0, false
}

// pacificMidnight is the wait until the day ends where Google counts its quotas of a day.
func pacificMidnight(_ string, now time.Time) (time.Duration, bool) {
	zone, err := time.LoadLocation("America/Los_Angeles")
	if err != nil {
		zone = time.FixedZone("PST", -8*60*60) // a system without zones: an hour late in summer
	}
	year, month, day := now.In(zone).Date()
	return time.Date(year, month, day+1, 0, 0, 0, 0, zone).Sub(now), true
}

// beijing reads the first date of a text, "2006-01-02 15:04:05" in Beijing time. It is 0 for a past date.
func beijing(text string, now time.Time) (time.Duration, bool) {
	zone := time.FixedZone("UTC+8", 8*60*60)
	for i := 0; i+len(time.DateTime) <= len(text); i++ {
		if text[i] < '0' || text[i] > '9' {
			continue
		}
		if at, err := time.ParseInLocation(time.DateTime, text[i:i+len(time.DateTime)], zone); err == nil {
			return min(max(at.Sub(now), 0), ratelimit.Longest), true
		}
	}
	return 0, false
}
