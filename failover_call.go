package aigateway

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aigateway-go/aigateway/internal/apierror"
	"github.com/aigateway-go/aigateway/internal/dial"
	"github.com/aigateway-go/aigateway/internal/dialect"
	"github.com/aigateway-go/aigateway/internal/expr"
	"github.com/aigateway-go/aigateway/internal/habits"
	"github.com/aigateway-go/aigateway/internal/header"
	"github.com/aigateway-go/aigateway/internal/pins"
	"github.com/aigateway-go/aigateway/internal/ratelimit"
	"github.com/aigateway-go/aigateway/internal/relay"
	"github.com/aigateway-go/aigateway/internal/stats"
	"github.com/aigateway-go/aigateway/internal/translate"
)

// maxErrorBody bounds the body of a failed answer that is kept for relaying, in
// bytes.
const maxErrorBody = 1 << 20

// call is one candidate with one key: its requests, its turn, and the answer.
//
// It is one value for all attempts of a request. use and speak set it for the
// next ones.
type call struct {
	outbound
	deadline time.Time    // total_timeout
	lineup   *lineup      // knows whether another candidate may have its turn
	switched bool         // the provider's other form of credential is being tried
	within   timeoutError // per_request_timeout or first_token_timeout of the attempt
	held     held
	// room is memory for the first attempt. A later one needs its own: the transport,
	// and a timer, may still be at work on an earlier one.
	room struct {
		limit watch
		conn  dial.Watch
	}
}

// use has the next attempts go to a candidate with a key.
func (c *call) use(m *model, key *apiKey, track *stats.Track) {
	c.model, c.key, c.track = m, key, track
	c.form, c.switched = m.provider.forms.Uses(), false
}

// speak has the next attempts go through a codec.
func (c *call) speak(k *codec) {
	c.codec = k
	if k == nil {
		c.surface, c.path, c.body = c.in.surface, c.in.path, c.in.own()
		return
	}
	c.surface, c.path, c.body = k.surface, k.surface.path, &k.Request
}

// switchForm has the next attempt send the key in the provider's other form.
func (c *call) switchForm() {
	c.switched = true
	c.form = c.form.Other(c.formHint().bearer)
}

// attempt sends the request once. It returns committed once a part of the answer
// has gone to the client. A failure then means that the answer broke on the way.
//
// Whatever happens inside, the turn, the room and the metrics get their end
// once. Hooks run in this goroutine, so a slow hook delays the answer.
func (c *call) attempt(a *attempt, to *client) (committed bool, f *failure) {
	if a.number > 1 {
		c.held = held{}
	}
	a.keyID, a.usedKey = c.key.id, c.key
	// The hook may replace the context of this attempt only.
	parent := c.in.ctx
	ended := false
	// A panic goes on to net/http, but the turn and the room must be given back.
	defer func() {
		if !ended { // code of the embedding service panicked
			c.held.account()
			c.end(a, ourFault(FailureRequest, "the service's own code failed"))
		}
	}()
	if hook := c.s.hooks.AttemptStart; hook != nil {
		if ctx := hook(parent, a.public()); ctx != nil {
			parent = ctx
		}
	}
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	limit := &c.room.limit
	if a.number > 1 {
		limit = new(watch)
	}
	limit.cancel = cancel
	defer limit.disarm()
	limit.arm(c.limit(a))
	committed, f = c.exchange(ctx, a, limit, to)
	limit.disarm()
	// Canceling before the hook frees the connection while the hook runs.
	cancel(nil)
	ended = true
	c.held.account()
	c.end(a, f)
	c.held.stream.Recycle()
	c.held.stream = nil
	if hook := c.s.hooks.AttemptDone; hook != nil {
		hook(parent, a.public())
	}
	return committed, f
}

