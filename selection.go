package aigateway

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/aigateway-go/aigateway/internal/expr"
	"github.com/aigateway-go/aigateway/internal/stats"
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
