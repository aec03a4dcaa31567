package aigateway

import (
	"bytes"
	"context"
	"fmt"
	"hash/maphash"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aigateway-go/aigateway/internal/debugpage"
	"github.com/aigateway-go/aigateway/internal/fleet"
	"github.com/aigateway-go/aigateway/internal/habits"
	"github.com/aigateway-go/aigateway/internal/ids"
	"github.com/aigateway-go/aigateway/internal/inprocess"
	"github.com/aigateway-go/aigateway/internal/limit"
	"github.com/aigateway-go/aigateway/internal/route"
	"github.com/aigateway-go/aigateway/internal/stats"
)

// Gateway is an [http.Handler] that answers requests in the OpenAI and
// Anthropic formats. It sends each to a model at a provider, and to the next one
// if that fails. Make one with [New]. It is safe for concurrent use, has no
// goroutine of its own, and need not be closed. [Gateway.Run] does its periodic work.
type Gateway struct {
	current   atomic.Pointer[settings]
	recorder  *stats.Recorder
	pins      *pinTable
	limiter   *limit.Limiter
	history   debugpage.History
	ledger    debugpage.Ledger
	seed      maphash.Seed
	habits    habits.Streams
	unspoken  habits.Unspoken
	clients   *limit.Clients
	ids       *ids.Table
	reloading sync.Mutex
	running   atomic.Bool // Run
	sums      *fleet.Sums
	fleet     *fleet.Fleet // nil without Config.Shared
	health    *fleet.Health
	members   *fleet.Members
	limits    *fleet.Limits
	slots     *fleet.Slots
	told      *fleet.Pins
	replica   string // Config.ReplicaName

	servers  servers
	reloaded chan struct{} // has room for one

	warnedDeadlines sync.Once
}

// New makes a Gateway. It reports every problem of cfg, each as a [*ConfigError].
// It does no network I/O: secrets are resolved when they are needed (see
// [Gateway.Check]). Of the interfaces it calls only the registry and the URL
// policy.
func New(cfg Config) (*Gateway, error) {
	s, err := newSettings(cfg, nil, nil)
	if err != nil {
		return nil, err
	}
	g := &Gateway{
		recorder: stats.NewRecorder(cfg.Region, cfg.Account), pins: newPins(), limiter: limit.NewLimiter(time.Now()),
		seed: maphash.MakeSeed(), clients: limit.NewClients(time.Now()), ids: ids.NewTable(), reloaded: make(chan struct{}, 1),
	}
	if err := s.connect(cfg, nil); err != nil {
		return nil, err
	}
	if err := g.join(cfg); err != nil {
		return nil, err
	}
	s.attach(g)
	s.debug = newDebugSettings(&g.history, &g.ledger, cfg)
	g.current.Store(s)
	return g, nil
}

// Reload replaces the gateway's config at once, for new requests. Requests under
// way finish on the old config. If it returns an error, the old config stays.
//
// Every dependency comes from the new Config and must be set on it again: Logger,
// Secrets, Hooks, Transport and the others. The gateway keeps its knowledge:
// metrics, cooldowns, pins, counts of limits, and the requests of the debug page.
//
// Connections are kept too, with three exceptions: providers with another TLS or
// Proxy, a ProviderTransport, and a URL policy that is an [AddrPolicy].
func (g *Gateway) Reload(cfg Config) error {
	g.reloading.Lock()
	defer g.reloading.Unlock()
	old := g.current.Load()
	s, err := g.servers.settings(cfg, old)
	if err != nil {
		return err
	}
	if err := s.connect(cfg, old); err != nil {
		return err
	}
	s.attach(g)
	s.debug = newDebugSettings(&g.history, &g.ledger, cfg)
	g.recorder.Move(cfg.Region, cfg.Account)
	g.current.Store(s)
	old.retire(s)
	select {
	case g.reloaded <- struct{}{}:
	default:
	}
	return nil
}