// exchange makes the request, sends it, and takes the answer.
//
// The answer goes three ways by its status: a session, a failure, or an answer
// to hold. The body is closed on return, so nothing of it may be kept.
func (c *call) exchange(ctx context.Context, a *attempt, limit *watch, to *client) (committed bool, f *failure) {
	conn := &c.room.conn
	if a.number > 1 {
		conn = new(dial.Watch)
	}
	requestCtx := conn.Context(ctx)
	if c.surface.upgrades { // most providers in the cloud prefer HTTP/2
		requestCtx = dial.HTTP1(requestCtx)
	}
	req, err := c.newRequest(requestCtx, a)
	if err != nil {
		// A silence of the secret store is not the provider's.
		if kind, ok := isRequestError(err); ok && (ctx.Err() == nil || kind == FailureSecret && c.in.ctx.Err() == nil) {
			return false, notMade(kind, a.secrets.ScrubText(err.Error()))
		}
		return false, interrupted(ctx, c.in, &a.secrets, FailureTimeout, err)
	}
	c.trail.send(a)
	c.model.track.Begin()
	c.track.Begin()
	transport := c.model.provider.transport
	resp, err := transport.RoundTrip(req)
	// A kept connection that the upstream has closed says nothing about its health.
	// The request goes out once more, on a connection of its own.
	if err != nil && ctx.Err() == nil && conn.Stale(err) {
		a.resent = true
		resp, err = sendFresh(transport, dial.Again(req))
	}
	if err != nil {
		return false, interrupted(ctx, c.in, &a.secrets, FailureNetwork, err)
	}
	defer resp.Body.Close()
	now := time.Now()
	a.firstByte = now.Sub(a.start)
	header.Joined(resp.Header, "Content-Encoding")
	a.status, a.header = resp.StatusCode, resp.Header
	noteQuota(c.track, resp.Header, now)
	switch {
	case c.surface.upgrades && (resp.StatusCode == http.StatusSwitchingProtocols || resp.StatusCode/100 == 2):
		s := session{s: c.s, in: c.in, trail: c.trail, a: a, resp: resp, limit: limit, to: to}
		if a.ownKey {
			s.opened = func() { c.model.provider.forms.Accepted(c.form.Bearer(c.formHint().bearer), c.switched) }
		}
		return s.join(ctx)
	case resp.StatusCode/100 != 2:
		return false, c.refused(ctx, a, resp)
	case resp.StatusCode == http.StatusPartialContent && req.Header["Range"] == nil:
		return false, wrongAnswer("the answer is a part (206), and nobody asked for a part")
	}
	h := &c.held // it is empty: to assign all of it would copy all of it
	h.s, h.in, h.surface, h.codec, h.choices, h.usageAsk = c.s, c.in, c.surface, c.codec, c.choices, c.usageAsk
	h.deadline, h.lineup, h.trail, h.a, h.resp, h.source, h.limit = c.deadline, c.lineup, c.trail, a, resp, resp.Body, limit
	h.note = newIDNote(c.s.ids, c.in, c.surface, c.codec != nil, a)
	defer h.release()
	if f := h.hold(ctx); f != nil {
		c.refusesUsage(f)
		return false, f
	}
	if c.refuser == c.model {
		c.s.habits.Learn(c.model.route(), habits.StreamRefuse)
	}
	if a.ownKey {
		c.model.provider.forms.Accepted(c.form.Bearer(c.formHint().bearer), c.switched)
	}
	// The probe is decided by the first content: a long stream must not keep others
	// waiting.
	a.turn.Answers()
	a.keyTurn.Answers()
	f = h.relay(ctx, to)
	return a.committed, f
}

// sendFresh sends a request on a connection of its own, if the transport can.
//
// Another transport may use a kept connection again. Then the second try may
// fail like the first one.
func sendFresh(transport http.RoundTripper, req *http.Request) (*http.Response, error) {
	if own, ok := transport.(interface {
		RoundTripFresh(*http.Request) (*http.Response, error)
	}); ok {
		return own.RoundTripFresh(req)
	}
	return transport.RoundTrip(req)
}

// limit returns the longest time until the answer's commit, and the error with the
// name of this limit.
//
// first_token_timeout holds for streams only: a whole answer has its first token
// at its end.
func (c *call) limit(a *attempt) (time.Duration, error) {
	limit, reason := c.model.timeout, "no answer within per_request_timeout"
	if first := c.model.firstToken; c.in.sel.Stream && first > 0 && first < limit {
		limit, reason = first, "no first token within first_token_timeout"
	}
	// The nearest limit wins. Its name goes into the error.
	if left := c.deadline.Sub(a.start); left < limit {
		return left, errTotal(c.s.total)
	}
	c.within = timeoutError{reason, limit}
	return limit, &c.within
}

