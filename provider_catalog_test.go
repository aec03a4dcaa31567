package aigateway_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/builtin"
)

func providersOf(t *testing.T, r aigateway.ProviderRegistry) []aigateway.Provider {
	t.Helper()
	providers, err := r.Providers(t.Context())
	require.NoError(t, err)
	return providers
}

func TestBuiltinProviders(t *testing.T) {
	want := []struct{ id, baseURL, alias string }{
		{"openai", "https://api.openai.com/v1", ""},
		{"anthropic", "https://api.anthropic.com/v1", ""},
		{"google", "https://generativelanguage.googleapis.com/v1beta/openai", "gemini"},
		{"deepseek", "https://api.deepseek.com", ""},
		{"groq", "https://api.groq.com/openai/v1", ""},
		{"openrouter", "https://openrouter.ai/api/v1", ""},
		{"hyperbolic", "https://api.hyperbolic.xyz/v1", ""},
		{"inceptionlabs", "https://api.inceptionlabs.ai/v1", "inception"},
		{"inference.net", "https://api.inference.net/v1", "inference-net"},
		{"xai", "https://api.x.ai/v1", "x-ai"},
		{"mistral", "https://api.mistral.ai/v1", "mistralai"},
		{"cerebras", "https://api.cerebras.ai/v1", ""},
		{"together", "https://api.together.xyz/v1", "togetherai"},
		{"fireworks", "https://api.fireworks.ai/inference/v1", "fireworks-ai"},
		{"moonshotai", "https://api.moonshot.ai/v1", "moonshot"},
	}
	got := providersOf(t, aigateway.BuiltinRegistry())
	require.Len(t, got, len(want))
	for i, w := range want {
		p := got[i]
		assert.Equal(t, w.id, p.ID)
		assert.Equal(t, w.baseURL, p.BaseURL, p.ID)
		assert.Equal(t, w.alias, strings.Join(p.IDAliases, ","), p.ID)
		assert.NotEmpty(t, p.DisplayName, p.ID)
		assert.True(t, strings.HasPrefix(p.Website, "https://"), p.ID)

		byPrefixOnly := p.ID == "openrouter" || p.ID == "hyperbolic"
		assert.Equal(t, byPrefixOnly, len(p.Models) == 0, p.ID)

		// Facts only: nothing that changes how requests are sent.
		bare := aigateway.Provider{
			ID: p.ID, IDAliases: p.IDAliases, BaseURL: p.BaseURL, Models: p.Models,
			DisplayName: p.DisplayName, Website: p.Website, SupportedAPISurfaces: p.SupportedAPISurfaces,
		}
		assert.Equal(t, bare, p)
	}

	for _, p := range got {
		switch p.ID {
		case "anthropic":
			assert.Equal(t, []aigateway.APISurface{
				{Format: "anthropic"}, {Format: "openai", Surface: "chat-completions"},
			}, p.SupportedAPISurfaces)
		case "fireworks":
			assert.Equal(t, []aigateway.APISurface{
				{Format: "openai"}, {Format: "anthropic", Surface: "messages"},
			}, p.SupportedAPISurfaces)
		default:
			assert.Empty(t, p.SupportedAPISurfaces, p.ID)
		}
	}
}

// TestBuiltinNames: every name is unique within its scope.
func TestBuiltinNames(t *testing.T) {
	providerNames := map[string]bool{}
	claim := func(seen map[string]bool, scope string, names ...string) {
		for _, name := range names {
			folded := strings.ToLower(name)
			assert.NotEmpty(t, name, scope)
			assert.Equal(t, strings.TrimSpace(name), name, scope)
			assert.False(t, seen[folded], "%s: %q is taken", scope, name)
			seen[folded] = true
		}
	}
	for _, p := range providersOf(t, aigateway.BuiltinRegistry()) {
		claim(providerNames, "providers", append(p.IDAliases, p.ID)...)
		modelNames := map[string]bool{}
		for _, m := range p.Models {
			claim(modelNames, p.ID, append(m.IDAliases, m.ID)...)
			// "a:b" would be read as the model b of the provider a.
			assert.NotContains(t, m.ID, ":")
			assert.NotEqual(t, p.ID, m.AuthorID, "%s: empty means the same", m.ID)
		}
	}
}