// attach gives the settings the knowledge of their gateway. It outlives them.
func (s *settings) attach(g *Gateway) {
	s.callers.seed, s.callers.fleet = g.seed, g.fleet
	s.fleet, s.health, s.exact = g.fleet, g.health, g.limits
	s.habits, s.unspoken = &g.habits, &g.unspoken
	s.clients, s.ids = g.clients, g.ids
	for i := range s.clientLimits {
		l := &s.clientLimits[i]
		l.entry = g.clients.Entry(l.name, l.allowance)
	}
	s.selector.recorder, s.selector.metrics, s.selector.pins = g.recorder, newMetrics(g.recorder), g.pins
	s.selector.told = g.told
	s.selector.track(g.recorder)
	s.limiter = g.limiter
	s.selector.limit(g.limiter, time.Now())
}

// Check resolves every secret in the config, and reports each failure as a
// [*ConfigError] with its place. It leaves out secrets with a name that depends on
// the request.
func (g *Gateway) Check(ctx context.Context) error {
	s := g.current.Load()
	var p problems
	for _, ref := range s.secretRefs {
		if _, err := s.secrets.ResolveSecret(ctx, ref.Vault, ref.Name); err != nil {
			p.add(ref.Path, "", "secret %q of vault %q: %v", ref.Name, ref.Vault, err)
		}
	}
	if len(p) == 0 {
		return nil
	}
	return fmt.Errorf("aigateway: secrets that do not resolve:\n%w", ConfigErrors(p))
}

// Warnings lists the slips in the config that [New] or the latest [Gateway.Reload]
// accepted:
//
//   - keys in the notation of another tool, also in headers and query parameters
//   - names of models that mean something else in a request
//   - models with a shutdown date in the past or the next 60 days
//   - unknown names in strategies, and misspelt ones in aliases, fallbacks and lists of models
//   - metadata, features, modalities, countries and endpoints that strategies ask for, and nothing has
//   - names with a star, which are not patterns
//   - entries of aliases and fallbacks that are never tried
//   - misspelt modalities, features and countries, and API surfaces given twice
//   - providers without the key that they need, and several keys in the place of one
//   - times that another time ends before
//   - prices of one token in the place of those of a million
//   - budgets in USD that a model without a price spends nothing of
//   - addresses that are probably wrong
//
// Log them at the start. The caller owns the slice. They hold no secret.
func (g *Gateway) Warnings() []*ConfigError {
	return append([]*ConfigError(nil), g.current.Load().warnings.list()...)
}

// ServeHTTP answers a request. An unknown path gets 404 in the OpenAI error format.
//
// A stream that breaks after it has begun ends in a panic with
// [http.ErrAbortHandler]: net/http then aborts the client's connection. Middleware
// that recovers must pass the panic on, as for httputil.ReverseProxy.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.serve(w, r, nil) //nolint:contextcheck // the exchange carries the request's context
}

// Wrap returns a handler that answers like ServeHTTP, but leaves unknown paths to
// next. Under [OnErrorContinue] it also leaves to next the requests that it could
// not serve. If next is nil, it answers all of them itself.
func (g *Gateway) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.serve(w, r, next) //nolint:contextcheck // as above
	})
}

// Client returns a client with the gateway's [Gateway.RoundTripper], for the
// service's own calls and for SDKs. It has no timeout of its own.
func (g *Gateway) Client() *http.Client { return &http.Client{Transport: g.RoundTripper()} }

// RoundTripper returns a transport that sends requests through the gateway without a
// socket. Scheme and host of their URLs do not matter, because the path tells the
// endpoint.
//
// A call is like one over a socket in all but the network:
//
//   - Streams arrive event by event.
//   - A canceled request ends the upstream's, and so does closing the answer's body
//     early.
//   - An answer that breaks on the way ends in [io.ErrUnexpectedEOF], after the
//     error event of a stream.
//   - The gateway's refusals are answers with a status and an error body.
//
// A large body in memory, as [bytes.NewReader] makes it, is sent from there and not
// copied. As with [http.Transport], its bytes must stay as they are until the call fails
// or the answer's body is closed. Both wait for a hook or Admission that still runs, and
// for a connection that is being written to. No provider gets bytes of their next use.
//
// The values of a request's context reach Hooks, Admission, Caller, Labels and
// RequestID. A panic of these is logged, and breaks the call.
//
// The call's Result is in the context of the answer's request. It is there once the
// body was read to its end, or soon after the body was closed before:
//
//	res, ok := aigateway.ResultFromContext(resp.Request.Context())
//
// A context of [WithResult] has it too, for SDKs that hide their answers. If several
// calls share such a context, it has the latest.
//
// It is safe for concurrent use, and follows each [Gateway.Reload].
func (g *Gateway) RoundTripper() http.RoundTripper {
	return &inprocess.Transport{Handler: g, Context: withOwnResult, Panicked: g.panicked}
}