// notMade is the failure of an attempt whose request could not be made. The
// detail is about the config and the secret store, and not for the client.
func notMade(kind FailureKind, detail string) *failure {
	reason := "its request could not be made from the config"
	if kind == FailureSecret {
		reason = "a secret could not be resolved"
	}
	f := ourFault(kind, reason)
	f.detail = detail
	return f
}

// ourFault is a failure before anything was sent.
func ourFault(kind FailureKind, reason string) *failure {
	return &failure{Failure: Failure{Kind: kind, Cause: causeOf(kind, 0, apierror.Verdict{}), RetryAfter: -1}, reason: reason}
}

// refused is the failure of an attempt with an error status. Its answer is kept, to
// be relayed if nothing else answers.
func (c *call) refused(ctx context.Context, a *attempt, resp *http.Response) *failure {
	f := &failure{Failure: Failure{Kind: FailureStatus, Status: resp.StatusCode, RetryAfter: -1}}
	f.reason = strings.TrimSpace(strconv.Itoa(resp.StatusCode) + " " + http.StatusText(resp.StatusCode))
	switch resp.StatusCode / 100 {
	case 4, 5, 6, 7, 8, 9:
	default:
		// Following a redirect would take the credentials along, and relaying it
		// would have the client do so. After a 101 the connection does not carry
		// HTTP any more: relayed, the client would misread it. A server cannot send
		// a status such as 042.
		f.Cause = CauseRedirect
		return f
	}
	data, complete, err := relay.HoldBody(resp.Body, resp.ContentLength, maxErrorBody)
	if err != nil {
		broken := interrupted(ctx, c.in, &a.secrets, FailureNetwork, err)
		f.reason += "; " + broken.reason
		c.judge(a, f, apierror.Report{}, resp) // status and header came whole
		if broken.Kind == FailureTimeout {
			f.Kind, f.Cause = FailureTimeout, CauseTimeout
			return f
		}
		if resp.StatusCode/100 == 4 {
			f.answer = c.unreadable(a, resp, "broke off")
		}
		return f
	}
	// The decoded body tells the cause. The client gets the original bytes, unless
	// they echo a key.
	plain, err := relay.Decode(data, resp.Header.Get("Content-Encoding"), maxErrorBody)
	if err != nil {
		plain = nil
	}
	report := apierror.Read(plain)
	c.judge(a, f, report, resp)
	c.refusesUsage(f)
	c.lacksEndpoint(f)
	f.reason += a.secrets.Quoted(report.Message)
	a.body = a.secrets.Scrub(plain)
	// A body over the bound cannot be relayed whole. A 4xx tells the client by its status
	// and header to mend its request, or to wait.
	if !complete {
		if resp.StatusCode/100 == 4 {
			f.answer = c.unreadable(a, resp, "is too long to be passed on")
		}
		return f
	}
	f.answer = &upstreamAnswer{resp.StatusCode, a.secrets.ScrubHeader(resp.Header), a.secrets.Scrub(data)}
	switch {
	case c.codec != nil:
		f.answer.body = c.codec.Refused(resp.StatusCode, f.answer.header, a.body)
	case err != nil && len(data) > 0 && len(a.secrets.Used()) > 0:
		// The gateway cannot find a key in this body, but a client may decode it.
		f.answer = c.unreadable(a, resp, "came in an encoding that cannot be read here")
	case !bytes.Equal(a.body, plain):
		// It echoes a key, perhaps behind a compression.
		f.answer.body = a.body
		f.answer.header.Del("Content-Encoding")
		relay.DropOfBytes(f.answer.header)
	}
	return f
}

// judge classifies an error answer by its status, its header and the report of its body.
func (c *call) judge(a *attempt, f *failure, report apierror.Report, resp *http.Response) {
	f.judge(report, resp.StatusCode, resp.Header, a)
	if f.Cause == CauseDeadKey && resp.StatusCode == http.StatusUnauthorized {
		c.excuseKey(a, f)
	}
}

