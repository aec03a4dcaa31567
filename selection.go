package aigateway

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aigateway-go/aigateway/internal/expr"
	"github.com/aigateway-go/aigateway/internal/fleet"
	"github.com/aigateway-go/aigateway/internal/pins"
	"github.com/aigateway-go/aigateway/internal/stats"
	"github.com/aigateway-go/aigateway/internal/usage"
)

// selector chooses the models and keys of a request. It reads the catalog, the
// restriction flags and the strategies, and nothing else of the gateway: it does no
// I/O and counts nothing. It is safe for concurrent use.
type selector struct {
	*catalog

	onlyProviders bool // only_allow_configured_providers
	onlyModels    bool // only_allow_configured_models
	// passThrough is set if no provider is configured: the client's own key goes to
	// the provider that it asks for.
	passThrough bool
	// sole is the one allowed provider, if exactly one is allowed and it lists no
	// models. It gets the unlisted names.
	sole *provider

	strategies    []strategy
	keyStrategies []keyStrategy
	usesMetrics   bool // whether a strategy for models does
	uses          expr.Uses

	aliases   aliases
	fallbacks bool // whether a model has some

	memo     memo
	indexes  sync.Map // nameKey to *expr.Names
	recorder *stats.Recorder
	metrics  *stats.Snapshot[*metrics]
	pins     *pinTable
	told     *toldPins       // nil without a fleet
	rand     func(n int) int // nil: math/rand/v2; tests give one
}

// strategy is one entry of model_selection.
type strategy struct {
	text string
	eval *expr.Strategy
}

// keyStrategy is one entry of api_key_selection.
type keyStrategy struct {
	text string
	eval *expr.KeyStrategy
}

// query is the part of a request that decides its candidates.
type query struct {
	surface *surface
	// names are the client's models, model first. Words that leave the choice to
	// the gateway are left out.
	names []string
	// credential is set if the client brought a key of its own.
	credential bool
	request    *expr.Request
	provider   *provider // that the request must go to; nil: any
	owner      uint64    // of pins: a keyed hash of the caller, 0 if callers are not told apart
}

// plan is the result of a selection.
type plan struct {
	candidates []*model
	rejections []rejection
	runs       []strategyRun
}

// strategyRun is one run of one strategy.
type strategyRun struct {
	strategy int    // index in selector.strategies, -1 if there are no strategies
	name     string // the client's name that it ran for
	chosen   []*model
	notes    []string
	err      error
	affinity *expr.Affinity[expr.Model] // nil unless sticky() placed the first model
}

// rejection is a model that cannot serve the request, with the reason.
type rejection struct {
	name     string    // as the client sent it, or the model's id
	provider *provider // nil if no provider knows the name
	reason   reason
}

// reason says why a model cannot serve a request.
type reason uint8

const (
	reasonNone reason = iota
	reasonUnknown
	reasonProviderNotAllowed
	reasonModelNotAllowed
	reasonProviderDisabled
	reasonModelDisabled
	reasonFormat
	reasonSurface
	reasonNoKey
	reasonOtherProvider
	reasonTooLong
	reasonElsewhere
	// The reasons below come only from Explain, about models able to serve the
	// request.
	reasonNotNamed
	reasonNotChosen
	reasonModality
	reasonNotConfigured
)

// String is the reason as a word for programs.
func (r reason) String() string {
	switch r {
	case reasonProviderNotAllowed:
		return string(CodeProviderNotAllowed)
	case reasonModelNotAllowed:
		return string(CodeModelNotAllowed)
	case reasonProviderDisabled:
		return "provider_disabled"
	case reasonModelDisabled:
		return "model_disabled"
	case reasonFormat:
		return "format_not_supported"
	case reasonSurface:
		return "surface_not_supported"
	case reasonNoKey, reasonOtherProvider:
		return string(CodeNoAPIKey)
	case reasonElsewhere:
		return "other_provider"
	case reasonNotNamed:
		return "not_named"
	case reasonNotChosen:
		return "not_chosen"
	case reasonModality:
		return "modality_not_supported"
	case reasonNotConfigured:
		return "not_configured"
	default:
		return string(CodeNoMatchingModels)
	}
}

// add appends models, each of them once. A model is not tried twice, however often
// it was asked for. The slice is not changed.
// From the second name on it compares each model with each.
func (p *plan) add(models []*model) {
	if len(p.candidates) == 0 {
		p.candidates = slices.Clip(models)
		return
	}
	for _, m := range models {
		if !slices.ContainsFunc(p.candidates, func(c *model) bool {
			return c == m || c.provider == m.provider && c.id == m.id
		}) {
			p.candidates = append(p.candidates, m)
		}
	}
}

