package aigateway

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aigateway-go/aigateway/internal/limit"
	"github.com/aigateway-go/aigateway/internal/redact"
	"github.com/aigateway-go/aigateway/internal/stats"
	"github.com/aigateway-go/aigateway/internal/usage"
)

// trail is the history of a request: each candidate that had its turn, each skipped
// candidate, and each attempt. Its records have stable addresses. It belongs to the
// request's goroutine.
type trail struct {
	tried    []*tried
	skipped  []*skipped
	attempts []*attempt
	sent     int // attempts that reached the transport; a failure before that costs nothing
	free     int // of them, what does not count towards max_attempts
	notes    []string

	current *tried   // whose turn it is
	limited []*model // that a limit kept back

	waited time.Duration // between retries and for room
	queued time.Duration // for room
	order  int           // of the latest event
	sum    *summary

	// Memory for the first candidate and attempt. Most requests need no more, and
	// so allocate nothing here.
	room struct {
		tried    tried
		attempt  attempt
		trieds   [1]*tried
		attempts [1]*attempt
		states   [1]stats.State // of the only key of the first candidate
		stated   bool           // states is in use
	}
}

// tried is a candidate that had its turn.
type tried struct {
	model     *model
	at        time.Time
	order     int
	cooldown  stats.State   // its own, when its turn came
	keys      []*apiKey     // in the order of their turn
	keyStates []stats.State // of each, when the turn came
	attempts  []*attempt
	first     [1]*attempt // for attempts
	codec     *codec      // nil: its provider speaks the client's format
	err       *Error      // why it failed without an attempt
	limit     string      // in a dry run, the limit that it is at
}

// skipped is a candidate without a turn for now: it is in cooldown, is being
// probed, or is at a limit, and another candidate came first.
type skipped struct {
	model    *model
	at       time.Time
	order    int
	cooldown stats.State // of the candidate, or of the keys that it would be called with
	limit    limit.Kind  // that it is at; 0: at none
	// tried is the candidate's earlier turn, and keys are the keys that had no room
	// in it. Nil if the candidate had no turn yet.
	tried *tried
	keys  []*apiKey
}

// attempt is one upstream request.
// Its durations count from start, and are zero as long as the event did not
// come.
type attempt struct {
	tried   *tried
	model   *model
	payer   *model // whose prices count; nil: the model's own
	number  int    // from 1
	start   time.Time
	sent    bool // whether the transport got it
	sentAt  time.Time
	path    string   // of the URL; empty if no request was made
	removed []string // the client's fields that did not go out
	secrets redact.Set
	keyID   string
	usedKey *apiKey
	// sentHeader and sentScheme carried the key, and credential is the header's value.
	sentHeader, sentScheme string
	credential             [1]string
	status                 int
	header                 http.Header
	body                   []byte // of a failed answer, decoded, without secrets
	firstByte              time.Duration
	firstToken             time.Duration
	total                  time.Duration
	committed              bool // its header went to the client
	committedAt            time.Time
	relayed                bool // its error answer went to the client
	input                  int64
	output                 int64
	used                   bool // the attempt consumed something
	// usage, cost and what they are made of: see consumed.
	usage          Usage
	cost           knownCost
	priced         bool
	bill           usage.Bill
	cacheWriteHour int64
	guess          interface{ guess() int64 } // of the prompt's tokens; nil if the upstream told them
	failure        *failure
	cooldown       time.Duration // that the failure led to

	hold         limit.Hold    // of the limits, to the end of the attempt
	turn         stats.Turn    // of the candidate's health
	keyTurn      stats.KeyTurn // of the key's
	ownKey       bool          // the key was the gateway's own, and not the client's
	formOpen     bool          // the client chose the form of the credential
	operatorAuth bool          // the credential came with the configured headers
	resent       bool          // it went out once more, as its kept connection was closed
	endedSilent  bool          // the gateway ended its stream after a silence behind the finish reason
}

// failure is the end of an attempt that failed.
type failure struct {
	Failure
	reason string // short, for the client too
	detail string // further facts for the operator; without a secret
	hint   string // where the operator should look
	cause  error  // the transport's error, if there was no answer
	stray  bool   // a success, but not of the API
	// otherForm is set if the key was refused in the client's form, and the
	// provider's other form is still to be tried.
	otherForm bool
	// namesUsage is set if the error names stream_options, and usageRefused if they
	// were the gateway's own. Then the attempt counts for nothing else.
	namesUsage, usageRefused bool
	// instead translates the request, as the provider does not speak the client's
	// surface. Then the attempt counts for nothing else.
	instead *codec
	abort   bool // the client's connection must not end as if all were well
	gone    bool // nobody waited for the answer any more
	answer  *upstreamAnswer
}

// again reports whether the same request follows in another form, and the attempt counts
// for nothing.
func (f *failure) again() bool { return f.usageRefused || f.instead != nil }

// upstreamAnswer is an upstream's error answer. It is whole, and can be relayed
// unchanged.
type upstreamAnswer struct {
	status int
	header http.Header
	body   []byte
}