// unreadable is an error answer of which only the status and the header can go to the
// client. Its body is the gateway's own.
func (c *call) unreadable(a *attempt, resp *http.Response, why string) *upstreamAnswer {
	e := errorf(CodeUpstreamError, "the provider's error %s", why)
	e.Status = resp.StatusCode
	h := a.secrets.ScrubHeader(resp.Header)
	h.Set("Content-Type", "application/json")
	h.Del("Content-Encoding")
	relay.DropOfBytes(h)
	if c.codec != nil {
		c.codec.Mark(h)
	}
	return &upstreamAnswer{resp.StatusCode, h, errorBody(c.in.surface.format, e, c.in.id)}
}

// refusesUsage notes that a model refused the gateway's stream_options. The same
// request without them follows at once.
//
// The body is not looked at again for the same model: one refusal is enough.
func (c *call) refusesUsage(f *failure) {
	if f.namesUsage && c.refuser != c.model && (c.usageAsk == usageForGateway || c.usageAsk == usageForTranslation) {
		f.usageRefused, c.refuser = true, c.model
	}
}

// lacksEndpoint notes that a provider does not speak the client's surface, though its
// entry for the whole format says so. The same request follows at once, translated.
func (c *call) lacksEndpoint(f *failure) {
	to := c.model.provider.unproven[c.in.surface]
	if f.Cause != CauseEndpoint || c.codec != nil || to == nil {
		return
	}
	if k, err := c.s.codecTo(c.in, c.model, to); err == nil {
		f.instead = k
	}
}

// untranslated is the error of a request that a codec cannot carry; nil without one.
func untranslated(in *inbound, err error) *Error {
	if err == nil {
		return nil
	}
	var cannot translate.CannotError
	switch isCannot := errors.As(err, &cannot); {
	case isCannot && in.threaded():
		// By this code Anthropic's SDKs know to send the whole conversation.
		return errorf(CodeThreadUnsupported, "%s", cannot)
	case isCannot:
		return errorf(CodeNotTranslatable, "%s", cannot)
	}
	e := errorf(CodeInvalidRequestBody, "the body does not have the form of a request to %s", in.surface.name)
	e.Err = err
	return e
}

// codecFor makes the codec to a candidate; nil where its provider speaks the client's
// surface, as far as is known.
func (s *settings) codecFor(in *inbound, m *model, now time.Time) (*codec, *Error) {
	to := m.provider.translates[in.surface]
	if instead := m.provider.unproven[in.surface]; instead != nil && s.unspoken.Knows(m.route(), in.surface.path, now) {
		to = instead
	}
	if to == nil {
		return nil, nil
	}
	return s.codecTo(in, m, to)
}

// codecTo makes the codec from the client's surface to another one of a candidate. The
// output is capped before, so that a budget for reasoning fits below the cap.
func (s *settings) codecTo(in *inbound, m *model, to *surface) (*codec, *Error) {
	k := newCodec(in.surface, to)
	if k.Estimated {
		return k, nil
	}
	o := outbound{s: s, in: in, model: m, surface: in.surface, body: in.body}
	body := bytes.TrimPrefix(in.raw, []byte("\ufeff"))
	var e edits
	if o.capOutput(&e); len(e.list) > 0 {
		capped, err := in.body.Splice(e.list)
		if err != nil {
			return k, untranslated(in, err)
		}
		body = capped.Bytes()
	}
	o.surface = to
	return k, untranslated(in, k.Translate(body, m.provider.strict, dialect.Options{
		Model: m.id, MaxTokens: m.view.MaxOutputTokens, MaxCompletionTokens: m.provider.refusesMaxTokens,
		NoReasoning:   !reasons(m),
		NoStreamUsage: !o.passes("stream_options") || m.streamHabit(s.habits) == habits.StreamRefuse, Now: time.Now().Unix(),
	}, o.passes))
}

// reasons reports whether a model may be asked to reason: its features say so, or are
// not known.
func reasons(m *model) bool {
	features := m.view.SupportedFeatures
	return len(features) == 0 || slices.Contains(features, "reasoning")
}

// excuseKey excuses the key for a 401 if the request was at fault: the form of the
// credential, or a feature that the client asked for.
func (c *call) excuseKey(a *attempt, f *failure) {
	switch {
	case a.formOpen && !c.switched:
		f.otherForm = true
	case hasVendorHeader(c.in.r.Header) && c.track.AnsweredWithin(time.Now(), time.Minute):
		f.Cause = CauseScope
	}
}

