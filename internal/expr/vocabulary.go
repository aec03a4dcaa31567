package expr

import (
	"context"
	"net/http"
)

// Model is one model at one provider, as a strategy sees it.
//
// All types of this file are plain data. They must not change once they were
// handed to an evaluation, which may happen from many goroutines at once; the
// pointer of a [Model] or [Key] is its identity, and evaluations answer with
// the pointers that they were given.
type Model struct {
	ID        string
	IDAliases []string

	// Provider is where this model is reached. Nil reads as a provider
	// without an id.
	Provider *Provider

	AuthorID        string
	AuthorIDAliases []string

	DisplayName string
	Description string

	// Known says that the model is in the catalog, Custom that it is in the
	// configuration alone.
	Known, Custom bool

	// Metadata is the model's own. Where it lacks a top-level key, the key of
	// the provider's metadata shows through.
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

	// Pricing is nil where no price at all is known.
	Pricing *Pricing

	Datacenters []Datacenter
}

// Provider is a service that has models.
type Provider struct {
	ID            string
	IDAliases     []string
	DisplayName   string
	Description   string
	Website       string
	Metadata      map[string]any
	Known, Custom bool

	// Shadowed is set where the id is a name of another provider.
	Shadowed bool
}

// Author is who made a model, which need not be who serves it.
type Author struct {
	ID          string
	IDAliases   []string
	DisplayName string
}

// Pricing holds prices in USD per million tokens. A nil price is unknown,
// which is not the same as free.
type Pricing struct {
	Input, Output                   *float64
	InputCacheRead, InputCacheWrite *float64
	InputBatch, OutputBatch         *float64

	// Tools holds prices in USD per use. The price type
	// "tools.web_search.per_search_call" is the key
	// "web_search.per_search_call".
	Tools map[string]float64
}

// Datacenter is one place where a model runs.
type Datacenter struct {
	CountryCode string // ISO 3166-1 alpha-2
	Region      string // the provider's own name for the region
}

// Key is one API key of a provider. Its value is no part of the vocabulary.
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

	// Header is read only where an expression asks for it, and never copied.
	Header http.Header

	// Caller is req.caller: who asks, '' where nobody is told apart.
	Caller string

	// Session answers req.session, and AI answers req.ai. They are called from
	// the goroutine of the evaluation, once for each time that an expression
	// reads them, and never else. If nil, the session is '' and all facts are
	// zero.
	Session func() string
	AI      func() *RequestFacts
}

func (r *Request) session() string {
	if r.Session == nil {
		return ""
	}
	return r.Session()
}

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

	// Snapshot numbers the snapshot that Metrics reads: nanoseconds since 1970.
	// Results that depend on metrics are kept as long as the number stays. 0
	// keeps none.
	Snapshot int64

	// InFlight returns the requests that Models[i] serves at this moment. If
	// nil, nobody serves any.
	InFlight func(i int) int64

	// Pinned returns the model that served the key of sticky() last, or nil. The
	// key is [Affinity.Key]. If nil, no key is pinned.
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
	// with its context. Its errors come out of Eval so that errors.Is and
	// errors.As find them. If nil, every secret is an error.
	Secret func(ctx context.Context, vault, name string) (string, error)
}
