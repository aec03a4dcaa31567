package aigateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aigateway-go/aigateway/internal/dial"
	"github.com/aigateway-go/aigateway/internal/discover"
	"github.com/aigateway-go/aigateway/internal/expr"
	"github.com/aigateway-go/aigateway/internal/redact"
	"github.com/aigateway-go/aigateway/internal/stats"
)

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
	// quietFor is the pause after an answer that says nothing about the provider.
	quietFor = time.Minute
	// askedAtOnce bounds the providers that are asked at a time.
	askedAtOnce = 8
	// mostTries bounds the keys and forms of keys for one question.
	mostTries = 4
)

// servers is the memory of the questions to providers. It outlives settings. It is
// safe for concurrent use.
//
// mu guards the map, and each server has locks of its own. A lock of a server
// may be taken under mu, and not the other way round.
type servers struct {
	mu    sync.Mutex
	byKey map[string]*server // by listKey
}

// server is a provider at an address.
//
// asking guards facts and try, and mu all fields below it.
type server struct {
	asking sync.Mutex // held by a question
	facts  discover.Server
	try    int // of the latest good answer

	mu     sync.Mutex
	models foundModels
	listed bool      // it has answered with a list
	at     time.Time // of the latest list that was asked for
	err    string    // why the latest question failed
	// Cooldowns that end before answer need no question: the provider was not known
	// to be down then. None is asked before quiet.
	answer, quiet time.Time
}

// of returns the memory of a provider.
//
// It makes one for a provider that was not asked before.
func (l *servers) of(p *provider) *server {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.byKey[listKey(p)]
	if s == nil {
		s = new(server)
		if l.byKey == nil {
			l.byKey = map[string]*server{}
		}
		l.byKey[listKey(p)] = s
	}
	return s
}

// lists are the last good answers.
// A server without an answer yet has a nil list.
func (l *servers) lists() modelLists {
	l.mu.Lock()
	defer l.mu.Unlock()
	lists := make(modelLists, len(l.byKey))
	for key, s := range l.byKey {
		s.mu.Lock()
		lists[key] = s.models
		s.mu.Unlock()
	}
	return lists
}

// forget drops the memory of servers that the settings do not have.
func (l *servers) forget(s *settings) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key := range l.byKey {
		if !slices.ContainsFunc(s.selector.providers, func(p *provider) bool { return listKey(p) == key }) {
			delete(l.byKey, key)
		}
	}
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
	l.forget(s)
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
	atOnce(len(asked), func(i int) { changed[i] = l.of(asked[i]).refresh(ctx, s, asked[i]) })
	return slices.Contains(changed, true)
}

// atOnce calls f with the numbers below n, some at a time.
//
// It returns when all calls have returned.
func atOnce(n int, f func(i int)) {
	var all sync.WaitGroup
	turns := make(chan struct{}, askedAtOnce)
	for i := range n {
		turns <- struct{}{}
		all.Go(func() {
			defer func() { <-turns }()
			f(i)
		})
	}
	all.Wait()
}

// refresh asks one provider, and reports whether its models have changed. A change
// of the outcome is logged.
//
// After a failure the last good list stays. So a provider that is away loses no model.
//
// The first list and the first one after a failure are logged. Further ones are
// silent.
func (v *server) refresh(ctx context.Context, s *settings, p *provider) (changed bool) {
	bounded, cancel := context.WithTimeoutCause(ctx, discoverPatience, &timeoutError{"no list of models", discoverPatience})
	defer cancel()
	models, err := v.ask(bounded, s, p, true)
	if ctx.Err() != nil {
		return false // Run ends
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	before := v.err
	v.err = ""
	if err != nil {
		if v.err = askFailure(err); v.err != before {
			s.logger.Warn("a provider does not tell its models: the last good list stays", "provider", p.id, "error", v.err, "models", len(v.models))
		}
		return false
	}
	found := make(foundModels, len(models))
	for i, m := range models {
		found[i] = foundModel(m)
	}
	changed = !reflect.DeepEqual(v.models, found)
	if before != "" || !v.listed {
		s.logger.Info("a provider tells its models", "provider", p.id, "models", len(models))
	}
	v.models, v.listed, v.at = found, true, time.Now()
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
		if p.configured && !p.disabled && len(p.ending(now, time.Time{})) > 0 && len(p.ending(now, l.of(p).answered(now))) > 0 {
			asked = append(asked, p)
		}
	}
	atOnce(len(asked), func(i int) { l.of(asked[i]).probe(ctx, s, asked[i]) })
}

