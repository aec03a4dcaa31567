package debugpage

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"
)

// kept is how many requests a History remembers.
const kept = 100

// The bounds of what a Request may hold, whatever its client and its upstreams
// said. With them a Request takes 32 KB at the most, and a History so 3.2 MB; a
// usual request takes less than 1 KB.
const (
	MaxSteps = 24 // of a trail
	MaxNames = 8  // that the client asked for, or that were rejected
	MaxNotes = 8
	maxName  = 128 // bytes
	maxText  = 320
)

// Request is what is remembered of a client's request.
type Request struct {
	// Number counts the requests of a History from 1.
	Number     uint64    `json:"number"`
	Time       time.Time `json:"time"`
	DurationMS float64   `json:"duration_ms"`
	GatewayMS  float64   `json:"gateway_latency_ms"`
	ID         string    `json:"request_id"`
	Surface    string    `json:"surface"`
	Path       string    `json:"path"`
	// Names are what the client asked for. Empty where it left the choice to the
	// gateway.
	Names  []string `json:"models_asked"`
	Stream bool     `json:"stream"`
	// OK is set where the answer was whole. If not, Code and Message say why,
	// and Status is what the client got.
	OK      bool   `json:"ok"`
	Code    string `json:"code,omitempty"`
	Status  int    `json:"status"`
	Message string `json:"message,omitempty"`
	// Provider and Model are those that answered. Empty where none did.
	Provider     string `json:"provider,omitempty"`
	Model        string `json:"model,omitempty"`
	InputTokens  int64  `json:"input_tokens"`
	OutputTokens int64  `json:"output_tokens"`
	// Trail is what was tried, in order, and Rejected are the client's names
	// that could not be.
	Trail    []Step     `json:"trail"`
	Rejected []Rejected `json:"rejected,omitempty"`
	Notes    []string   `json:"notes,omitempty"`
	// Omitted counts what is left out of these lists.
	Omitted int `json:"omitted,omitempty"`
}

// Step is an attempt, or a candidate that failed without one.
type Step struct {
	Provider string `json:"provider"`
	Model    string `json:"model"`
	// Key is the API key, redacted. Empty where none was sent.
	Key string `json:"api_key,omitempty"`
	// Outcome is "success", "failed", "relayed" for an upstream's error that
	// went to the client as it was, or "not_sent".
	Outcome string `json:"outcome"`
	// Status is the upstream's. Zero where it did not answer.
	Status int    `json:"status,omitempty"`
	Kind   string `json:"kind,omitempty"`
	Reason string `json:"reason,omitempty"`
	// RestMS is for how long the key or the candidate rests because of this.
	RestMS       float64 `json:"rest_ms,omitempty"`
	FirstByteMS  float64 `json:"time_to_first_byte_ms,omitempty"`
	FirstTokenMS float64 `json:"time_to_first_token_ms,omitempty"`
	TotalMS      float64 `json:"total_ms,omitempty"`
}

// Rejected is a name that could not be tried.
type Rejected struct {
	Model  string `json:"model"`
	Reason string `json:"reason"`
}

// Name returns a name as a Request may hold it: cut to 128 bytes, apart from the
// memory that s is a part of, and with what would not print, or would turn the
// direction of the text around it, replaced.
func Name(s string) string { return shown(s, maxName) }

// Text is Name for sentences, which are cut to 320 bytes.
func Text(s string) string { return shown(s, maxText) }

func shown(s string, limit int) string {
	whole := len(s) <= limit
	if !whole {
		s = s[:limit] // before anything looks at each byte of it
	}
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '·'
		}
		return r
	}, strings.ToValidUTF8(s, "·"))
	if whole && len(s) <= limit {
		return strings.Clone(s)
	}
	for len(s) > limit-len("…") {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return s + "…"
}

// History remembers the latest 100 requests, from the moment that somebody
// wants to know. Until then it costs one look at a flag. The zero History is
// ready for use. Its methods may be called from many goroutines at once.
type History struct {
	wanted atomic.Bool

	mu     sync.Mutex
	number uint64
	ring   [kept]*Request
}

// Want has the History remember what is added from now on.
func (h *History) Want() { h.wanted.Store(true) }

// Wanted reports whether to make a Request and Add it.
func (h *History) Wanted() bool { return h.wanted.Load() }

// Add remembers a request, in place of the oldest. It numbers r, which must not
// be changed afterwards.
func (h *History) Add(r *Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.number++
	r.Number = h.number
	h.ring[h.number%kept] = r
}

// Latest returns what is remembered, the newest first.
func (h *History) Latest() []*Request {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]*Request, 0, kept)
	for i := range uint64(kept) {
		if i >= h.number {
			break
		}
		list = append(list, h.ring[(h.number-i)%kept])
	}
	return list
}
