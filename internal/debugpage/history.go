package debugpage

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"
)

// kept is the number of requests in each ring of a History.
const kept = 50

// The bounds of a Request, whatever its client and its upstreams said. With them a
// Request takes at most 32 KB, and a History 3.2 MB. A usual request takes less
// than 1 KB.
const (
	MaxSteps   = 24 // of a trail
	MaxSkipped = 8  // of these steps, so that they leave room for the attempts
	MaxNames   = 8  // that the client asked for, or that were rejected
	MaxNotes   = 8
	maxName    = 128 // bytes
	maxText    = 320
)

// Request is the record of a client's request.
//
// Its texts must have gone through [Name] or [Text]: they come from clients and
// upstreams. Its JSON is the interface of format=json.
type Request struct {
	// Number counts the requests of a History from 1.
	Number     uint64    `json:"number"`
	Time       time.Time `json:"time"`
	DurationMS float64   `json:"duration_ms"`
	GatewayMS  float64   `json:"gateway_latency_ms"`
	ID         string    `json:"request_id"`
	Surface    string    `json:"surface"`
	Path       string    `json:"path"`
	// Names are the client's names of models. NamesOmitted counts the names left
	// out.
	Names        []string `json:"models_asked"`
	NamesOmitted int      `json:"models_asked_omitted,omitempty"`
	// Auto is set if the client left the choice to the gateway. If Names is empty
	// too, the body could not be read.
	Auto   bool `json:"auto"`
	Stream bool `json:"stream"`
	// OK is set if the answer was whole. If not, Code and Message say why.
	OK   bool   `json:"ok"`
	Code string `json:"code,omitempty"`
	// Status is the status of the answer, also if the answer broke off later; 499
	// if the client left.
	Status  int    `json:"status"`
	Message string `json:"message,omitempty"`
	// Attempts counts the sent attempts.
	Attempts int `json:"attempts"`
	// Provider and Model are those of the answer, whole or not. Empty without an
	// answer.
	Provider     string `json:"provider,omitempty"`
	Model        string `json:"model,omitempty"`
	InputTokens  int64  `json:"input_tokens"`
	OutputTokens int64  `json:"output_tokens"`
	// Caller is who asks, and Labels are the service's own, as "name=value".
	Caller string   `json:"caller,omitempty"`
	Labels []string `json:"labels,omitempty"`
	// Usage are the tokens of all attempts. Nil if nothing was consumed.
	Usage *Usage `json:"usage,omitempty"`
	// Cost is the cost of all attempts. Nil if it is unknown.
	Cost *Cost `json:"cost,omitempty"`
	// Trail lists the steps in order, and Rejected the client's names that could
	// not be tried.
	Trail    []Step     `json:"trail"`
	Rejected []Rejected `json:"rejected,omitempty"`
	Notes    []string   `json:"notes,omitempty"`
	// Omitted counts the entries left out of these lists.
	Omitted int `json:"omitted,omitempty"`

	skipped int // of the trail, shown or not
}

// Ask notes the client's names of models. Further names are counted.
func (r *Request) Ask(names []string) {
	for _, name := range names {
		if len(r.Names) == MaxNames {
			r.NamesOmitted++
			r.Omitted++
			continue
		}
		r.Names = append(r.Names, Name(name))
	}
}

// Step notes a step of the trail. Skipped candidates have a bound of their own: a hundred
// of them must not hide the attempts.
func (r *Request) Step(s Step) {
	if s.Outcome == Skipped {
		r.skipped++
	}
	if len(r.Trail) == MaxSteps || s.Outcome == Skipped && r.skipped > MaxSkipped {
		r.Omitted++
		return
	}
	r.Trail = append(r.Trail, s)
}

// Reject notes a name that could not be tried, with a word for the reason.
func (r *Request) Reject(model, reason string) {
	if len(r.Rejected) == MaxNames {
		r.Omitted++
		return
	}
	r.Rejected = append(r.Rejected, Rejected{Model: Name(model), Reason: reason})
}

// Note notes a remark.
func (r *Request) Note(text string) {
	if len(r.Notes) == MaxNotes {
		r.Omitted++
		return
	}
	r.Notes = append(r.Notes, Text(text))
}

// Usage counts tokens.
type Usage struct {
	InputTokens       int64 `json:"input_tokens"`
	CachedInputTokens int64 `json:"cached_input_tokens"`
	CacheWriteTokens  int64 `json:"cache_write_tokens"`
	OutputTokens      int64 `json:"output_tokens"`
	ReasoningTokens   int64 `json:"reasoning_tokens"`
	Estimated         bool  `json:"estimated"`
}

// Cost is an amount of money.
type Cost struct {
	USD       Amount `json:"usd"`
	Estimated bool   `json:"estimated"`
	Source    string `json:"source"`
}

// Filter chooses requests. Each text that is not empty must be a part of what it is
// for; letter case does not count.
type Filter struct {
	Model string // asked for or answering, as "provider:model"
	Label string // a label as "name=value", or the caller
	ID    string // the request's
}

// matches reports whether a request has all parts that the filter names.
func (f Filter) matches(r *Request) bool {
	has := func(text, part string) bool {
		return strings.Contains(strings.ToLower(text), strings.ToLower(part))
	}
	any := func(part string, texts ...string) bool {
		return part == "" || slices.ContainsFunc(texts, func(t string) bool { return has(t, part) })
	}
	return any(f.ID, r.ID) && any(f.Label, append(r.Labels[:len(r.Labels):len(r.Labels)], r.Caller)...) &&
		any(f.Model, append(r.Names[:len(r.Names):len(r.Names)], r.Provider+":"+r.Model)...)
}

