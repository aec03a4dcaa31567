package aigateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aigateway-go/aigateway/internal/dial"
	"github.com/aigateway-go/aigateway/internal/discover"
	"github.com/aigateway-go/aigateway/internal/expr"
	"github.com/aigateway-go/aigateway/internal/fleet"
	"github.com/aigateway-go/aigateway/internal/modellist"
	"github.com/aigateway-go/aigateway/internal/redact"
	"github.com/aigateway-go/aigateway/internal/stats"
	"github.com/aigateway-go/aigateway/internal/translate"
)

// Run does the gateway's periodic work until ctx ends, and returns the cause of
// that. Without Config.Shared and without other periodic work it only waits.
// Call it from a goroutine of the service:
//
//	go gateway.Run(ctx)
//
// A gateway without Run works alone: it serves all the same, and learns from its
// own requests. A second Run at the same time returns an error at once. After one
// has returned, Run may be called again. No goroutine of Run outlives it.
func (g *Gateway) Run(ctx context.Context) error {
	if !g.running.CompareAndSwap(false, true) {
		return errors.New("aigateway: Run is already running")
	}
	defer g.running.Store(false)
	var all sync.WaitGroup
	for _, t := range g.tasks() {
		all.Go(func() { t.run(ctx) })
	}
	<-ctx.Done()
	all.Wait()
	g.leave()
	return context.Cause(ctx)
}

// tasks are the parts of Run. Each has a goroutine of its own.
func (g *Gateway) tasks() []task {
	list := []task{
		{every: discoverEvery, jitter: 0.2, wake: g.reloaded, turn: g.discover},
		{every: probeEvery, jitter: 0.5, turn: func(ctx context.Context) { g.servers.probe(ctx, g.current.Load()) }},
	}
	if g.fleet != nil {
		list = append(list, task{every: exchangeEvery, jitter: exchangeJitter, wake: g.fleet.Woken(), turn: g.exchange},
			task{every: keysEvery, jitter: exchangeJitter, wake: g.health.KeysWanted(), turn: g.tellKeys},
			task{every: slotsEvery, wake: g.slots.Looks(), turn: g.slots.Turn})
	}
	return list
}

// task is one kind of periodic work. Its first turn is at once.
type task struct {
	// every is the time from the end of a turn to the next.
	every time.Duration
	// jitter is the part of every that is left to chance, from 0 to 1. The mean
	// stays every.
	jitter float64
	// wake begins a turn at once. It may be nil.
	wake <-chan struct{}
	// turn is one turn. It returns soon after ctx has ended.
	turn func(ctx context.Context)
}

