package expr

import (
	"net/http"

	"github.com/stretchr/testify/assert"
)

func ptr[T any](v T) *T { return &v }

// fixture is a small catalog, in the order in which `ai.models` has it:
//
//	openai:gpt-4o, openai:gpt-4o-mini, anthropic:claude-sonnet-4-5,
//	google:gemini-2.5-flash, ollama:llama3.2:1b, azure:gpt-4o
type fixture struct {
	providers []*Provider
	authors   []*Author
	models    []*Model
	metrics   map[*Model]*ModelMetrics
}

func newFixture() *fixture {
	openai := &Provider{ID: "openai", IDAliases: []string{"oai"}, DisplayName: "OpenAI", Website: "https://openai.com", Known: true, Metadata: map[string]any{"tier": "gold", "limits": map[string]any{"rpm": 500.0}}}
	anthropic := &Provider{ID: "anthropic", DisplayName: "Anthropic", Known: true}
	google := &Provider{ID: "google", IDAliases: []string{"gemini"}, Known: true, Metadata: map[string]any{"tier": "silver"}}
	ollama := &Provider{ID: "ollama", Custom: true, Description: "under the desk"}
	azure := &Provider{ID: "azure", Custom: true, Metadata: map[string]any{"tier": "bronze", "weight": 7.0}}
	us := []Datacenter{{CountryCode: "US", Region: "us-east-1"}, {CountryCode: "US", Region: "us-west-2"}}
	eu := []Datacenter{{CountryCode: "DE", Region: "eu-central-1"}}
	f := &fixture{
		providers: []*Provider{openai, anthropic, google, ollama, azure},
		authors: []*Author{
			{ID: "openai", DisplayName: "OpenAI"}, {ID: "anthropic"}, {ID: "google", IDAliases: []string{"deepmind"}}, {ID: "meta"},
		},
		models: []*Model{
			{
				ID: "gpt-4o", IDAliases: []string{"gpt-4o-2024-11-20"}, Provider: openai, AuthorID: "openai", Known: true,
				DisplayName: "GPT-4o", Description: "flagship",
				Metadata:        map[string]any{"tier": "platinum", "team": map[string]any{"name": "search", "size": 3.0}, "a.b": "dotted"},
				InputModalities: []string{"text", "image"}, OutputModalities: []string{"text"},
				SupportedFeatures: []string{"tool-calling", "vision"}, MaxContextWindow: 128000, MaxOutputTokens: 16384,
				Pricing:     &Pricing{Input: ptr(2.5), Output: ptr(10.0), InputCacheRead: ptr(1.25), Tools: map[string]float64{"web_search.per_search_call": 0.01}},
				Datacenters: us,
			},
			{
				ID: "gpt-4o-mini", Provider: openai, AuthorID: "openai", Known: true,
				InputModalities: []string{"text"}, OutputModalities: []string{"text"},
				SupportedFeatures: []string{"tool-calling"}, MaxContextWindow: 128000, MaxOutputTokens: 16384,
				Pricing: &Pricing{Input: ptr(0.15), Output: ptr(0.6), InputBatch: ptr(0.075), OutputBatch: ptr(0.3)}, Datacenters: us,
			},
			{
				ID: "claude-sonnet-4-5", IDAliases: []string{"claude-sonnet-4-5-20250929"}, Provider: anthropic, AuthorID: "anthropic", Known: true,
				Metadata:        map[string]any{"weight": 3.0},
				InputModalities: []string{"text", "image", "pdf"}, OutputModalities: []string{"text"},
				SupportedFeatures: []string{"tool-calling", "vision", "reasoning"}, MaxContextWindow: 200000, MaxOutputTokens: 64000,
				Pricing: &Pricing{Input: ptr(3.0), Output: ptr(15.0), InputCacheRead: ptr(0.3), InputCacheWrite: ptr(3.75)}, Datacenters: append(us[:1:1], eu...),
				DataTrainingPolicy: "never", DataRetentionDays: 30, DataRetentionPolicy: "logs",
			},
			{
				ID: "gemini-2.5-flash", Provider: google, AuthorID: "google", AuthorIDAliases: []string{"deepmind"}, Known: true,
				InputModalities: []string{"text", "image", "audio"}, OutputModalities: []string{"text"},
				SupportedFeatures: []string{"tool-calling", "vision"}, MaxContextWindow: 1048576, MaxOutputTokens: 65536,
				Pricing: &Pricing{Input: ptr(0.15), Output: ptr(2.5)}, Datacenters: eu,
			},
			{
				ID: "llama3.2:1b", Provider: ollama, AuthorID: "meta", Custom: true,
				InputModalities: []string{"text"}, OutputModalities: []string{"text"},
				ParameterCount: 1_000_000_000, Quantization: "q4_0", Metadata: map[string]any{"weight": "heavy", "gpu": true},
			},
			{
				ID: "gpt-4o", Provider: azure, AuthorID: "openai", Custom: true, Known: true,
				InputModalities: []string{"text"}, OutputModalities: []string{"text"},
				Pricing: &Pricing{Output: ptr(9.0)},
			},
		},
		metrics: map[*Model]*ModelMetrics{},
	}
	for i, m := range f.models[:4] {
		n := float64(i + 1)
		f.metrics[m] = &ModelMetrics{
			Global: Metrics{
				RequestCount: int64(100 * (i + 1)), InFlight: int64(i),
				Latency:   Latency{UpstreamMsAvg: 400 * n, UpstreamMsP95: 900 * n, TimeToFirstTokenMsAvg: 500 / n, TimePerOutputTokenMsP95: n},
				ErrorRate: ErrorRate{Total: 0.01 * n, RateLimit: 0.004 * n},
				Token:     Tokens{ProviderInput: int64(1000 * (i + 1)), EstimatedOutput: int64(10 * i)},
			},
			Endpoint: Metrics{RequestCount: int64(i)},
			APIKeys:  map[string]*KeyMetrics{"k1": {Metrics: Metrics{RequestCount: int64(i)}, Quota: Quota{RemainingTokens: ptr(int64(1000 * i))}}},
		}
	}
	return f
}