// FailedOver reports whether a candidate had its turn and did not answer. A
// candidate skipped for its cooldown does not count: while a provider is down,
// every request has such a step, and they would push out the requests that met the
// fault.
func (r *Request) FailedOver() bool { return len(r.Trail)-r.Skipped() > 1 }

// Troubled reports whether r failed or failed over.
func (r *Request) Troubled() bool { return !r.OK || r.FailedOver() }

// Skipped counts the steps of skipped candidates.
func (r *Request) Skipped() int {
	n := 0
	for i := range r.Trail {
		if r.Trail[i].Outcome == Skipped {
			n++
		}
	}
	return n
}

// The values of Step.Outcome.
const (
	Succeeded = "success"
	Failed    = "failed"
	Relayed   = "relayed"  // an upstream's error went to the client as it was
	NotSent   = "not_sent" // the candidate failed without an attempt
	Skipped   = "skipped"  // others came first: it is in cooldown or being probed
)

// Step is an attempt, or a candidate without one.
type Step struct {
	Provider string `json:"provider"`
	Model    string `json:"model"`
	// Key is the API key, redacted. Empty if no key was sent. KeyID is the ID of
	// its [Key]. Empty if the provider has no keys.
	Key     string `json:"api_key,omitempty"`
	KeyID   string `json:"key_id,omitempty"`
	Outcome string `json:"outcome"`
	// Status is the upstream's. Zero if it did not answer.
	Status int    `json:"status,omitempty"`
	Kind   string `json:"kind,omitempty"`
	Reason string `json:"reason,omitempty"`
	// CooldownMS is the cooldown of the key or the candidate, in milliseconds. In
	// the step of an attempt, the attempt caused it.
	CooldownMS   float64 `json:"cooldown_ms,omitempty"`
	FirstByteMS  float64 `json:"time_to_first_byte_ms,omitempty"`
	FirstTokenMS float64 `json:"time_to_first_token_ms,omitempty"`
	TotalMS      float64 `json:"total_ms,omitempty"`
}

// Rejected is a client's name without a usable model.
type Rejected struct {
	Model  string `json:"model"`
	Reason string `json:"reason"`
}

// Name returns a copy of a name, safe for a Request: cut to 128 bytes. Unprintable
// characters are replaced, and so are those that turn the direction of text.
func Name(s string) string { return shown(s, maxName) }

// Text is Name for sentences. They are cut to 320 bytes.
func Text(s string) string { return shown(s, maxText) }

// shown returns a copy of s within limit bytes, with unsafe characters replaced. A
// cut text ends in an ellipsis.
//
// The copy matters: a part of a large body would keep the whole body in memory.
func shown(s string, limit int) string {
	whole := len(s) <= limit
	if !whole {
		s = s[:limit] // before anything looks at each byte of it
	}
	if !isPlain(s) {
		s = strings.Map(func(r rune) rune {
			if !unicode.IsPrint(r) {
				return '·'
			}
			return r
		}, strings.ToValidUTF8(s, "·"))
	}
	if whole && len(s) <= limit {
		return strings.Clone(s)
	}
	for len(s) > limit-len("…") {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return s + "…"
}

// isPlain reports whether s is printable ASCII, as nearly all names are.
func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// History remembers the latest 50 requests. It also remembers the latest 50 that
// failed or failed over, because 50 requests can pass within a second. It remembers
// nothing before the first call of Want, and then costs one look at a flag. The
// zero History is ready for use. It is safe for concurrent use.
type History struct {
	wanted atomic.Bool

	mu       sync.Mutex
	number   uint64
	all      ring
	troubled ring
}

// Want makes the History remember requests from now on.
func (h *History) Want() { h.wanted.Store(true) }

// Wanted reports whether to make a Request and Add it.
func (h *History) Wanted() bool { return h.wanted.Load() }

// Add remembers a request, in place of the oldest. It numbers r, which must not be
// changed afterwards.
//
// Both rings share the record.
func (h *History) Add(r *Request) {
	troubled := r.Troubled()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.number++
	r.Number = h.number
	h.all.add(r)
	if troubled {
		h.troubled.add(r)
	}
}

// Latest returns the remembered requests, the newest first. They are shared and
// must not be changed.
//
// It merges the rings by their numbers. A request in both is listed once.
func (h *History) Latest() []*Request {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]*Request, 0, h.all.n+h.troubled.n)
	i, j := 0, 0
	for {
		a, t := h.all.latest(i), h.troubled.latest(j)
		switch {
		case a == nil && t == nil:
			return list
		case t == nil || a != nil && a.Number > t.Number:
			list = append(list, a)
			i++
		default:
			list = append(list, t)
			j++
			if a == t {
				i++
			}
		}
	}
}

// ring holds the latest requests that were added to it.
type ring struct {
	requests [kept]*Request
	next, n  int
}

// add takes the place of the oldest request.
func (r *ring) add(q *Request) {
	r.requests[r.next] = q
	r.next = (r.next + 1) % kept
	r.n = min(r.n+1, kept)
}

// latest returns the i-th request, the newest first. Nil if the ring has fewer.
func (r *ring) latest(i int) *Request {
	if i >= r.n {
		return nil
	}
	return r.requests[(r.next-1-i+kept)%kept]
}