// answered is the time up to which cooldowns need no question.
func (v *server) answered(now time.Time) time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	if now.Before(v.quiet) {
		return now.Add(probeAhead)
	}
	return v.answer
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

// probe asks a provider, and holds the cooldowns that end soon if it is down.
//
// Before it asks, the replica takes the leases of the probes, so that the fleet asks once.
func (v *server) probe(ctx context.Context, s *settings, p *provider) {
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
	v.mu.Lock()
	listed := v.listed
	v.mu.Unlock()
	if listed {
		hold(probePatience + probeAhead) // no request comes before the answer
	}
	ctx, cancel := context.WithTimeoutCause(ctx, probePatience, &timeoutError{"no list of models", probePatience})
	defer cancel()
	_, err := v.ask(ctx, s, p, false)
	if isDown(err, listed) {
		hold(holdFor)
		return
	}
	now := time.Now()
	for _, m := range models {
		m.track.Health.Free(now)
		s.health.Changed(m.track)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.answer = now
	if err == nil {
		v.listed = true
	} else {
		v.quiet = now.Add(quietFor)
	}
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

// ask asks a provider with one of its keys, in one of its formats. It begins with
// those of the latest good answer. Another is tried after a refusal.
//
// One question at a time goes to a server. Another caller waits for its end.
func (v *server) ask(ctx context.Context, s *settings, p *provider, deep bool) ([]discover.Model, error) {
	v.asking.Lock()
	defer v.asking.Unlock()
	tries := p.askTries()
	var first error
	for i := range min(len(tries), mostTries) {
		at := (v.try + i) % len(tries)
		q := &asker{s: s, p: p, askTry: tries[at]}
		// The servers with facts outside of the list are run by the operators.
		models, err := v.facts.Models(ctx, q.ask, deep && !p.known)
		if err == nil {
			v.try = at
			return models, nil
		}
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		if first == nil {
			first = err
		}
		var status *discover.StatusError
		if !errors.As(err, &status) || status.Status >= http.StatusInternalServerError {
			break
		}
	}
	return nil, first
}

// askTry is one way to ask a provider.
type askTry struct {
	key    *apiKey
	format format
}

// askTries are the ways to ask a provider: each key in each format.
func (p *provider) askTries() []askTry {
	keys := p.askKeys()
	if len(keys) == 0 {
		keys = p.keyless
	}
	var tries []askTry
	for _, k := range keys {
		for _, f := range []format{formatOpenAI, formatAnthropic} {
			if p.speaksFormat(f) {
				tries = append(tries, askTry{k, f})
			}
		}
	}
	return tries
}

// asker sends the questions of one try: with the headers, the query parameters and
// the key of requests to the provider.
type asker struct {
	s *settings
	p *provider
	askTry
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
	o := outbound{s: q.s, in: in, trail: new(trail), model: &model{provider: q.p}, key: q.key, surface: in.surface, path: question.Path, form: q.p.forms.uses()}
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
		h["Anthropic-Version"] = []string{messagesVersion}
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

// state describes the latest questions, for the debug page.
func (v *server) state(now time.Time) (models int, age time.Duration, err string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.at.IsZero() {
		age = now.Sub(v.at)
	}
	return len(v.models), age, v.err
}

// openaiModels is the answer of GET models in the OpenAI format.
type openaiModels struct {
	Object string        `json:"object"` // "list"
	Data   []openaiModel `json:"data"`
}

// openaiModel is one name of the list. OwnedBy is the author.
type openaiModel struct {
	ID      string `json:"id"`
	Object  string `json:"object"` // "model"
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
	modelFacts
}

// anthropicModels is the answer of GET models in the Anthropic format: a page of the
// list, of all models unless the client asks for less.
type anthropicModels struct {
	Data    []anthropicModel `json:"data"`
	HasMore bool             `json:"has_more"`
	FirstID *string          `json:"first_id"`
	LastID  *string          `json:"last_id"`
}

// anthropicModel is one name of the list.
type anthropicModel struct {
	Type        string `json:"type"` // "model"
	ID          string `json:"id"`
	DisplayName string `json:"display_name"`
	CreatedAt   string `json:"created_at"`
	modelFacts
}

// modelFacts are the known facts of a model: those of the first model behind its
// name. Unknown facts are left out.
type modelFacts struct {
	ContextWindow     int64    `json:"context_window,omitempty"` // tokens
	MaxOutputTokens   int64    `json:"max_output_tokens,omitempty"`
	InputModalities   []string `json:"input_modalities,omitempty"`
	OutputModalities  []string `json:"output_modalities,omitempty"`
	SupportedFeatures []string `json:"supported_features,omitempty"`
	Pricing           *Pricing `json:"pricing,omitempty"` // as in a config
	Providers         []string `json:"providers"`         // all that the name may lead to
}

// serveModels answers GET models, and GET models/{id}. A slash at the end is part
// of the id only if a model has such an id.
func (s *selector) serveModels(w http.ResponseWriter, r *http.Request, id, requestID string) {
	f := clientFormat(r.Header)
	q := anyOf(f, clientCredential(r.Header).given())
	if id == "" {
		models := s.offered(q)
		if f != formatAnthropic {
			writeJSON(w, openaiList(models))
			return
		}
		page, err := pageOf(models, r.URL.Query())
		if err != nil {
			writeError(w, f, err, requestID)
			return
		}
		writeJSON(w, page)
		return
	}
	// The id itself comes first: it may end in a slash.
	bare := strings.TrimSuffix(id, "/")
	for _, name := range []string{id, bare} {
		m, ok := s.offeredAs(q, name)
		switch {
		case !ok:
			continue
		case f == formatAnthropic:
			writeJSON(w, m.anthropic())
		default:
			writeJSON(w, m.openai())
		}
		return
	}
	writeError(w, f, errorf(CodeModelNotFound, "%s", s.unoffered(bare, q)), requestID)
}

// openaiList is the whole list. The format has no pages of models.
func openaiList(models []named) openaiModels {
	list := openaiModels{Object: "list", Data: []openaiModel{}}
	for _, m := range models {
		list.Data = append(list.Data, m.openai())
	}
	return list
}

// maxPage is the largest limit of a page in the Anthropic API.
const maxPage = 1000

// pageOf is the page that a client asks for by limit, and by after_id or before_id. A page
// before an id ends next to it.
func pageOf(models []named, query url.Values) (anthropicModels, *Error) {
	page := anthropicModels{Data: []anthropicModel{}}
	after, before, limit := query.Get("after_id"), query.Get("before_id"), len(models)
	if after != "" && before != "" {
		return page, errorf(CodeInvalidRequestBody, "the query has both after_id and before_id: ask for one direction")
	}
	if asked := query.Get("limit"); asked != "" {
		n, err := strconv.Atoi(asked)
		if err != nil || n < 1 || n > maxPage {
			return page, errorf(CodeInvalidRequestBody, "limit must be a number from 1 to %d", maxPage)
		}
		limit = min(n, limit)
	}
	if cursor := after + before; cursor != "" {
		at := slices.IndexFunc(models, func(m named) bool { return fold(m.name) == fold(cursor) })
		switch {
		case at < 0:
			return page, errorf(CodeModelNotFound, "after_id or before_id: the list has no model %q", shown(cursor))
		case before == "":
			models = models[at+1:]
		default:
			models = models[:at]
		}
	}
	if page.HasMore = len(models) > limit; page.HasMore && before != "" {
		models = models[len(models)-limit:]
	} else if page.HasMore {
		models = models[:limit]
	}
	for _, m := range models {
		page.Data = append(page.Data, m.anthropic())
	}
	if n := len(page.Data); n > 0 {
		page.FirstID, page.LastID = &page.Data[0].ID, &page.Data[n-1].ID
	}
	return page, nil
}

// openai uses zero as the date: the catalog has no dates.
func (n named) openai() openaiModel {
	return openaiModel{ID: n.name, Object: "model", OwnedBy: n.view.AuthorID, modelFacts: n.facts()}
}

// anthropic uses the start of Unix time as the date: the catalog has no dates, but
// the SDKs require one.
func (n named) anthropic() anthropicModel {
	return anthropicModel{
		Type: "model", ID: n.name, DisplayName: given(n.view.DisplayName, n.name), CreatedAt: "1970-01-01T00:00:00Z", modelFacts: n.facts(),
	}
}

// facts are the members that both formats of the answer have.
func (n named) facts() modelFacts {
	v := n.view
	return modelFacts{
		ContextWindow: v.MaxContextWindow, MaxOutputTokens: v.MaxOutputTokens, InputModalities: v.InputModalities,
		OutputModalities: v.OutputModalities, SupportedFeatures: v.SupportedFeatures, Pricing: n.pricing, Providers: n.providers,
	}
}

// writeJSON answers 200 with a value. The client may be gone.
func writeJSON(w http.ResponseWriter, v any) {
	body := mustJSON(v)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body) //nolint:errcheck // the client is gone: nobody is left to tell
}