func (f *fixture) input() *Input {
	return &Input{
		Models: f.models, Providers: f.providers, Authors: f.authors,
		Metrics: func(m *Model) *ModelMetrics { return f.metrics[m] },
		Request: newRequest(),
		Rand:    func(n int) int { return n - 1 },
	}
}

func newRequest() *Request {
	return &Request{
		Method: "POST", Path: "/v1/chat/completions", Host: "ai.example.com", ID: "req_1", ClientIP: "192.0.2.7",
		Header: http.Header{"X-Team": {"search", "ads"}, "X-Tier": {"gold"}},
	}
}

func newKeys() []*Key {
	return []*Key{
		{ID: "k1", Metrics: &KeyMetrics{
			Metrics: Metrics{RequestCount: 10, InFlight: 2, ErrorRate: ErrorRate{Total: 0.5, RateLimit: 0.4}, Latency: Latency{UpstreamMsAvg: 100}, Token: Tokens{ProviderInput: 7}},
			Quota:   Quota{RemainingRequests: ptr(int64(50)), LimitRequests: ptr(int64(1000)), RemainingTokens: ptr(int64(9000))},
		}},
		{ID: "k2", Metrics: &KeyMetrics{Quota: Quota{RemainingRequests: ptr(int64(700)), LimitRequests: ptr(int64(1000))}}},
		{ID: "k3"},
	}
}

// short names of the models, in the order of the fixture.
var shortNames = []string{"4o", "mini", "claude", "gemini", "llama", "azure"}

func (f *fixture) names(t assert.TestingT, models []*Model) []string {
	names := []string{}
	for _, m := range models {
		found := false
		for i, known := range f.models {
			if m == known {
				names, found = append(names, shortNames[i]), true
			}
		}
		assert.True(t, found, "the strategy made up %v", m)
	}
	return names
}