// panicked logs a panic of the service's own code in a call without a socket.
func (g *Gateway) panicked(value any, stack []byte) {
	g.current.Load().logger.Error("the service's own code panicked in a call without a socket", "panic", value, "stack", string(stack))
}

// serve finds the handler of a path. An unknown path goes to next; if that is nil,
// it gets 404.
//
// The order of the cases matters. A path with a step up is refused before
// anything reads an id from it. Models come before surfaces. A WebSocket's
// surface answers a plain request with 426, as RFC 9110 asks.
func (g *Gateway) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	s := g.current.Load()
	surface, path := s.surfaces.of(r)
	id, models := route.Models(r.URL.Path)
	reading := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case s.surfaces.misleads(r.URL):
		s.refuse(w, r, formatOf(r), errorf(CodeInvalidID, "an id in the path is not one: it holds a step up, an encoded slash or another odd character"))
	case models && reading: // first, as a model's id may end like a surface
		requestID := s.callers.requestID(r)
		s.answer.before(w.Header(), requestID)
		s.selector.serveModels(w, r, id, requestID)
	case surface != nil && surface.upgrades && surface.takes(r.Method) && !upgradable(w, r):
		w.Header().Set("Upgrade", "websocket")
		s.refuse(w, r, surface.format, errorf(CodeUpgradeRequired, "%s is called by a WebSocket over HTTP/1.1", r.URL.Path))
	case surface != nil && surface.takes(r.Method):
		x := &exchange{s: s, next: next}
		x.to.connect(w, r, &g.warnedDeadlines, s)
		defer x.to.finish()
		x.in.receive(r, surface, path, &s.callers)
		x.to.stamper = x
		x.serve()
	case surface != nil && reading && r.Header.Get("Upgrade") != "":
		// Clients of WebSockets fall back to POST after this answer.
		w.Header().Set("Upgrade", "HTTP/1.1")
		s.refuse(w, r, surface.format, errorf(CodeUpgradeRequired, "%s is called by %s here, not by a WebSocket", r.URL.Path, surface.allow()))
	case surface != nil:
		s.methodNotAllowed(w, surface.format, r, surface.allow())
	case models && !route.Calls(r.Method, id):
		s.methodNotAllowed(w, clientFormat(r.Header), r, "GET, HEAD")
	case next != nil:
		next.ServeHTTP(w, r)
	default:
		s.refuse(w, r, formatOpenAI, errorf(CodeNotFound, "unknown path %s: the gateway does not serve it", r.URL.Path))
	}
}

// methodNotAllowed answers a request by another method than the allowed ones.
func (s *settings) methodNotAllowed(w http.ResponseWriter, f format, r *http.Request, allowed string) {
	w.Header().Set("Allow", allowed)
	s.refuse(w, r, f, errorf(CodeMethodNotAllowed, "%s is called by %s, not %s", r.URL.Path, allowed, r.Method))
}

// refuse answers a request that is not on its way to any provider.
func (s *settings) refuse(w http.ResponseWriter, r *http.Request, f format, e *Error) {
	id := s.callers.requestID(r)
	s.answer.before(w.Header(), id)
	writeError(w, f, e, id)
}

// WriteError answers a request with an error in the format of its client, for
// middleware around the gateway. A Status that is not one of an error is the code's. A
// nil error is an internal one.
func WriteError(w http.ResponseWriter, r *http.Request, e *Error) {
	writeError(w, formatOf(r), e.complete(), requestID(r.Header))
}

// exchange is one client request on its way through the gateway: read, choose,
// send, answer, report. It belongs to the request's goroutine.
type exchange struct {
	s    *settings
	next http.Handler // nil for a terminal handler
	to   client
	in   inbound
	plan plan
	loop failover

	adm         admission
	headerRoom  [3]string // of the usual headers
	costTrailer bool      // the cost is to follow the answer
}