func TestBuiltinModels(t *testing.T) {
	words := func(list ...string) map[string]bool {
		set := map[string]bool{}
		for _, w := range list {
			set[w] = true
		}
		return set
	}
	inputs := words("text", "image", "audio", "video", "pdf")
	outputs := words("text", "image", "audio", "video", "embedding")
	features := words("tool-calling", "structured-output", "reasoning", "vision")
	authors := words("", "canopylabs", "deepcogito", "deepseek", "essentialai", "google", "liquidai", "meta", "minimax",
		"mistral", "moonshotai", "nvidia", "openai", "osmosis", "pearl-ai", "qwen", "thinkingmachines", "zhipuai")
	within := func(set map[string]bool, what string, list []string) {
		seen := map[string]bool{}
		for _, w := range list {
			assert.True(t, set[w], "%s: %q", what, w)
			assert.False(t, seen[w], "%s: %q twice", what, w)
			seen[w] = true
		}
	}
	price := func(what string, p *float64, most float64) {
		if p != nil {
			assert.GreaterOrEqual(t, *p, 0.0, what)
			assert.LessOrEqual(t, *p, most, what)
		}
	}
	for _, p := range providersOf(t, aigateway.BuiltinRegistry()) {
		for _, m := range p.Models {
			what := p.ID + ":" + m.ID
			assert.NotEmpty(t, m.DisplayName, what)
			assert.NotEmpty(t, m.InputModalities, what)
			assert.NotEmpty(t, m.OutputModalities, what)
			within(inputs, what, m.InputModalities)
			within(outputs, what, m.OutputModalities)
			within(features, what, m.SupportedFeatures)
			within(authors, what, []string{m.AuthorID})
			assert.False(t, m.Disabled, what)
			if m.MaxContextWindow != 0 {
				assert.GreaterOrEqual(t, m.MaxContextWindow, int64(512), what)
				assert.LessOrEqual(t, m.MaxContextWindow, int64(2_000_000), what)
				if m.OutputModalities[0] == "text" {
					assert.LessOrEqual(t, m.MaxOutputTokens, m.MaxContextWindow, what)
				}
			}
			if strings.Contains(m.ID, "embed") {
				assert.Equal(t, []string{"embedding"}, m.OutputModalities, what)
				assert.Zero(t, m.MaxOutputTokens, what)
			}
			if m.Pricing == nil {
				continue
			}
			require.NotNil(t, m.Pricing.Input, what)
			require.NotNil(t, m.Pricing.Output, what)
			price(what, m.Pricing.Input, 50)
			price(what, m.Pricing.Output, 200)
			assert.Positive(t, *m.Pricing.Input, what)
			if m.OutputModalities[0] != "embedding" {
				assert.GreaterOrEqual(t, *m.Pricing.Output, *m.Pricing.Input, what)
			}
			price(what, m.Pricing.InputCacheRead, *m.Pricing.Input)
			price(what, m.Pricing.InputCacheWrite, 2**m.Pricing.Input)
			price(what, m.Pricing.InputCacheWrite1h, 3**m.Pricing.Input)
			price(what, m.Pricing.InputBatch, *m.Pricing.Input)
			price(what, m.Pricing.OutputBatch, *m.Pricing.Output)
			assert.Equal(t, m.Pricing.InputBatch == nil, m.Pricing.OutputBatch == nil, what)
			above := int64(0)
			for _, tier := range m.Pricing.Tiers {
				assert.Greater(t, tier.AboveInputTokens, above, what)
				above = tier.AboveInputTokens
				assert.GreaterOrEqual(t, *tier.Input, *m.Pricing.Input, what)
				assert.GreaterOrEqual(t, *tier.Output, *m.Pricing.Output, what)
				price(what, tier.InputCacheRead, *tier.Input)
				price(what, tier.InputCacheWrite, 2**tier.Input)
			}
			assert.Less(t, above, max(m.MaxContextWindow, 1), what)
		}
	}
}