// full is the reason with all details for the operator.
func (f *failure) full() string {
	text := f.reason
	if f.detail != "" {
		text += ": " + f.detail
	}
	if f.hint != "" {
		text += " (" + f.hint + ")"
	}
	return text
}

// turn records the turn of a candidate.
// The first record lies in the trail itself.
func (t *trail) turn(m *model, now time.Time) *tried {
	r := &t.room.tried
	if len(t.tried) > 0 {
		r = new(tried)
	} else {
		t.tried = t.room.trieds[:0]
	}
	t.order++
	r.model, r.at, r.order = m, now, t.order
	t.tried, t.current = append(t.tried, r), r
	return r
}

// skip records that a candidate is passed over for now.
func (t *trail) skip(k skipped) {
	t.order++
	k.order = t.order
	t.skipped = append(t.skipped, &k)
	if k.limit != 0 {
		t.limited = append(t.limited, k.model)
	}
}

// resume gives a skipped candidate its turn after all.
func (t *trail) resume(i int) *skipped {
	k := t.skipped[i]
	t.skipped = slices.Delete(t.skipped, i, i+1)
	return k
}

// begin records an attempt at the candidate with the current turn.
func (t *trail) begin() *attempt {
	turn := t.current
	a := &t.room.attempt
	if len(t.attempts) > 0 {
		a = new(attempt)
	} else {
		t.attempts = t.room.attempts[:0]
	}
	a.tried, a.model, a.number, a.start = turn, turn.model, len(t.attempts)+1, time.Now()
	t.attempts = append(t.attempts, a)
	if turn.attempts == nil {
		turn.attempts = turn.first[:0]
	}
	turn.attempts = append(turn.attempts, a)
	return a
}

// key is the key that was sent, redacted.
// It comes without the scheme. A request without a key has an empty one.
func (a *attempt) key() string {
	value := a.credential[0]
	if a.sentScheme != "" {
		value = value[len(a.sentScheme)+len(" "):]
	}
	return redact.Text(value)
}

// send records the start of the upstream request. Only sent attempts count for
// max_attempts.
func (t *trail) send(a *attempt) {
	a.sent, a.sentAt = true, time.Now()
	t.sent++
}

// spent is the number of attempts that count towards max_attempts.
func (t *trail) spent() int { return t.sent - t.free }

// note adds a remark to the Result, once.
func (t *trail) note(format string, args ...any) {
	if n := fmt.Sprintf(format, args...); !slices.Contains(t.notes, n) {
		t.notes = append(t.notes, n)
	}
}

// text lists the tried candidates and their failures in one line.
// It is for the client, so the reasons come without their details.
func (t *trail) text(maxAttempts, candidates int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "no provider could answer, after %s", counted(t.sent, "attempt"))
	if t.spent() >= maxAttempts && len(t.tried) < candidates {
		fmt.Fprintf(&b, " (max_attempts)")
	}
	sep := ": "
	for _, r := range t.tried {
		if r.err != nil {
			b.WriteString(sep + r.model.name() + ": " + r.err.Message)
			sep = "; "
		}
		for _, a := range r.attempts {
			if a.failure != nil && !a.failure.again() {
				b.WriteString(sep + r.model.name() + ": " + a.failure.reason)
				sep = "; "
			}
		}
	}
	return b.String()
}

// counted is a number with its word: "1 attempt", "2 attempts".
func counted(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return strconv.Itoa(n) + " " + word + "s"
}

// summary is the one view of the trail for the Result, the log and the debug page.
type summary struct {
	last     *attempt // the last one that reached the transport; nil without one
	answered *attempt // whose answer the client got; nil without one
	steps    []step   // in the order in which they happened
	// gateway is the time spent in the gateway. Waits for upstreams and for the
	// client are left out.
	gateway time.Duration
}

// step is one event of the trail: an attempt, a candidate that failed without an
// attempt, or a skipped candidate. Exactly one field is set.
type step struct {
	attempt *attempt
	refused *tried
	skipped *skipped
}

// summarize makes the summary of a request at its end. Further calls return the
// same one.
//
// Steps stand in the order of turns: a candidate that was passed over stands before those
// that were tried in its place.
func (t *trail) summarize(in *inbound) *summary {
	if t.sum != nil {
		return t.sum
	}
	s := &summary{}
	for _, a := range t.attempts {
		if a.sent {
			s.last = a
		}
		if a.committed {
			s.answered = a
		}
	}
	s.gateway = t.overhead(in, t.end(), nil)
	slices.SortFunc(t.skipped, func(a, b *skipped) int { return cmp.Compare(a.order, b.order) })
	waiting := t.skipped
	for _, r := range t.tried {
		for len(waiting) > 0 && waiting[0].order < r.order {
			s.steps = append(s.steps, step{skipped: waiting[0]})
			waiting = waiting[1:]
		}
		for _, a := range r.attempts {
			s.steps = append(s.steps, step{attempt: a})
		}
		if r.err != nil {
			s.steps = append(s.steps, step{refused: r})
		}
	}
	for _, k := range waiting {
		s.steps = append(s.steps, step{skipped: k})
	}
	t.sum = s
	return s
}