// run makes turns until ctx ends: one at once, and then one after each pause, or as soon
// as wake is ready. A slow turn delays the next one, and never overlaps with it.
func (t *task) run(ctx context.Context) {
	for ctx.Err() == nil {
		t.turn(ctx)
		timer := time.NewTimer(t.pause())
		select {
		case <-timer.C:
		case <-t.wake:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// pause is every, up to half of jitter shorter or longer. It keeps replicas that started
// together from asking together.
func (t *task) pause() time.Duration {
	return time.Duration(float64(t.every) * (1 + t.jitter*(rand.Float64()-0.5)))
}

// The time between two exchanges with the store is 200 to 250 ms. A cooldown reaches
// the store at once, and other replicas with their next exchange.
const (
	exchangeEvery  = 225 * time.Millisecond
	exchangeJitter = 0.22
)

// slotsEvery is how often the slots of exact limits are renewed at least.
const slotsEvery = time.Second

// FleetStatus is a replica's view of its fleet.
type FleetStatus struct {
	// Name is Config.ReplicaName.
	Name string
	// StoreUp reports whether the latest exchange with the store succeeded. It is
	// false before the first one, and while Run does not run.
	StoreUp bool
	// StoreSince is when StoreUp changed last.
	StoreSince time.Time
	// StoreError is the error of the latest exchange, nil if it succeeded.
	StoreError error
	// SnapshotAge is the time since the latest exchange that succeeded, negative if
	// there was none.
	SnapshotAge time.Duration
	// Replicas are the living replicas by name, this one included.
	Replicas []ReplicaStatus
}

// ReplicaStatus is a replica as it told about itself.
type ReplicaStatus struct {
	Name string
	// LastSeen is the time since its latest word.
	LastSeen time.Duration
	// InFlight are its upstream requests under way, Requests those that ended in the
	// last five minutes.
	InFlight, Requests int64
	// OtherSecret reports whether it has another Config.SharedSecret than this replica.
	// The two share nothing.
	OtherSecret bool
}

// Fleet returns the state of the fleet, such as for a gauge. It is nil without
// Config.Shared. It does not ask the store.
func (g *Gateway) Fleet() *FleetStatus {
	if g.fleet == nil {
		return nil
	}
	now, link := time.Now(), g.fleet.Link()
	f := &FleetStatus{Name: g.replica, StoreUp: g.fleet.Up(), StoreSince: link.Since, StoreError: link.Err, SnapshotAge: -1}
	if !link.At.IsZero() {
		f.SnapshotAge = now.Sub(link.At)
	}
	for _, m := range g.members.List() {
		f.Replicas = append(f.Replicas, ReplicaStatus{m.Name, max(now.Sub(m.Seen), 0), m.InFlight, m.Requests, m.Stranger})
	}
	return f
}

// join makes the gateway a replica of the fleet at Config.Shared. Every gateway has
// sums: without a fleet they are those of this process.
//
// Without a fleet all of these are nil, and nil values take no part.
func (g *Gateway) join(cfg Config) error {
	g.sums = fleet.NewSums(cfg.SharedSecret)
	if cfg.Shared == nil {
		return nil
	}
	if len(cfg.SharedSecret) == 0 {
		var p problems
		p.add("SharedSecret", "", "is required with Shared: give all replicas the same 32 random bytes")
		return ConfigErrors(p)
	}
	g.fleet = fleet.New(sharedStore{cfg.Shared}, g.sums, time.Now())
	names := make(map[stats.Surface]string)
	numbers := make(map[string]stats.Surface)
	for _, s := range newSurfaces().byPath {
		names[s.number], numbers[s.offer()] = s.offer(), s.number
	}
	g.health = fleet.NewHealth(g.fleet, g.recorder, fleet.Surfaces{
		Name:   func(n stats.Surface) string { return names[n] },
		Number: func(name string) (stats.Surface, bool) { n, ok := numbers[name]; return n, ok },
	})
	g.members = fleet.NewMembers(g.health, cfg.ReplicaName, g.logStranger)
	g.limits = fleet.NewLimits(g.fleet, g.clients, g.members)
	g.slots = fleet.NewSlots(g.fleet, g.limiter, g.members)
	g.replica = cfg.ReplicaName
	g.told = fleet.SharePins(g.fleet, g.pins, pinLife)
	fleet.ShareIDs(g.fleet, g.ids)
	g.fleet.OnLink(g.logLink)
	return nil
}

// logStranger logs that a replica has another secret.
func (g *Gateway) logStranger(name string) {
	g.current.Load().logger.Warn("a replica of the fleet has another SharedSecret: nothing is shared with it",
		"aigateway.replica", g.replica, "aigateway.replica.other", name)
}

// logLink logs that the store has gone, or is back.
func (g *Gateway) logLink(l fleet.Link) {
	logger := g.current.Load().logger
	if l.Up {
		logger.Info("the store of the fleet is back", "aigateway.replica", g.replica)
		return
	}
	logger.Warn("the store of the fleet is away: this replica goes on with what it knows", "aigateway.replica", g.replica, "error", l.Err.Error())
}

// leave ends the replica's part for now, as Run has ended.
func (g *Gateway) leave() {
	if g.fleet != nil {
		g.fleet.Pause()
		g.limits.Alone()
		g.slots.Alone()
	}
}

// keysEvery is how often the values of keys in trouble are looked at again.
const keysEvery = 10 * time.Second

// tellKeys tells the fleet which values the configured keys have: replicas match
// keys by their values. It asks the secret store only if there is something to
// match. The exchange does not wait for it.
func (g *Gateway) tellKeys(ctx context.Context) {
	if !g.health.NeedsKeys() {
		return
	}
	s := g.current.Load()
	for _, p := range s.selector.providers {
		for _, k := range p.allKeys() {
			if k.perRequest {
				continue
			}
			value := ""
			if !k.none {
				var set redact.Set
				var err error
				t := templates{secrets: s.secrets, set: &set}
				t.in.Secret = t.secret
				within, cancel := context.WithTimeout(ctx, s.perRequest)
				value, err = t.text(within, k.value)
				cancel()
				if err != nil {
					continue // the next request tells
				}
			}
			g.health.SetKey(k.track, g.fleet.Of("key", k.provider, value))
		}
	}
}

// exchange is one turn of Run: it tells the store what is new, and learns what
// others told.
func (g *Gateway) exchange(ctx context.Context) {
	if err := g.fleet.Exchange(ctx); err != nil {
		g.limits.Alone() // the link has told of it
		g.slots.Alone()
	}
}

const (
	// discoverEvery is the time between two questions for a provider's models, and
	// discoverPatience bounds one of them with all of its facts.
	discoverEvery    = time.Minute
	discoverPatience = 30 * time.Second
	// probeEvery is the time between two looks for cooldowns that end. A cooldown
	// that ends within probeAhead is probed, for at most probePatience.
	probeEvery    = time.Second
	probeAhead    = 2 * time.Second
	probePatience = 5 * time.Second
	// holdFor is how long a failed probe prolongs a cooldown, and mostHold bounds
	// the sum: after it a request probes, in case only the list is broken.
	holdFor  = 5 * time.Second
	mostHold = 10 * time.Minute
)

// discover asks providers for their models, and has the gateway serve them.
func (g *Gateway) discover(ctx context.Context) {
	s := g.current.Load()
	if !g.servers.refresh(ctx, s) || ctx.Err() != nil {
		return
	}
	if err := g.rediscover(); err != nil { //nolint:contextcheck // compiling calls nobody who could wait
		s.logger.Warn("the models of providers cannot be taken up: the last good ones stay", "error", err.Error())
	}
}

// rediscover compiles the Config again, with the lists as they are now. Connections
// and the debug page stay.
func (g *Gateway) rediscover() error {
	g.reloading.Lock()
	defer g.reloading.Unlock()
	old := g.current.Load()
	if old.origin == nil {
		return nil // a Reload came between
	}
	s, err := newSettings(*old.origin, old, g.servers.lists())
	if err != nil {
		return err
	}
	s.transports = old.transports
	for i, p := range s.selector.providers {
		was := old.selector.providers[i] // the same Config has the same providers
		p.transport, p.dialled = was.transport, was.dialled
	}
	s.debug, s.warnings = old.debug, old.warnings
	s.attach(g)
	g.current.Store(s)
	return nil
}

// servers is the memory of the questions to providers, by listKey. It outlives
// settings. It is safe for concurrent use.
type servers struct{ discover.Memory }

// of returns the memory of a provider.
func (l *servers) of(p *provider) *discover.Contact { return l.Of(listKey(p)) }

// lists are the last good answers, in the terms of a config.
func (l *servers) lists() modelLists {
	told := l.Lists()
	lists := make(modelLists, len(told))
	for key, models := range told {
		found := make(foundModels, len(models))
		for i, m := range models {
			found[i] = foundModel(m)
		}
		lists[key] = found
	}
	return lists
}

// settings compiles a Config with the known lists. If only the lists are at fault,
// such as a strategy that is too costly over them, it leaves them out.
//
// It compiles twice at most. A config that is wrong by itself fails in both, and
// the second error is the one to show: it names no model of a provider's answer.
func (l *servers) settings(cfg Config, old *settings) (*settings, error) {
	lists := l.lists()
	s, err := newSettings(cfg, old, lists)
	if err != nil && len(lists) > 0 {
		var bare *settings
		if bare, err = newSettings(cfg, old, nil); err == nil {
			s = bare
		}
	}
	if err != nil {
		return nil, err
	}
	l.Keep(func(key string) bool {
		return slices.ContainsFunc(s.selector.providers, func(p *provider) bool { return listKey(p) == key })
	})
	return s, nil
}

// refresh asks the providers with discover for their models, and reports whether
// some have changed.
func (l *servers) refresh(ctx context.Context, s *settings) bool {
	var asked []*provider
	for _, p := range s.selector.providers {
		if p.isAsked() {
			asked = append(asked, p)
		}
	}
	changed := make([]bool, len(asked))
	discover.AtOnce(len(asked), func(i int) { changed[i] = l.refreshOne(ctx, s, asked[i]) })
	return slices.Contains(changed, true)
}

// refreshOne asks one provider, and reports whether its models have changed. A change
// of the outcome is logged. After a failure the last good list stays.
func (l *servers) refreshOne(ctx context.Context, s *settings, p *provider) (changed bool) {
	bounded, cancel := context.WithTimeoutCause(ctx, discoverPatience, &timeoutError{"no list of models", discoverPatience})
	defer cancel()
	c := l.of(p)
	// The servers with facts outside of the list are run by the operators.
	models, err := c.Ask(bounded, s.asks(p), !p.known)
	if ctx.Err() != nil {
		return false // Run ends
	}
	if err != nil {
		reason := askFailure(err)
		if known, news := c.Fail(reason); news {
			s.logger.Warn("a provider does not tell its models: the last good list stays", "provider", p.id, "error", reason, "models", known)
		}
		return false
	}
	changed, news := c.Learn(time.Now(), models)
	if news {
		s.logger.Info("a provider tells its models", "provider", p.id, "models", len(models))
	}
	return changed
}

// askFailure is the reason of a failed question, without addresses.
// The text stays the same from question to question, so that a change of it is
// news for the log.
func askFailure(err error) string {
	var status *discover.StatusError
	var timeout *timeoutError
	switch {
	case errors.As(err, &status), errors.Is(err, discover.ErrNoList), errors.As(err, &timeout):
		return redact.OneLine(err.Error(), 200)
	case dial.IsConnect(err):
		return redact.OneLine(networkReason(FailureConnect, err), 200)
	}
	return redact.OneLine(networkReason(FailureNetwork, err), 200)
}

// probe asks providers with models in cooldown for their list, shortly before the
// cooldown ends. A provider that is down stays in cooldown, so that no request has
// to find out. One that answers is due for the probe of a request.
func (l *servers) probe(ctx context.Context, s *settings) {
	now := time.Now()
	var asked []*provider
	for _, p := range s.selector.providers {
		if p.configured && !p.disabled && len(p.ending(now, time.Time{})) > 0 && len(p.ending(now, l.of(p).Answered(now, probeAhead))) > 0 {
			asked = append(asked, p)
		}
	}
	discover.AtOnce(len(asked), func(i int) { l.probeOne(ctx, s, asked[i]) })
}

// ending are the models whose cooldown for everybody is over soon, but after a time.
// A cooldown of a single caller is left to its requests.
func (p *provider) ending(now, after time.Time) []*model {
	var ending []*model
	for _, m := range p.models {
		if until, ok := m.track.Health.Suspended(); ok && until.Sub(now) < probeAhead && until.After(after) {
			ending = append(ending, m)
		}
	}
	return ending
}

// probeOne asks a provider, and holds the cooldowns that end soon if it is down.
//
// Before it asks, the replica takes the leases of the probes, so that the fleet asks once.
func (l *servers) probeOne(ctx context.Context, s *settings, p *provider) {
	models := p.ending(time.Now(), time.Time{})
	tracks := make([]*stats.Track, len(models))
	for i, m := range models {
		tracks[i] = m.track
	}
	back, ok := s.health.Lend(ctx, tracks, probePatience+probeAhead)
	if !ok {
		return // another replica probes, and tells
	}
	defer back()
	hold := func(d time.Duration) {
		for _, m := range models {
			m.track.Health.Hold(time.Now().Add(d), mostHold)
			s.health.Changed(m.track)
		}
	}
	c := l.of(p)
	listed := c.Listed()
	if listed {
		hold(probePatience + probeAhead) // no request comes before the answer
	}
	ctx, cancel := context.WithTimeoutCause(ctx, probePatience, &timeoutError{"no list of models", probePatience})
	defer cancel()
	_, err := c.Ask(ctx, s.asks(p), false)
	if isDown(err, listed) {
		hold(holdFor)
		return
	}
	now := time.Now()
	for _, m := range models {
		m.track.Health.Free(now)
		s.health.Changed(m.track)
	}
	c.Up(now, err)
}

// isDown reports whether a failed question shows that the provider is down. If it
// never had a list, only a failed connection shows that.
func isDown(err error, listed bool) bool {
	var status *discover.StatusError
	switch {
	case err == nil:
		return false
	case errors.As(err, &status):
		return listed && status.Status >= http.StatusInternalServerError
	}
	return listed || dial.IsConnect(err)
}

// asks are the ways to ask a provider: each key in each format.
func (s *settings) asks(p *provider) []discover.Ask {
	keys := p.askKeys()
	if len(keys) == 0 {
		keys = p.keyless
	}
	var ways []discover.Ask
	for _, k := range keys {
		for _, f := range []format{formatOpenAI, formatAnthropic} {
			if p.speaksFormat(f) {
				ways = append(ways, (&asker{s: s, p: p, key: k, format: f}).ask)
			}
		}
	}
	return ways
}

// asker sends the questions of one way: with the headers, the query parameters and
// the key of requests to the provider.
type asker struct {
	s      *settings
	p      *provider
	key    *apiKey
	format format
}

// ask sends one question. After a 401 the secrets are resolved again, as for
// requests.
//
// The caller closes the body.
func (q *asker) ask(ctx context.Context, question discover.Question) (*http.Response, error) {
	for again := false; ; again = true {
		a := new(attempt)
		req, err := q.request(ctx, question, a)
		if err != nil {
			return nil, errors.New(a.secrets.ScrubText(err.Error()))
		}
		resp, err := q.p.transport.RoundTrip(req)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode != http.StatusUnauthorized || again || !q.s.refreshed(ctx, a) {
			return resp, nil
		}
		resp.Body.Close()
	}
}

// request makes the HTTP request of a question.
//
// It goes the way of a client's request: the same address, headers, key and secrets. A
// provider with odd settings is asked as it is used.
func (q *asker) request(ctx context.Context, question discover.Question, a *attempt) (*http.Request, error) {
	in := &inbound{
		ctx: ctx, surface: &surface{format: q.format, root: question.Root}, path: question.Path,
		r: &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/v1/" + question.Path, RawQuery: question.Query}, Header: http.Header{
			"Accept": {"application/json"}, "User-Agent": {"aigateway"},
		}},
	}
	in.request = expr.Request{Method: in.r.Method, Path: in.r.URL.Path, Header: in.r.Header}
	o := outbound{s: q.s, in: in, trail: new(trail), model: &model{provider: q.p}, key: q.key, surface: in.surface, path: question.Path, form: q.p.forms.Uses()}
	o.templates = templates{secrets: q.s.secrets, set: &a.secrets}
	o.templates.in.Request, o.templates.in.Secret = &in.request, o.templates.secret
	u, err := o.upstreamURL(ctx, q.p)
	if err != nil {
		return nil, err
	}
	h, err := o.upstreamHeader(ctx, q.p, a)
	if err != nil {
		return nil, err
	}
	delete(h, "Content-Type")
	if q.format == formatAnthropic && h["Anthropic-Version"] == nil {
		h["Anthropic-Version"] = []string{translate.MessagesVersion}
	}
	req := (&http.Request{
		Method: http.MethodGet, URL: u, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: h, Host: q.p.base.Host, Body: http.NoBody,
	}).WithContext(ctx)
	if question.Body != nil {
		h["Content-Type"] = []string{"application/json"}
		req.Method, req.ContentLength = http.MethodPost, int64(len(question.Body))
		req.Body = io.NopCloser(bytes.NewReader(question.Body))
	}
	return req, nil
}

// serveModels answers GET models, and GET models/{id}. A slash at the end is part
// of the id only if a model has such an id.
func (s *selector) serveModels(w http.ResponseWriter, r *http.Request, id, requestID string) {
	f := clientFormat(r.Header)
	q := anyOf(f, clientCredential(r.Header).given())
	if id == "" {
		var entries []modellist.Entry
		for _, m := range s.offered(q) {
			entries = append(entries, m.entry())
		}
		if f != formatAnthropic {
			list := modellist.OpenAI(entries)
			if r.URL.Query().Has("client_version") {
				list.Models = &[]struct{}{}
			}
			writeJSON(w, list)
			return
		}
		page, err := modellist.Anthropic(entries, r.URL.Query())
		if err != nil {
			writeError(w, f, badPage(err), requestID)
			return
		}
		writeJSON(w, page)
		return
	}
	// The id itself comes first: it may end in a slash.
	bare := strings.TrimSuffix(id, "/")
	for _, name := range []string{id, bare} {
		m, ok := s.offeredAs(q, name)
		if !ok {
			continue
		}
		if e := m.entry(); f == formatAnthropic {
			writeJSON(w, e.Anthropic())
		} else {
			writeJSON(w, e.OpenAI())
		}
		return
	}
	writeError(w, f, errorf(CodeModelNotFound, "%s", s.unoffered(bare, q)), requestID)
}

// badPage is the error for a page of the list that cannot be had.
func badPage(err error) *Error {
	var unknown *modellist.UnknownError
	if errors.As(err, &unknown) {
		unknown.ID = shown(unknown.ID)
		return errorf(CodeModelNotFound, "%v", unknown)
	}
	return errorf(CodeInvalidRequestBody, "%v", err)
}

// entry is a name in the list, with the facts of the first model behind it.
func (n named) entry() modellist.Entry {
	v := n.view
	e := modellist.Entry{Name: n.name, Author: v.AuthorID, DisplayName: v.DisplayName, Facts: modellist.Facts{
		ContextWindow: v.MaxContextWindow, MaxOutputTokens: v.MaxOutputTokens, InputModalities: v.InputModalities,
		OutputModalities: v.OutputModalities, SupportedFeatures: v.SupportedFeatures, Providers: n.providers,
	}}
	if n.pricing != nil {
		e.Pricing = n.pricing
	}
	return e
}

// writeJSON answers 200 with a value. The client may be gone.
func writeJSON(w http.ResponseWriter, v any) {
	body := mustJSON(v)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body) //nolint:errcheck // the client is gone: nobody is left to tell
}