// TestBuiltinFacts looks a few facts up by each of their names.
func TestBuiltinFacts(t *testing.T) {
	models := map[string]aigateway.Model{}
	for _, p := range providersOf(t, aigateway.BuiltinRegistry()) {
		for _, m := range p.Models {
			for _, name := range append(m.IDAliases, m.ID) {
				models[p.ID+":"+name] = m
			}
		}
	}
	tests := []struct {
		name, id, author string
		context, output  int64
		in, out          float64
	}{
		{"openai:gpt-5.1-2025-11-13", "gpt-5.1", "", 400000, 128000, 1.25, 10},
		{"openai:gpt-4o-mini-2024-07-18", "gpt-4o-mini", "", 128000, 16384, 0.15, 0.6},
		{"openai:gpt-4.1-2025-04-14", "gpt-4.1", "", 1047576, 32768, 2, 8},
		{"openai:gpt-4o", "gpt-4o", "", 128000, 16384, 2.5, 10},
		{"openai:gpt-4o-2024-08-06", "gpt-4o-2024-08-06", "", 128000, 16384, 2.5, 10},
		{"openai:text-embedding-3-small", "text-embedding-3-small", "", 8191, 0, 0.02, 0},
		{"anthropic:claude-haiku-4-5-20251001", "claude-haiku-4-5", "", 200000, 64000, 1, 5},
		{"anthropic:claude-sonnet-4-5-20250929", "claude-sonnet-4-5", "", 200000, 64000, 3, 15},
		{"anthropic:claude-opus-4.5", "claude-opus-4-5", "", 200000, 64000, 5, 25},
		{"google:gemini-3-pro-preview", "gemini-3.1-pro-preview", "", 1048576, 65536, 2, 12},
		{"deepseek:deepseek-v4-flash", "deepseek-flash", "", 1000000, 384000, 0.3, 1.2},
		{"deepseek:deepseek-chat", "deepseek-flash", "", 1000000, 384000, 0.3, 1.2},
		{"openai:gpt-5.6", "gpt-5.6-sol", "", 1050000, 128000, 4, 20},
		{"openai:gpt-6.1-terra", "gpt-6.1-terra", "", 1050000, 128000, 1, 5},
		{"anthropic:claude-opus-5", "claude-opus-5", "", 1000000, 128000, 5, 25},
		{"anthropic:claude-opus-5.5", "claude-opus-5-5", "", 1000000, 128000, 4, 20},
		{"together:kimi-k3", "moonshotai/Kimi-K3", "moonshotai", 1048576, 131072, 3, 15},
		{"mistral:mistral-medium-3.5", "mistral-medium-latest", "", 262144, 262144, 1.5, 7.5},
		{"groq:gpt-oss-120b", "openai/gpt-oss-120b", "openai", 131072, 65536, 0.15, 0.6},
		{"groq:llama-3.3-70b-versatile", "llama-3.3-70b-versatile", "meta", 131072, 32768, 0.59, 0.79},
		{"cerebras:gpt-oss-120b", "gpt-oss-120b", "openai", 131072, 40960, 0.35, 0.75},
		{"together:deepseek-v4-pro", "deepseek-ai/DeepSeek-V4-Pro", "deepseek", 512000, 384000, 1.74, 3.48},
		{"fireworks:kimi-k2.6", "accounts/fireworks/models/kimi-k2p6", "moonshotai", 262000, 262000, 0.95, 4},
		{"xai:grok-4.20-reasoning", "grok-4.20-0309-reasoning", "", 1000000, 30000, 1.25, 2.5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, ok := models[tt.name]
			require.True(t, ok)
			assert.Equal(t, tt.id, m.ID)
			assert.Equal(t, tt.author, m.AuthorID)
			assert.Equal(t, tt.context, m.MaxContextWindow)
			assert.Equal(t, tt.output, m.MaxOutputTokens)
			require.NotNil(t, m.Pricing)
			assert.InDelta(t, tt.in, *m.Pricing.Input, 0)
			assert.InDelta(t, tt.out, *m.Pricing.Output, 0)
		})
	}
	assert.Equal(t, []string{"audio"}, models["groq:whisper-large-v3"].InputModalities)
	assert.Nil(t, models["groq:whisper-large-v3"].Pricing, "billed by the hour, so not known in tokens")
	fable := models["anthropic:claude-fable-5"].Pricing
	assert.InDelta(t, 12.5, *fable.InputCacheWrite, 0)
	assert.InDelta(t, 20, *fable.InputCacheWrite1h, 0)
	astra := models["openai:gpt-6-astra"].Pricing
	assert.InDelta(t, 5, *astra.InputBatch, 0)
	assert.InDelta(t, 25, *astra.OutputBatch, 0)
	read, write, in, out := 2.0, 25.0, 20.0, 75.0
	assert.Equal(t, []aigateway.PricingTier{
		{AboveInputTokens: 272000, Input: &in, Output: &out, InputCacheRead: &read, InputCacheWrite: &write},
	}, astra.Tiers)
	assert.Equal(t, "2027-01-14", models["openai:gpt-4o"].ShutdownDate)
	assert.Empty(t, models["openai:gpt-5.2"].ShutdownDate)
}

// TestBuiltinOrder: a request that names no model takes the first that fits.
func TestBuiltinOrder(t *testing.T) {
	for _, p := range providersOf(t, aigateway.BuiltinRegistry()) {
		drawn := false
		for i, m := range p.Models {
			draws := slices.Contains(m.OutputModalities, "image") || slices.Contains(m.OutputModalities, "video")
			assert.False(t, drawn && !draws, "%s:%s stands behind one that draws", p.ID, m.ID)
			drawn = drawn || draws
			if i == 0 {
				assert.Equal(t, []string{"text"}, m.OutputModalities, "%s:%s", p.ID, m.ID)
				assert.Contains(t, m.InputModalities, "text", "%s:%s", p.ID, m.ID)
			}
		}
	}
}

