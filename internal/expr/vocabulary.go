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

// ModelMetrics is a snapshot of how a model did lately, in the four scopes.
type ModelMetrics struct {
	Global, Region, Account, Endpoint Metrics

	// APIKeys is keyed by [Key.ID]. It should hold every key of the model's
	// provider, used or not: asking for another id is a run-time error, which
	// is how a mistyped id is found.
	APIKeys map[string]*KeyMetrics
}

// Metrics is one scope of a snapshot. The zero value means that nothing was
// measured.
type Metrics struct {
	RequestCount int64
	InFlight     int64 // requests under way at the time of the snapshot
	Latency      Latency
	ErrorRate    ErrorRate
	Token        Tokens
}

// Latency holds milliseconds.
type Latency struct {
	UpstreamMsAvg, UpstreamMsP95                     float64
	GatewayMsAvg, GatewayMsP95                       float64
	TimeToFirstTokenMsAvg, TimeToFirstTokenMsP95     float64
	TimePerOutputTokenMsAvg, TimePerOutputTokenMsP95 float64
}

// ErrorRate holds fractions of all requests, from 0 to 1.
type ErrorRate struct {
	Total, Timeout, RateLimit, Client, Server float64
}

// Tokens counts tokens, as reported by the provider and as estimated before
// the request was sent.
type Tokens struct {
	ProviderInput, ProviderOutput, EstimatedInput, EstimatedOutput int64
}

// KeyMetrics is what was measured with one API key.
type KeyMetrics struct {
	Metrics
	Quota Quota
}

// Quota is what the provider last said about a key's limits. Nil is unknown.
type Quota struct {
	RemainingRequests, LimitRequests *int64
	RemainingTokens, LimitTokens     *int64
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
}

// Input is what one evaluation of a [Strategy] works on.
type Input struct {
	Models    []*Model // what `ai.models` is, in this order
	Providers []*Provider
	Authors   []*Author

	// Metrics is asked at most once per model and evaluation, from the
	// goroutine of Eval. A nil func, and a nil answer, read as all zeros.
	Metrics func(*Model) *ModelMetrics

	// Request may be nil: all fields empty.
	Request *Request

	// Rand returns a number in [0, n). If nil, math/rand/v2 is used.
	Rand func(n int) int
}

// KeyInput is what one evaluation of a [KeyStrategy] works on.
type KeyInput struct {
	Keys    []*Key          // what `ai.keys` is, in this order
	Request *Request        // may be nil
	Rand    func(n int) int // see [Input]
}

// TemplateInput is what one evaluation of a [Template] works on.
type TemplateInput struct {
	Request *Request // may be nil

	// Secret answers secrets.get(vault, name), from the goroutine of Eval and
	// with its context. Its errors come out of Eval so that errors.Is and
	// errors.As find them. If nil, every secret is an error.
	Secret func(ctx context.Context, vault, name string) (string, error)
}