// note appends the runs of a verdict. The verdict is shared and must not change;
// nearly all requests have the runs of one verdict and need no copy.
func (p *plan) note(runs []strategyRun) {
	if len(p.runs) == 0 {
		p.runs = slices.Clip(runs)
		return
	}
	p.runs = append(p.runs, runs...)
}

// resolved is the meaning of a name. Requests share it. Only its verdict is ever
// replaced.
type resolved struct {
	models   []*model
	rejected []rejection
	unlisted bool // nobody lists the name, so there can be any number of them

	once     sync.Once
	prepared []*expr.Prepared // the strategies over models
	tracks   []*stats.Track   // of models, nil for unlisted ones
	choice   choice
}

// maxMemo bounds the number of remembered names, as clients can write a name in
// many ways. Further names are resolved each time.
const maxMemo = 4096

// memo remembers the meaning of names, and the strategies' choice for each. It
// lives as long as its settings. A strategy that depends only on the catalog
// therefore runs once a name. A strategy that depends on metrics runs once a
// snapshot.
type memo struct {
	known sync.Map // memoKey to *resolved
	size  atomic.Int64
}

// memoKey holds all inputs to the models of a name. The name is empty for requests
// without a name.
type memoKey struct {
	surface    *surface
	name       string
	credential bool
}

// choice keeps the latest verdict on the models of a name.
type choice struct {
	verdict  atomic.Pointer[verdict]
	renewing atomic.Bool // whether a request makes the verdict anew
}

// verdict is the strategies' choice from some models.
// It is immutable, and shared by requests.
type verdict struct {
	runs   []strategyRun
	chosen []*model
	// metrics is the snapshot that it was made from. Nil if it depends on no
	// metrics and holds for ever.
	metrics *metrics
}

// get returns the remembered meaning, or finds and remembers it. Requests without a
// name have one entry a surface. It covers all models and is the dearest to find,
// so it is kept however many names there are. Unknown names are not kept: a flood
// of them would leave no room for the others.
//
// The size may be passed by a few entries, where several requests find new names
// at once.
func (m *memo) get(key memoKey, find func() *resolved) *resolved {
	if r, ok := m.known.Load(key); ok {
		return r.(*resolved)
	}
	r := find()
	if key.name != "" && (len(r.models) == 0 || r.unlisted || len(key.name) > 256 || m.size.Load() >= maxMemo) {
		return r
	}
	if first, loaded := m.known.LoadOrStore(key, r); loaded {
		return first.(*resolved)
	}
	m.size.Add(1)
	return r
}

// Bounds of the pins of a gateway. A pin takes about 250 bytes.
const (
	maxPins      = 65_536
	maxPinsOwner = maxPins / 16 // of one caller
	pinLife      = 10 * time.Minute
)

// pinTable remembers the models and keys that served a key of sticky(), unless they
// were the first of their order. The table outlives the settings.
type pinTable = pins.Table[pinned]

// newPins makes the table of a gateway.
func newPins() *pinTable { return pins.NewTable[pinned](maxPins, maxPinsOwner, pinLife) }

// pinned is a model or a key, by the folded id of its provider and its own id.
type pinned struct{ provider, id string }

// pin is the model's identity in a pin. It outlives a reload, unlike a pointer.
func (m *model) pin() pinned  { return pinned{fold(m.provider.id), fold(m.id)} }
func (k *apiKey) pin() pinned { return pinned{k.provider, k.id} }

// modelPin is the place of a pin. Each name in requests has pins of its own,
// because its models differ.
func modelPin(owner, sum uint64, name string) pins.Key {
	return pins.Key{Caller: owner, Sum: sum ^ uint64(expr.Hash("model "+fold(name)))}
}

// keyPin is the place of a pin for a provider's keys.
func keyPin(owner, sum uint64, p *provider) pins.Key {
	return pins.Key{Caller: owner, Sum: sum ^ uint64(expr.Hash("key "+fold(p.id)))}
}

// modelPlace says how sticky() placed the model that served.
func modelPlace(a *expr.Affinity[expr.Model], served *model) expr.Place {
	switch served.view {
	case a.First:
		return expr.PlaceFirst
	case a.Pinned:
		return expr.PlacePinned
	}
	return expr.PlaceMoved
}