// serve is the pipeline.
//
// Code of the embedding service runs in it: hooks, secrets, a registry. If it
// panics, the client gets an error, the request is reported, and the panic goes
// on to net/http.
func (x *exchange) serve() {
	var out outcome
	reported := false
	defer func() {
		if !reported { // code of the embedding service panicked
			err := errorf(CodeInternal, "the service's own code failed")
			defer x.report(err)
			x.endOpen(err)
		}
	}()
	if hook := x.s.hooks.RequestStart; hook != nil {
		if ctx := hook(x.in.ctx, x.in.shown()); ctx != nil {
			x.in.ctx = ctx
		}
	}
	x.in.identify(&x.s.callers)
	x.in.expose(x.s.uses)
	if out.err = x.in.read(x.to.body(x.in.r.Body), x.s.maxBody); out.err == nil {
		out.err = x.adm.admit(x.s, &x.in)
	}
	if out.err == nil {
		out.err = x.choose()
	}
	if out.err == nil {
		out = x.send()
	}
	x.to.quiet() // a keepalive may announce the cost up to here
	if x.costTrailer {
		x.setCost(x.to.Header())
	}
	handOn, abort := x.answer(out)
	reported = true
	res := x.report(out.err)
	switch last := x.loop.trail.lastFailure(); {
	case abort, last != nil && last.abort:
		panic(http.ErrAbortHandler)
	case handOn:
		r := x.in.r.WithContext(context.WithValue(x.in.ctx, resultKey{}, res))
		if x.in.wire != nil {
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(x.in.wire)), int64(len(x.in.wire))
		}
		x.to.finish()
		x.next.ServeHTTP(x.to.w, r)
	}
}

// choose selects the models to try.
//
// Ids of stored things are located first: a request for a file or a batch goes
// where the thing is. An error of a client that has left is told as that.
func (x *exchange) choose() (err *Error) {
	at, l := &x.in.place, locator{&x.in, x.s}
	switch err = l.locate(); {
	case err != nil:
	case x.in.places():
		if err = l.admitBatch(x.adm.uncounted(x.s.clientLimits)); err != nil {
			break
		}
		x.plan.candidates = []*model{at.provider.whole()}
	default:
		if err = x.adm.admitSession(x.in.surface, x.s.clientLimits); err != nil {
			break
		}
		x.plan, err = x.s.selector.choose(x.in.ctx, x.in.query())
		if at.keep(&x.plan, x.s.selector.isOwn); err == nil && len(x.plan.candidates) == 0 {
			err = l.unknown()
		}
	}
	if err != nil && x.in.ctx.Err() != nil {
		return x.in.gone()
	}
	return err
}

// send tries the chosen models.
//
// Pins and places are learnt from a provider's good answer only. An answer of the
// gateway's own teaches nothing.
func (x *exchange) send() outcome {
	if x.s.keepalive > 0 && x.in.sel.Stream && x.in.surface.stream != nil {
		x.to.keepAlive(x.s.keepalive, x.in.id, x.in.surface.format)
	}
	x.loop.start(x.s, &x.in, &x.to)
	out := x.loop.run(&x.plan)
	if out.err == nil && out.made == nil {
		x.loop.pin()
		locator{&x.in, x.s}.learn(x.loop.trail.answering())
	}
	return out
}

// answer writes the answer of a failed request. If the next handler takes the
// request over, it writes nothing. An error behind a keepalive is an event, and the
// connection is to be aborted.
func (x *exchange) answer(out outcome) (handOn, abort bool) {
	if out.made != nil {
		writeMade(&x.to, out.made)
		return false, false
	}
	if out.err == nil || x.loop.trail.committed() {
		return false, false
	}
	if x.endOpen(out.err) {
		return false, true
	}
	switch a := out.relay; {
	case a != nil && !(x.continues() && a.failure.Kind == FailureStatus && a.failure.Cause != CauseRefusal):
		a.relayed = true
		relayError(&x.to, a.failure.answer, out.retryAfter)
		return false, false
	case x.continues() && !x.in.partial && out.err.Code != CodeClientGone:
		return true, false
	}
	// This also answers a client that seems gone. Some clients close only their
	// half of the connection, and must not take an empty 200 for the answer.
	writeError(&x.to, x.in.surface.format, out.err, x.in.id)
	return false, false
}