// end is the moment of the commit. Without a commit it is now.
func (t *trail) end() time.Time {
	if t.committed() {
		return t.attempts[len(t.attempts)-1].committedAt
	}
	return time.Now()
}

// committed reports whether a part of an answer has gone to the client. Only the
// last attempt can be committed.
func (t *trail) committed() bool {
	return len(t.attempts) > 0 && t.attempts[len(t.attempts)-1].committed
}

// answering is the attempt whose answer the client gets, else the last one that was
// sent. Nil without one.
func (t *trail) answering() *attempt {
	var last *attempt
	for _, a := range t.attempts {
		if a.relayed {
			return a
		}
		if a.sent {
			last = a
		}
	}
	return last
}

// overhead is the gateway's own time up to a moment. Waits for the client's body,
// for retries and for attempts are left out; except is an attempt that still
// counts.
func (t *trail) overhead(in *inbound, until time.Time, except *attempt) time.Duration {
	d := until.Sub(in.start) - in.readTime - t.waited
	for _, a := range t.attempts {
		switch {
		case a == except:
		case a.committed:
			d -= a.committedAt.Sub(a.start)
		default:
			d -= a.total
		}
	}
	return max(0, d)
}

// lastFailure is the failure of the last attempt. Nil if it succeeded, or without
// an attempt.
func (t *trail) lastFailure() *failure {
	if len(t.attempts) == 0 {
		return nil
	}
	return t.attempts[len(t.attempts)-1].failure
}

// translated is the codec of the answer that the client got; nil if it was not
// translated.
func (t *trail) translated() *codec {
	for _, a := range t.attempts {
		if a.committed || a.relayed {
			return a.tried.codec
		}
	}
	if n := len(t.tried); n > 0 && t.tried[n-1].err == nil && t.tried[n-1].codec != nil && t.tried[n-1].codec.Estimated {
		return t.tried[n-1].codec
	}
	return nil
}

// usageAsk says who asks for usage in a stream.
type usageAsk uint8

const (
	usageUnasked        usageAsk = iota
	usageForClient               // the client or the config does, or has stream_options of its own kind
	usageForGateway              // the gateway does, and the client is not to see it
	usageForTranslation          // the translated request does, for a client whose format always tells usage
)

// consume returns the usage of an attempt, to be filled in.
func (a *attempt) consume() *Usage {
	a.used, a.priced, a.guess = true, false, nil
	return &a.usage
}

// consumed returns the usage and the cost of an attempt that used something. A
// guess of the prompt's tokens takes a pass over the body, so it is made only for a
// reader.
func (a *attempt) consumed() (*Usage, *knownCost) {
	if !a.priced {
		a.priced = true
		if a.guess != nil {
			a.usage.InputTokens = a.guess.guess()
		}
		a.cost = cmp.Or(a.payer, a.model).cost(a.usage, a.cacheWriteHour, a.bill)
	}
	return &a.usage, &a.cost
}

// mayCost reports whether the cost of an attempt can be known.
func (a *attempt) mayCost() bool {
	return cmp.Or(a.payer, a.model).pricing != nil || a.bill.Cost != "" || a.bill.Ticks > 0
}

// total is the usage and the cost of all attempts. The usage is nil if nothing was
// consumed.
//
// One attempt with an unknown cost makes the sum an estimate: it is too low
// then.
func (t *trail) total() (u *Usage, c knownCost) {
	missing := false
	for _, a := range t.attempts {
		if !a.used {
			continue
		}
		if u == nil {
			u = new(Usage)
		}
		used, cost := a.consumed()
		u.add(used)
		missing = missing || !cost.known
		if cost.known {
			c = knownCost{Cost{c.USD.Add(cost.USD), c.Estimated || cost.Estimated, cost.Source}, true}
		}
	}
	c.Estimated = c.known && (c.Estimated || missing)
	return u, c
}

// url is the address of the request, without its query. Empty if none was made.
// A query may hold a key, as with Gemini's ?key=.
func (a *attempt) url() string {
	if a.path == "" {
		return ""
	}
	base := a.model.provider.base
	return base.Scheme + "://" + base.Host + a.path
}

// sentAs is the header that carried the key, with its scheme.
func (a *attempt) sentAs() string {
	if a.sentScheme == "" {
		return a.sentHeader
	}
	return a.sentHeader + ": " + a.sentScheme
}

// settle gives back the room of an attempt. The attempt's tokens are its real ones:
// zero if it was refused, the estimate if the upstream did not count them.
//
// It is called once for each attempt, also for one that was never sent.
func (a *attempt) settle(now time.Time) {
	switch {
	case !a.sent:
		a.hold.Cancel(now)
	case a.status/100 != 2:
		a.hold.Release(now, 0)
	case a.failure == nil && a.input+a.output > 0:
		a.hold.Release(now, a.input+a.output)
	default:
		a.hold.Release(now, -1)
	}
}

// passedOver reports whether a limit kept a candidate back during the request.
func (t *trail) passedOver(m *model) bool { return slices.Contains(t.limited, m) }