// hasVendorHeader reports whether a client chose features of a provider by a
// header. A good key may lack the permission for a feature.
func hasVendorHeader(h http.Header) bool {
	for name := range h {
		switch {
		case name == "Anthropic-Version", name == "Openai-Organization", name == "Openai-Project":
		case strings.HasPrefix(name, "Anthropic-"), strings.HasPrefix(name, "Openai-"):
			return true
		}
	}
	return false
}

// refreshed resolves the secrets of an attempt again, and reports whether one has
// changed.
//
// Each secret is asked for once more, also after one has changed: a pair of
// secrets is often rotated together.
func (s *settings) refreshed(ctx context.Context, a *attempt) bool {
	changed := false
	for _, u := range a.secrets.Used() {
		if u.Name == "" {
			continue
		}
		value, err := s.secrets.cache.Replace(ctx, u.Vault, u.Name, u.Value.Reveal())
		if err == nil && value != u.Value.Reveal() {
			changed = true
		}
	}
	return changed
}

// pin remembers the model and the key behind an answer for a key of sticky(). The
// first of an order needs no pin. A spill-over by a bound or a limit leaves the
// pins unchanged: the cache is still at the preferred one.
func (f *failover) pin() {
	s := f.s.selector
	if !s.uses.Sticky {
		return
	}
	now := time.Now()
	served := f.trail.attempts[len(f.trail.attempts)-1]
	m, key := served.model, served.usedKey
	if r := f.plan.affinityOf(m); r != nil && !r.affinity.Spilled && !f.spilled(r, m) {
		keep(s, now, modelPin(f.in.owner, r.affinity.Key, r.name), modelPlace(r.affinity, m), m.pin())
	}
	if c := f.lineup.choice(m); c != nil && c.affinity != nil && !c.affinity.Spilled {
		keep(s, now, keyPin(f.in.owner, c.affinity.Key, m.provider), keyPlace(c.affinity, key), key.pin())
	}
}

// affinityOf returns the run whose sticky() placed a candidate, nil without one.
func (p *plan) affinityOf(m *model) *strategyRun {
	for i := range p.runs {
		if r := &p.runs[i]; r.affinity != nil && slices.Contains(r.chosen, m) {
			return r
		}
	}
	return nil
}

// spilled reports whether a limit kept back a candidate before the serving one.
func (f *failover) spilled(r *strategyRun, served *model) bool {
	for _, m := range r.chosen {
		if m == served || len(f.trail.limited) == 0 {
			return false
		}
		if f.trail.passedOver(m) {
			return true
		}
	}
	return false
}

// keep sets a pin. It drops the pin if the first of the order serves again.
//
// Other replicas are told. An equal pin is set again: it counts as used.
func keep(s *selector, now time.Time, at pins.Key, p expr.Place, served pinned) {
	t := s.pins
	if p == expr.PlaceFirst {
		if t.Drop(at) {
			s.told.Tell(now, at, pinned{})
		}
		return
	}
	t.Set(now, at, served)
	s.told.Tell(now, at, served)
}

// affinity says for the Result how sticky() placed the answering model, or its key.
// If every candidate failed, it is about the first. Nil without sticky().
func (f *failover) affinity(p *plan) *Affinity {
	var m *model
	var key *apiKey
	switch n := len(f.trail.attempts); {
	case n > 0:
		m, key = f.trail.attempts[n-1].model, f.trail.attempts[n-1].usedKey
	case len(f.trail.tried) > 0:
		m = f.trail.tried[0].model
		if keys := f.trail.tried[0].keys; len(keys) > 0 {
			key = keys[0]
		}
	default:
		return nil
	}
	if r := p.affinityOf(m); r != nil {
		return &Affinity{Source: r.affinity.Source, Place: string(modelPlace(r.affinity, m))}
	}
	if c := f.lineup.choice(m); c != nil && c.affinity != nil {
		return &Affinity{Source: c.affinity.Source, Place: string(keyPlace(c.affinity, key))}
	}
	return nil
}