// endOpen ends a stream that a keepalive has begun, by an error event. It is false
// without one, or if an answer follows the keepalive.
func (x *exchange) endOpen(err *Error) bool {
	if !x.to.quiet() || x.loop.trail.committed() {
		return false
	}
	x.to.Write(errorEvent(x.in.surface, err, x.in.id)) //nolint:errcheck // the connection is aborted either way
	x.to.flush()                                       //nolint:errcheck // likewise
	return true
}

// stamp says in the header of an answer who answered. An upstream's own headers of
// these names do not pass. Where a keepalive begins the stream, nobody has answered
// yet: it tells the id, and announces the cost. It runs beside the attempts then, and
// reads nothing of them.
func (x *exchange) stamp(h http.Header, begun bool) {
	a, t := &x.s.answer, &x.loop.trail
	for name := range h {
		if strings.HasPrefix(name, answerPrefix) && (begun || name != headerTranslated || t.committed() && x.loop.call.held.codec == nil) {
			delete(h, name)
		}
	}
	if a.requestID {
		x.headerRoom[0] = x.in.id
		h[headerRequestID] = x.headerRoom[0:1:1]
	}
	x.adm.stamp(x.s.clients, h)
	if begun {
		if a.cost {
			x.announceCost(h)
		}
		return
	}
	if k := t.translated(); k != nil {
		h[headerTranslated] = []string{k.Header()}
	}
	if a.attempts {
		x.headerRoom[1] = strconv.Itoa(t.sent)
		h[headerAttempts] = x.headerRoom[1:2:2]
	}
	last := t.answering()
	if last != nil && a.model {
		x.headerRoom[2] = asciiName(last.model.name())
		h[headerModel] = x.headerRoom[2:3:3]
	}
	x.stampRequested(h, last)
}

// stampRequested sets the headers that come only if response_headers lists them.
func (x *exchange) stampRequested(h http.Header, last *attempt) {
	a := &x.s.answer
	if a.removed && last != nil && len(last.removed) > 0 {
		h[headerRemovedParams] = []string{listed(last.removed)}
	}
	if a.rejected && len(x.plan.rejections) > 0 {
		names := make([]string, len(x.plan.rejections))
		for i, r := range x.plan.rejections {
			names[i] = r.name
		}
		h[headerRejectedModels] = []string{listed(names)}
	}
	if a.affinity {
		x.stampAffinity(h)
	}
	if a.cost {
		x.stampCost(h)
	}
}

// stampAffinity tells how sticky() placed the model or key that was tried last.
func (x *exchange) stampAffinity(h http.Header) {
	if placed := x.loop.affinity(&x.plan); placed != nil {
		h[headerAffinity] = []string{placed.Source + ":" + placed.Place}
	}
}

// stampCost tells the cost, or announces it for the end of an answer that is still
// to come.
func (x *exchange) stampCost(h http.Header) {
	if x.loop.trail.committed() && !x.loop.call.held.ends() {
		x.announceCost(h)
		return
	}
	x.setCost(h)
}

// announceCost declares a trailer, if the connection can carry one.
func (x *exchange) announceCost(h http.Header) {
	if h.Get("Content-Length") == "" && x.in.r.ProtoAtLeast(1, 1) {
		h["Trailer"] = []string{headerCost}
		x.costTrailer = true
	}
}

// setCost sets the cost of all attempts, if it is known.
func (x *exchange) setCost(h http.Header) {
	if _, cost := x.loop.trail.total(); cost.known {
		h[headerCost] = []string{cost.USD.String()}
	}
}

// continues reports whether a failed request goes on to the next handler.
func (x *exchange) continues() bool { return x.s.onContinue && x.next != nil && !x.adm.refused }

// report settles the request's limits, and tells of its end. A panic of the service's
// Admission is told of as well.
func (x *exchange) report(err *Error) (res *Result) {
	defer func() { res = x.tell(err) }()
	x.adm.settle(x.s, &x.loop.trail, x, err)
	return nil
}