// keyPlace is modelPlace for keys. It compares ids, because each snapshot of the
// metrics has new views of the keys.
func keyPlace(a *expr.Affinity[expr.Key], served *apiKey) expr.Place {
	switch {
	case a.First != nil && a.First.ID == served.id:
		return expr.PlaceFirst
	case a.Pinned != nil && a.Pinned.ID == served.id:
		return expr.PlacePinned
	}
	return expr.PlaceMoved
}

// aliases are the operator's own names for lists of names.
type aliases struct {
	byName map[string][]string // by the folded name
	names  []string            // as in the config, sorted
}

// expand replaces aliases by their names, each alias once.
// The order is kept, with an alias's names in its place. Names stay as often as
// they are given: the plan takes each model once.
func (a *aliases) expand(names []string) []string {
	if len(a.byName) == 0 || !slices.ContainsFunc(names, a.has) {
		return names
	}
	var out []string
	seen := map[string]bool{}
	for _, name := range names {
		entries, ok := a.byName[fold(name)]
		switch {
		case !ok:
			out = append(out, name)
		case !seen[fold(name)]:
			seen[fold(name)] = true
			out = append(out, entries...)
		}
	}
	return out
}

// has reports whether a name is an alias. Case does not count.
func (a *aliases) has(name string) bool { return a.byName[fold(name)] != nil }

// metricsInterval is how old the metrics of a strategy may be. A choice made from
// them holds as long. It is short enough to follow requests in flight, and long
// enough to cost nothing under load.
const metricsInterval = 100 * time.Millisecond

// metrics is a snapshot of the models' measurements. A model is read when a
// strategy asks for it, and then keeps its figures.
type metrics struct {
	recorder *stats.Recorder
	at       time.Time
	models   sync.Map // *stats.Track to *expr.ModelMetrics
	keys     sync.Map // *stats.Track to *expr.Key
}

// newMetrics returns a source of snapshots.
func newMetrics(r *stats.Recorder) *stats.Snapshot[*metrics] {
	return stats.NewSnapshot(metricsInterval, func(now time.Time) *metrics {
		return &metrics{recorder: r, at: now}
	})
}

// of returns the metrics of a model. An unlisted model has no metrics, as nothing keeps
// a track for the names that clients make up until they are sent.
// A strategy sees the same figures from its first look at a model to the end of
// the snapshot.
func (s *metrics) of(m *model) *expr.ModelMetrics {
	if m.track == nil {
		return nil
	}
	if v, ok := s.models.Load(m.track); ok {
		return v.(*expr.ModelMetrics)
	}
	scopes := s.recorder.Read(m.track, s.at)
	v := &expr.ModelMetrics{
		Global:   metricsView(scopes.Global),
		Region:   metricsView(scopes.Region),
		Account:  metricsView(scopes.Account),
		Endpoint: metricsView(scopes.Endpoint),
		APIKeys:  make(map[string]*expr.KeyMetrics, len(m.provider.keys)),
	}
	for _, k := range m.provider.keys {
		v.APIKeys[k.id] = s.ofKey(k).Metrics
	}
	// Two requests may read the same model at once. Both get figures of the same time.
	s.models.Store(m.track, v)
	return v
}

// ofKey returns a key as strategies see it, with this gateway's measurements.
func (s *metrics) ofKey(k *apiKey) *expr.Key {
	if v, ok := s.keys.Load(k.track); ok {
		return v.(*expr.Key)
	}
	requests, tokens := k.track.Quota.Requests(s.at), k.track.Quota.Tokens(s.at)
	v, _ := s.keys.LoadOrStore(k.track, &expr.Key{ID: k.id, Metrics: &expr.KeyMetrics{
		Metrics: metricsView(k.track.Window(s.at)),
		Quota: expr.Quota{
			RemainingRequests: countView(requests.Remaining), LimitRequests: countView(requests.Limit),
			RemainingTokens: countView(tokens.Remaining), LimitTokens: countView(tokens.Limit),
		},
	}})
	return v.(*expr.Key)
}

// countView is a count for expressions. Nil: unknown.
func countView(c stats.Count) *int64 {
	if !c.Known {
		return nil
	}
	return &c.N
}