// end completes the record of an attempt, and reports it to the metrics and to the
// health of the candidate and the key.
//
// A client that left, and an upstream that refused stream_options, blame nobody. The turn
// is released after the blame, because a probe ends with its verdict.
func (c *call) end(a *attempt, f *failure) {
	if f != nil {
		f.hint = hint(a, f)
	}
	a.failure = f
	now := time.Now()
	a.total = now.Sub(a.start)
	class := stats.ClientFault
	switch {
	case f == nil:
		class = stats.Answered
		if a.turn.Success(now) {
			c.s.health.Changed(c.model.track)
		}
		if a.keyTurn.Success(now) {
			c.s.health.Changed(c.track)
		}
	case c.in.ctx.Err() != nil, f.gone, f.again():
	default:
		m := f.meaning()
		class = m.class
		c.blame(a, f, m, now)
	}
	a.turn.Release(now)
	a.keyTurn.Release(now)
	a.settle(now)
	if a.sent {
		o := c.measured(a, class)
		c.model.track.End(now, o)
		c.track.End(now, o)
	}
}

// blame reports a failure to the health of the candidate or the key.
//
// A candidate's cooldown stops requests of all callers only if the failure is
// everybody's. A key's cooldown holds for all models of the provider, or for
// one, as the rule says.
func (c *call) blame(a *attempt, f *failure, m *meaning, now time.Time) {
	if m.candidate != nil {
		cooldown := a.turn.Failure(now, *m.candidate)
		if a.cooldown = cooldown.Length; cooldown.Everybody {
			c.s.health.Changed(c.model.track)
		}
	}
	// With an operator's own credential, or in a form that is not settled yet, no
	// key is at fault. A limit is one all the same.
	if m.key == nil || f.otherForm || a.operatorAuth && !m.limit {
		return
	}
	r := *m.key
	r.Told = f.RetryAfter
	if a.cooldown = a.keyTurn.Refused(now, r); a.cooldown > 0 {
		c.s.health.Changed(c.track)
	}
}

// measured is an attempt as the metrics keep it. Only an answer says how fast a
// candidate is: a candidate that fails at once is not fast.
//
// Costs are kept in 10⁻⁹ USD. The time in which the request was made is the
// gateway's and not the provider's.
func (c *call) measured(a *attempt, class stats.Class) stats.Outcome {
	o := stats.Outcome{Class: class, ProviderInput: a.input, ProviderOutput: a.output, EstimatedInput: c.in.tokens}
	if c.s.selector.uses.Estimates {
		o.EstimatedInput, o.EstimatedOutput = c.in.estimate(), c.held.written.Tokens()
	}
	if a.used && a.mayCost() {
		if _, cost := a.consumed(); cost.known {
			o.Cost = int64(cost.USD) / 1000
		}
	}
	making := a.sentAt.Sub(a.start) // the request; a slow secret store is not the provider's fault
	switch class {
	case stats.Answered:
		o.Upstream = a.total - making
		if c.surface.upgrades { // a session lasts as long as its client likes
			o.Upstream = a.firstByte - making
		}
		if a.firstToken > 0 {
			o.FirstToken = a.firstToken - making
		}
		if writing := a.total - a.firstToken; a.firstToken > 0 && a.output > 1 && !c.surface.upgrades {
			o.PerOutputToken = writing / time.Duration(a.output-1)
		}
		o.Gateway = c.trail.overhead(c.in, a.sentAt, a)
	case stats.TimedOut:
		o.Upstream = a.total - making // it took at least so long
	}
	return o
}

// noteQuota notes the limits of a key that an answer tells.
//
// It is noted for failed answers too: a 429 tells most about limits.
func noteQuota(track *stats.Track, h http.Header, now time.Time) {
	q := ratelimit.Read(h, now)
	if !q.Known() {
		return
	}
	track.Quota.SetRequests(now, stats.Allowance{
		Limit: stats.Count(q.LimitRequests), Remaining: stats.Count(q.RemainingRequests), Reset: q.ResetRequests,
	})
	track.Quota.SetTokens(now, stats.Allowance{
		Limit: stats.Count(q.LimitTokens), Remaining: stats.Count(q.RemainingTokens), Reset: q.ResetTokens,
	})
}
