package expr

import (
	"context"
	"net/http"
)

// Model is one model at one provider, as a strategy sees it.
//
// All types of this file are plain data. They must not change after they were
// handed to an evaluation. Many goroutines may read them. The pointer of a
// [Model] or [Key] is its identity, and evaluations answer with the given
// pointers.
type Model struct {
	ID        string
	IDAliases []string

	// Provider serves the model. Nil reads as a provider without an id.
	Provider *Provider

	AuthorID        string
	AuthorIDAliases []string

	DisplayName string
	Description string

	// Known says the model is in the catalog. Custom says it is in the
	// configuration only.
	Known, Custom bool

	// Metadata is the model's own. The provider's metadata shows through for
	// missing top-level keys.
	Metadata map[string]any

	InputModalities   []string
	OutputModalities  []string
	SupportedFeatures []string

	// MaxContextWindow and MaxOutputTokens count tokens; zero is unknown.
	MaxContextWindow, MaxOutputTokens int64

	ParameterCount      int64
	Quantization        string
	DataTrainingPolicy  string
	DataRetentionDays   int64
	DataRetentionPolicy string

	// Pricing is nil without a known price.
	Pricing *Pricing

	Datacenters []Datacenter
}

// noProvider stands for the provider of a model without one. It is never changed.
var noProvider = new(Provider)

func (m *Model) provider() *Provider {
	if m.Provider == nil {
		return noProvider
	}
	return m.Provider
}

// Provider is a service with models.
type Provider struct {
	ID            string
	IDAliases     []string
	DisplayName   string
	Description   string
	Website       string
	Metadata      map[string]any
	Known, Custom bool

	// Shadowed is set if the id is a name of another provider.
	Shadowed bool
}

// Author made a model. Another provider may serve it.
type Author struct {
	ID          string
	IDAliases   []string
	DisplayName string
}

// Pricing holds prices in USD per million tokens. A nil price is unknown, and
// not free.
type Pricing struct {
	Input, Output                   *float64
	InputCacheRead, InputCacheWrite *float64
	InputBatch, OutputBatch         *float64

	// Tools holds prices in USD per use. The price type
	// "tools.web_search.per_search_call" is the key
	// "web_search.per_search_call".
	Tools map[string]float64
}

// Datacenter is one location of a model.
type Datacenter struct {
	CountryCode string // ISO 3166-1 alpha-2
	Region      string // the provider's own name for the region
}

// Key is one API key of a provider. The vocabulary does not hold its value.
type Key struct {
	ID      string      // a hash, safe to print
	Metrics *KeyMetrics // nil reads as nothing measured, no quota known
}

// Request is the client's request as `req` and `conn` show it.
type Request struct {
	Method   string
	Path     string // the decoded path of the URL
	Host     string
	ID       string
	ClientIP string

	// Header is read only by expressions that mention it, and never copied.
	Header http.Header

	// Caller is req.caller: the sender's name, '' if callers are not told
	// apart.
	Caller string

	// Session answers req.session, and AI answers req.ai. An evaluation calls
	// them each time an expression reads them, from its own goroutine. Nil
	// functions answer '' and zero facts.
	Session func() string
	AI      func() *RequestFacts
}

// session is req.session.
func (r *Request) session() string {
	if r.Session == nil {
		return ""
	}
	return r.Session()
}

// facts is req.ai, never nil.
func (r *Request) facts() *RequestFacts {
	if r.AI != nil {
		if f := r.AI(); f != nil {
			return f
		}
	}
	return new(RequestFacts)
}

// Input is the material of one evaluation of a [Strategy]. All functions are
// called from the goroutine of the evaluation.
type Input struct {
	Models    []*Model // `ai.models`, in this order
	Providers []*Provider
	Authors   []*Author

	// Metrics is asked at most once per model and evaluation. A nil func, and a
	// nil answer, read as all zeros.
	Metrics func(*Model) *ModelMetrics

	// OrderOnly leaves [Selection.Models] empty, for callers with lists of their own.
	OrderOnly bool

	// Snapshot is the number of the snapshot behind Metrics: nanoseconds since
	// 1970. Results on metrics are kept as long as the number stays. 0 switches
	// this off.
	Snapshot int64

	// InFlight returns the requests in flight at Models[i] at this moment. Nil
	// reads as zero.
	InFlight func(i int) int64

	// Pinned returns the model of a pinned key, or nil. The key is
	// [Affinity.Key]. A nil func has no pins.
	Pinned func(key uint64) *Model

	// Request may be nil: all fields empty.
	Request *Request

	// Rand returns a number in [0, n). If nil, math/rand/v2 is used. Tests give
	// one of their own.
	Rand func(n int) int
}

// KeyInput is the material of one evaluation of a [KeyStrategy], see [Input].
type KeyInput struct {
	Keys     []*Key // `ai.keys`, in this order
	InFlight func(i int) int64
	Pinned   func(key uint64) *Key
	Request  *Request
	Rand     func(n int) int
}

// TemplateInput is the material of one evaluation of a [Template].
type TemplateInput struct {
	Request *Request // may be nil

	// Secret answers secrets.get(vault, name), from the goroutine of Eval and
	// with its context. Its errors come out of Eval for errors.Is and
	// errors.As. If nil, every secret is an error.
	Secret func(ctx context.Context, vault, name string) (string, error)
}