// metricsView translates a window into the words of expressions.
func metricsView(w stats.Window) expr.Metrics {
	return expr.Metrics{
		RequestCount: w.Requests,
		InFlight:     w.InFlight,
		Latency: expr.Latency{
			UpstreamMsAvg: w.Upstream.Avg, UpstreamMsP95: w.Upstream.P95,
			GatewayMsAvg: w.Gateway.Avg, GatewayMsP95: w.Gateway.P95,
			TimeToFirstTokenMsAvg: w.FirstToken.Avg, TimeToFirstTokenMsP95: w.FirstToken.P95,
			TimePerOutputTokenMsAvg: w.PerOutputToken.Avg, TimePerOutputTokenMsP95: w.PerOutputToken.P95,
		},
		ErrorRate: expr.ErrorRate{
			Total: w.Errors.Total, Timeout: w.Errors.Timeout, RateLimit: w.Errors.RateLimit,
			Client: w.Errors.Client, Server: w.Errors.Server,
		},
		Token: expr.Tokens{
			ProviderInput: w.Tokens.ProviderInput, ProviderOutput: w.Tokens.ProviderOutput,
			EstimatedInput: w.Tokens.EstimatedInput, EstimatedOutput: w.Tokens.EstimatedOutput,
		},
		CostUSD: w.CostUSD,
	}
}

// TokenCounter counts the tokens of a prompt, for max_input_tokens. It is called
// once for each candidate, from many goroutines at once, and only if the body has
// more bytes than the limit has tokens.
//
// If nil, the tokens are estimated from the body's bytes. Against OpenAI's
// o200k_base the estimate is up to a quarter too high, and hardly ever too low:
//
//   - English, code and chats with tools: about 20 % too high
//   - other languages: 10 to 15 %
//   - Japanese, Korean, emoji, numbers and logs: 0 to 10 %
//
// Random letters are estimated at half of their tokens. An image, a recording or a
// document counts 1600 tokens, about the most for an image. Recordings and
// documents may cost far more: bring a counter for them.
type TokenCounter interface {
	// CountTokens returns the number of tokens of a request's body for a model. The
	// body is the client's, JSON or a form. It must not be changed or kept. An
	// error refuses the candidate, like a prompt that is too large.
	CountTokens(ctx context.Context, model string, body []byte) (int64, error)
}

// TokenCounterFunc makes a function a [TokenCounter].
type TokenCounterFunc func(ctx context.Context, model string, body []byte) (int64, error)

// CountTokens calls f.
func (f TokenCounterFunc) CountTokens(ctx context.Context, model string, body []byte) (int64, error) {
	return f(ctx, model, body)
}

// estimate counts by the scripts and lengths of words. A tokenizer would be too
// large to ship.
type estimate struct{}

// CountTokens estimates, whatever the model is.
func (estimate) CountTokens(_ context.Context, _ string, body []byte) (int64, error) {
	return usage.Estimate(body), nil
}

// isOwn reports whether a key is the caller's own: it depends on the request, or is the
// client's.
func (s *selector) isOwn(k *apiKey) bool { return k.perRequest || k.none && s.passThrough }

// toldPins tells the fleet of the pins of sticky(). nil tells nobody.
type toldPins struct {
	fleet *fleet.Fleet
	words *fleet.Newest
}

// pinWord is a pin in a sealed record.
type pinWord struct {
	Caller   uint64 `json:"c"`
	Sum      uint64 `json:"s"`
	Provider string `json:"p,omitempty"` // empty: the pin is dropped
	ID       string `json:"i,omitempty"`
}

// tellPins shares the pins of a table with the fleet: those of others go into the
// table, and tell sends this replica's own. Without a fleet there is nobody to tell.
//
// A record in another form is passed over.
func tellPins(f *fleet.Fleet, t *pinTable) *toldPins {
	return &toldPins{f, f.Newest("p", func(value string, _ time.Duration) {
		var w pinWord
		if json.Unmarshal([]byte(value), &w) != nil {
			return
		}
		if at := (pins.Key{Caller: w.Caller, Sum: w.Sum}); w.Provider == "" {
			t.Drop(at)
		} else {
			t.Set(time.Now(), at, pinned{w.Provider, w.ID})
		}
	})}
}

// tell tells of a pin. A zero value says that it was dropped.
// The record lives as long as the pin itself. Its name is a hash, so the caller and the
// session stay hidden from the shared store.
func (p *toldPins) tell(now time.Time, at pins.Key, v pinned) {
	if p == nil {
		return
	}
	id := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, at.Caller), at.Sum)
	value, _ := json.Marshal(pinWord{at.Caller, at.Sum, v.provider, v.id}) // of plain fields
	p.words.Put(now, p.fleet.Of("pin", string(id)), string(value), pinLife)
}