// TestBuiltinFamilies holds the catalog and the families to each other: a name of a provider's own never leads to another.
func TestBuiltinFamilies(t *testing.T) {
	own := map[string]bool{"openai": true, "anthropic": true, "google": true, "deepseek": true, "xai": true, "mistral": true, "moonshotai": true, "inceptionlabs": true}
	for _, p := range providersOf(t, aigateway.BuiltinRegistry()) {
		for _, m := range p.Models {
			if family, ok := builtin.Family(m.ID); ok && m.AuthorID == "" && own[p.ID] {
				assert.Equal(t, p.ID, family, m.ID)
			}
		}
	}
}

func TestRegistriesHandOutCopies(t *testing.T) {
	full := filled(reflect.TypeFor[aigateway.Provider]()).Interface().(aigateway.Provider)
	registries := map[string]aigateway.ProviderRegistry{
		"static":  aigateway.StaticRegistry(full),
		"builtin": aigateway.BuiltinRegistry(),
	}
	require.Equal(t, []aigateway.Provider{full}, providersOf(t, registries["static"]))
	require.Empty(t, shared(reflect.ValueOf(full), reflect.ValueOf(providersOf(t, registries["static"])[0])), "with what was given")
	require.NotEmpty(t, shared(reflect.ValueOf(full), reflect.ValueOf(full)), "the check itself works")
	for name, r := range registries {
		first, second := providersOf(t, r), providersOf(t, r)
		require.Equal(t, first, second)
		assert.Empty(t, shared(reflect.ValueOf(first), reflect.ValueOf(second)), name)
	}
}

// filled returns a value of type t without zero fields.
func filled(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	switch t.Kind() {
	case reflect.Struct:
		for i := range t.NumField() {
			v.Field(i).Set(filled(t.Field(i).Type))
		}
	case reflect.Pointer:
		v.Set(reflect.New(t.Elem()))
		v.Elem().Set(filled(t.Elem()))
	case reflect.Slice:
		v.Set(reflect.Append(v, filled(t.Elem())))
	case reflect.Map:
		v.Set(reflect.MakeMap(t))
		v.SetMapIndex(reflect.ValueOf("k").Convert(t.Key()), filled(t.Elem()))
	case reflect.String:
		v.SetString("s")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int64:
		v.SetInt(1)
	case reflect.Float64:
		v.SetFloat(1)
	case reflect.Interface:
		v.Set(reflect.ValueOf(map[string]any{"a": []any{map[string]any{"b": []any{"c"}}}}))
	default:
		panic("a field of a new kind: " + t.String())
	}
	return v
}

// shared returns the places of two equal values that share memory.
func shared(a, b reflect.Value) []string {
	var found []string
	var walk func(path string, a, b reflect.Value)
	walk = func(path string, a, b reflect.Value) {
		switch a.Kind() {
		case reflect.Pointer, reflect.Map, reflect.Slice:
			if a.IsNil() || b.IsNil() {
				return
			}
			if a.Pointer() == b.Pointer() {
				found = append(found, path)
				return
			}
		}
		switch a.Kind() {
		case reflect.Struct:
			for i := range a.NumField() {
				walk(path+"."+a.Type().Field(i).Name, a.Field(i), b.Field(i))
			}
		case reflect.Slice:
			for i := range a.Len() {
				walk(path+"[]", a.Index(i), b.Index(i))
			}
		case reflect.Map:
			for _, k := range a.MapKeys() {
				walk(path+"["+k.String()+"]", a.MapIndex(k), b.MapIndex(k))
			}
		case reflect.Pointer, reflect.Interface:
			walk(path, a.Elem(), b.Elem())
		}
	}
	walk("", a, b)
	return found
}

func TestStaticRegistryIsNotTheCallers(t *testing.T) {
	providers := []aigateway.Provider{{ID: "a", Models: []aigateway.Model{{ID: "m"}}}, {ID: "b"}}
	r := aigateway.StaticRegistry(providers...)
	providers[0].ID, providers[0].Models[0].ID = "x", "x"
	got := providersOf(t, r)
	require.Len(t, got, 2)
	assert.Equal(t, "a", got[0].ID)
	assert.Equal(t, "m", got[0].Models[0].ID)
	assert.Equal(t, "b", got[1].ID)
}

func TestNoRegistry(t *testing.T) {
	assert.Empty(t, providersOf(t, aigateway.NoRegistry()))
	assert.Empty(t, providersOf(t, aigateway.StaticRegistry()))
}

func TestProviderRegistryFunc(t *testing.T) {
	down := errors.New("registry is down")
	r := aigateway.ProviderRegistryFunc(func(context.Context) ([]aigateway.Provider, error) { return nil, down })
	_, err := r.Providers(t.Context())
	require.ErrorIs(t, err, down)
}

func BenchmarkBuiltinRegistry(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := aigateway.BuiltinRegistry().Providers(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}