// tell tells the hook, the log and the debug page about the end of the request. It makes
// a Result only if one of them needs it.
func (x *exchange) tell(err *Error) *Result {
	var res *Result
	if x.s.hooks.RequestDone != nil || err != nil && x.continues() {
		res = x.result(err)
	}
	switch slot, _ := x.in.r.Context().Value(resultKey{}).(*resultSlot); {
	case slot == nil:
	case slot.own && res == nil && err == nil && x.loop.trail.committed():
		// A Result takes as much time as the rest of the gateway's work.
		slot.late.x = x
		defer slot.store(&slot.late)
	default:
		slot.store(&lateResult{res: x.result(err)})
	}
	defer x.in.forget(x.loop.trail.attempts) // if a logger panics
	x.log(err)
	x.remember(err)
	x.in.forget(x.loop.trail.attempts)
	if hook := x.s.hooks.RequestDone; hook != nil {
		hook(x.in.ctx, res)
		if x.continues() {
			res = x.result(err) // the hook's own may have been changed
		}
	}
	return res
}

// result makes the Result of the request as it stands.
func (x *exchange) result(err *Error) *Result {
	res := x.loop.trail.result(&x.in, err)
	x.plan.describe(res, x.s.selector, x.in.query())
	res.Affinity = x.loop.affinity(&x.plan)
	return res
}

// log writes the request's line.
func (x *exchange) log(err *Error) {
	l := x.s.logger
	level := logLevel(err)
	if !l.Enabled(x.in.ctx, level) {
		return
	}
	line := newLogLine(&x.in, &x.loop.trail, err)
	if l.Enabled(x.in.ctx, logDebug) {
		line.add(x.result(err))
	}
	line.write(x.in.ctx, l, level)
}

// remember notes the request for the debug page, if there is one.
func (x *exchange) remember(err *Error) {
	if !x.s.debug.history.Wanted() {
		return
	}
	r := newDebugRecord(&x.in, &x.loop.trail, err)
	rememberPlan(r, &x.plan, x.loop.trail.notes)
	enter(x.s.debug.ledger, r, &x.loop.trail)
	x.s.debug.history.Add(r)
}

// Explain makes the decisions for a request, and sends nothing. The Result has the
// status StatusDryRun. ModelsTried lists the models that would be tried, and
// NotTried every other model with the reason; both are empty if the body cannot be
// understood.
//
// If the request would be refused, Explain also returns the *[Error]. If the path
// or the method never reaches a provider, it returns only the *[Error]. It reads
// the request's body, and puts it back.
func (g *Gateway) Explain(r *http.Request) (*Result, error) {
	s := g.current.Load()
	surface, path := s.surfaces.of(r)
	switch {
	case s.surfaces.misleads(r.URL):
		return nil, errorf(CodeInvalidID, "an id in the path of %s is not one", r.URL.Path)
	case surface == nil:
		return nil, errorf(CodeNotFound, "unknown path %s: the gateway does not send it on to a provider", r.URL.Path)
	case !surface.takes(r.Method):
		return nil, errorf(CodeMethodNotAllowed, "%s is called by %s, not %s", r.URL.Path, surface.allow(), r.Method)
	}
	x := &exchange{s: s}
	x.in.receive(r, surface, path, &s.callers)
	x.in.identify(&s.callers)
	x.in.expose(s.uses)
	err := x.in.read(r.Body, s.maxBody)
	understood := err == nil
	if understood || x.in.wire != nil {
		r.Body = io.NopCloser(bytes.NewReader(x.in.wire))
	}
	if err == nil {
		err = x.choose()
	}
	if err == nil {
		x.loop.start(s, &x.in, nil)
		x.loop.rehearse(&x.plan)
	}
	res := x.result(err)
	res.Status = StatusDryRun
	if understood {
		for _, r := range s.selector.notTried(x.in.query(), x.plan.candidates) {
			res.NotTried = append(res.NotTried, r.public(s.selector, x.in.query()))
		}
	}
	if err != nil {
		return res, err
	}
	return res, nil
}

// Price returns the prices of a provider's model, by their ids or aliases: those of
// the config over those of the registry. It is false if the prices, or the model,
// are unknown. The caller owns them.
func (g *Gateway) Price(provider, model string) (Pricing, bool) {
	p := g.current.Load().selector.byName[fold(provider)]
	if p == nil {
		return Pricing{}, false
	}
	m := p.byName[fold(model)]
	if m == nil || m.pricing == nil {
		return Pricing{}, false
	}
	return *clonePricing(m.pricing), true
}
