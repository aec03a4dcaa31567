package aigateway_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
)

// configErrors lists the ConfigErrors in err, in order. Any other error fails
// the test.
func configErrors(t testing.TB, err error) []*aigateway.ConfigError {
	t.Helper()
	for {
		switch e := err.(type) { //nolint:errorlint // the tree itself is walked, node by node
		case *aigateway.ConfigError:
			return []*aigateway.ConfigError{e}
		case interface{ Unwrap() []error }:
			var list []*aigateway.ConfigError
			for _, err := range e.Unwrap() {
				list = append(list, configErrors(t, err)...)
			}
			return list
		case interface{ Unwrap() error }:
			err = e.Unwrap()
		default:
			require.Failf(t, "not a ConfigError", "%T: %v", err, err)
		}
	}
}

func glob(t testing.TB, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.FromSlash(pattern))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	return files
}

// TestParseConfigFaults holds each testdata/config/*.bad.yaml to its first
// lines: "# want: PATH: text" for each problem, in order.
func TestParseConfigFaults(t *testing.T) {
	for _, file := range glob(t, "testdata/config/*.bad.yaml") {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".bad.yaml"), func(t *testing.T) {
			doc, err := os.ReadFile(file)
			require.NoError(t, err)
			var wants []string
			for line := range strings.Lines(string(doc)) {
				want, ok := strings.CutPrefix(line, "# want: ")
				if !ok {
					break
				}
				wants = append(wants, strings.TrimSpace(want))
			}
			require.NotEmpty(t, wants)

			cfg, err := aigateway.LoadConfig(file)
			require.ErrorContains(t, err, file)
			got := configErrors(t, err)
			_, err = aigateway.New(cfg)
			require.Error(t, err, "a Config that was read in part does not serve")
			assert.Subset(t, configErrors(t, err), got, "New reports the faults of shape as well")
			for i := range max(len(got), len(wants)) {
				switch {
				case i >= len(got):
					assert.Failf(t, "missing", "%s", wants[i])
				case i >= len(wants):
					assert.Failf(t, "unexpected", "%v", got[i])
				default:
					path, text, _ := strings.Cut(wants[i], ": ")
					if rest, ok := strings.CutPrefix(wants[i], ": "); ok {
						path, text = "", rest
					}
					assert.Equal(t, path, got[i].Path, "of %v", got[i])
					assert.Contains(t, got[i].Reason, text)
				}
			}
			assert.NotContains(t, err.Error(), "hunter2", "a secret")
		})
	}
}

func TestParseConfigGood(t *testing.T) {
	for _, file := range glob(t, "testdata/config/*.good.yaml") {
		_, err := aigateway.LoadConfig(file)
		assert.NoError(t, err)
	}
}

func TestParseConfigPage(t *testing.T) {
	strict := aigateway.Provider{ID: "my-provider", BaseURL: "https://my-service.internal"}
	with := func(models ...aigateway.Model) aigateway.Config {
		p := strict
		p.Models = models
		return aigateway.Config{Providers: []aigateway.Provider{p}}
	}
	keyed := func(id, url, key string) aigateway.Provider {
		return aigateway.Provider{ID: id, BaseURL: url, APIKeys: []aigateway.APIKey{{Value: aigateway.Template(key)}}}
	}
	llama := []aigateway.Model{{ID: "llama3"}}
	want := map[string]aigateway.Config{
		"external-https-urls": {Providers: []aigateway.Provider{
			keyed("my-provider", "https://api.my-service.com/v1", "${secrets.get('my-provider', 'api-key')}"),
		}},
		"ngrok-internal-endpoints": {Providers: []aigateway.Provider{
			{ID: "my-local-service", BaseURL: "https://my-service.internal"},
		}},
		"basic-configuration": {Providers: []aigateway.Provider{func() aigateway.Provider {
			p := keyed("my-custom-provider", "https://my-ai-service.example.com/v1", "${secrets.get('custom', 'api-key')}")
			p.Models = []aigateway.Model{{ID: "my-model"}}
			return p
		}()}},
		"defining-models": with(aigateway.Model{ID: "llama3-70b"}, aigateway.Model{ID: "mistral-7b"}, aigateway.Model{ID: "codellama-34b"}),
		"model-metadata": with(aigateway.Model{ID: "llama3-70b", Metadata: map[string]any{
			"gpu": "A100", "quantization": "none", "max_context": int64(8192),
		}}),
		"with-provider-api-keys": {Providers: []aigateway.Provider{
			keyed("my-provider", "https://my-service.example.com", "${secrets.get('my-provider', 'api-key')}"),
		}},
		"without-provider-api-keys": with(),
		"custom-headers": {
			Headers:   map[string]aigateway.Template{"X-Custom-Auth": "${secrets.get('my-provider', 'token')}"},
			Providers: []aigateway.Provider{{ID: "my-provider", BaseURL: "https://my-service.example.com"}},
		},
		"timeouts": {PerRequestTimeout: "120s", TotalTimeout: "5m", Providers: []aigateway.Provider{strict}},
		"restricting-access": func() aigateway.Config {
			c := with(aigateway.Model{ID: "llama3"}, aigateway.Model{ID: "mistral"})
			c.OnlyAllowConfiguredProviders, c.OnlyAllowConfiguredModels = true, true
			return c
		}(),
		"custom-provider-with-cloud-fallback": {
			Providers: []aigateway.Provider{
				{ID: "my-provider", BaseURL: "https://my-service.internal", Models: llama},
				keyed("openai", "", "${secrets.get('openai', 'api-key')}"),
			},
			ModelSelection: aigateway.ModelSelection{Strategy: []string{
				"ai.models.filter(m, m.provider_id == 'my-provider')",
				"ai.models.filter(m, m.provider_id == 'openai')",
			}},
		},
		"multiple-custom-providers": {
			OnlyAllowConfiguredProviders: true,
			Providers: []aigateway.Provider{
				{ID: "inference-1", BaseURL: "https://inference-1.internal", Models: llama},
				{ID: "inference-2", BaseURL: "https://inference-2.internal", Models: llama},
			},
			ModelSelection: aigateway.ModelSelection{Strategy: []string{"ai.models.random()"}},
		},
	}
	files := glob(t, "testdata/config/page/*.yaml")
	assert.Len(t, files, len(want))
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			require.Contains(t, want, name)
			got, err := aigateway.LoadConfig(file)
			require.NoError(t, err)
			assert.Equal(t, want[name], got)
		})
	}
}

// TestParseConfigEverything reads a value into each field of Config. A new field
// that no document can set fails the test.
func TestParseConfigEverything(t *testing.T) {
	cfg, err := aigateway.LoadConfig("testdata/config/everything.good.yaml")
	require.NoError(t, err)
	assertFilled(t, reflect.ValueOf(cfg), "")

	m := cfg.Providers[0].Models[0]
	assert.Equal(t, "Small and fast", m.Description)
	assert.EqualValues(t, 128000, m.MaxContextWindow)
	assert.EqualValues(t, 8192, m.MaxOutputTokens)
	assert.Equal(t, map[string]any{
		"gpu": "A100", "count": int64(8), "share": 0.5, "spare": nil, "since": "2026-01-02",
		"tags": []any{"a", int64(1), true, map[string]any{"deep": []any{"x"}}},
		"huge": uint64(18446744073709551615), "larger": 36893488147419103232.0,
	}, m.Metadata)
	require.NotNil(t, m.Pricing.InputCacheRead)
	assert.Zero(t, *m.Pricing.InputCacheRead)
	assert.Equal(t, map[string]aigateway.Template{
		"X-Retries": "3", "X-Ratio": "1.50", "X-Debug": "true", "X-Date": "2026-01-02", "X-Octal": "0644", "X-Empty": "",
	}, cfg.Headers, "as written")
	assert.Equal(t, map[string]aigateway.Template{"beta": "yes", "n": "1"}, cfg.QueryParams)
	assert.Equal(t, map[string]any{
		"temperature": 0.2, "seed": int64(-7), "stop": []any{"\n", nil}, "response_format": map[string]any{"type": "json_object"},
	}, cfg.Body)
	assert.Equal(t, "unix:///run/vllm.sock", cfg.InternalEndpoints["sock.internal:8080"])
}

// assertFilled walks the first element of every list.
func assertFilled(t *testing.T, v reflect.Value, path string) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if !field.IsExported() {
			continue
		}
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		require.NotEmpty(t, name, "%s has no json tag", field.Name)
		// The document has disabled: false once, and sets all other fields.
		f, at := v.Field(i), path+"."+name
		if name == "-" || at == ".providers.models.disabled" {
			continue
		}
		assert.False(t, f.IsZero(), "%s is not filled", at)
		for f.Kind() == reflect.Pointer || f.Kind() == reflect.Slice && f.Len() > 0 {
			if f.Kind() == reflect.Slice {
				f = f.Index(0)
			} else {
				f = f.Elem()
			}
		}
		if f.Kind() == reflect.Struct {
			assertFilled(t, f, at)
		}
	}
}

func TestParseConfigSharing(t *testing.T) {
	cfg, err := aigateway.LoadConfig("testdata/config/anchors.good.yaml")
	require.NoError(t, err)
	require.Len(t, cfg.Providers, 3)
	for i, id := range []string{"one", "two", "three"} {
		assert.Equal(t, id, cfg.Providers[i].ID)
		assert.Equal(t, []aigateway.Model{{ID: "llama3"}}, cfg.Providers[i].Models)
	}
	assert.Equal(t, map[string]aigateway.Template{"X-A": "own", "X-B": "first"}, cfg.Providers[1].Headers)
	assert.Equal(t, "https://one.internal", cfg.Providers[2].BaseURL)
	assert.Equal(t, "merged", cfg.Providers[2].Description)

	// If one provider changes its copy, no other may notice.
	cfg.Providers[0].Models[0].ID = "changed"
	cfg.Providers[0].Headers["X-A"] = "changed"
	assert.Equal(t, "llama3", cfg.Providers[1].Models[0].ID)
	assert.EqualValues(t, "a", cfg.Providers[2].Headers["X-A"])

	cfg, err = aigateway.LoadConfig("testdata/config/nulls.good.yaml")
	require.NoError(t, err)
	assert.Equal(t, aigateway.Config{Providers: []aigateway.Provider{{ID: "a"}}}, cfg)

	cfg, err = aigateway.LoadConfig("testdata/config/wrapped-in-rule.good.yaml")
	require.NoError(t, err)
	assert.Equal(t, aigateway.Config{MaxAttempts: 7}, cfg)
}

func TestParseConfigJSON(t *testing.T) {
	type fault struct {
		path   string
		line   int
		value  string
		reason string
	}
	tests := []struct {
		name, doc string
		want      aigateway.Config
		faults    []fault
	}{
		{name: "empty object", doc: `{}`},
		{name: "byte order mark", doc: "\ufeff{\"max_attempts\": 2}", want: aigateway.Config{MaxAttempts: 2}},
		{
			name: "tabs and surrogates",
			doc:  "{\n\t\"providers\": [\n\t\t{\"id\": \"\\ud83d\\ude00\", \"metadata\": {\"big\": 9007199254740993, \"e\": 1e2, \"s\": \"<<\"}}\n\t]\n}",
			want: aigateway.Config{Providers: []aigateway.Provider{{ID: "😀", Metadata: map[string]any{
				"big": int64(9007199254740993), "e": 100.0, "s": "<<",
			}}}},
		},
		{
			name: "wrapped",
			doc:  `{"on_http_request":[{"type":"ai-gateway","config":{"headers":{"X-N":1.0,"X-B":true}}}]}`,
			want: aigateway.Config{Headers: map[string]aigateway.Template{"X-N": "1.0", "X-B": "true"}},
		},
		{
			name:   "duplicate key",
			doc:    "{\n\"max_attempts\": 1,\n\"max_retries\": 1,\n\n\"max_attempts\": 2}",
			faults: []fault{{"max_attempts", 5, "", "duplicate key: it is also on line 2"}},
		},
		{
			name: "lines of values",
			doc:  "{\n\"max_attempts\":\n\n1.5,\n\"body\": {\"<<\": {}}, \"nope\": [\n1, 2]}",
			faults: []fault{
				{"max_attempts", 4, "1.5", "must be an integer in plain digits, within 64 bits"},
				{"nope", 5, "", "unknown field"},
			},
		},
		{
			name:   "number out of range",
			doc:    `{"providers":[{"id":"a","metadata":{"n":1e999}}]}`,
			faults: []fault{{"providers[0].metadata.n", 1, "1e999", "must be a finite number"}},
		},
		{name: "YAML flow", doc: "{max_attempts: 2, # not JSON\n}", want: aigateway.Config{MaxAttempts: 2}},
		{
			name:   "merge key is none",
			doc:    `{"<<":{"max_attempts":1}}`,
			faults: []fault{{`["<<"]`, 1, "", "unknown field"}},
		},
		{
			name: "fields of other parts",
			doc:  "fallbacks: {a: [b]}\nproviders:\n- {id: a, caller: x, pricing: {}, models: [{id: m, api_keys: []}]}\n",
			faults: []fault{
				{"fallbacks", 1, "", "unknown field here; it is a field of providers[].models[]"},
				{"providers[0].caller", 3, "", "unknown field here; it is a field of the config, outside of its lists"},
				{"providers[0].pricing", 3, "", "unknown field here; it is a field of providers[].models[]"},
				{"providers[0].models[0].api_keys", 3, "", "unknown field here; it is a field of providers[]"},
			},
		},
		{
			name: "broken",
			doc:  "{\n\t\"max_attempts\": 1\n\t\"max_retries\": 2\n}",
			faults: []fault{{"", 3, "", "not valid YAML: did not find expected ',' or '}'; " +
				"it is not JSON either: line 3: invalid character '\"' after object key:value pair"}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := aigateway.ParseConfig([]byte(tt.doc))
			var faults []fault
			if err != nil {
				for _, e := range configErrors(t, err) {
					faults = append(faults, fault{e.Path, e.Line, e.Value, e.Reason})
				}
			}
			assert.Equal(t, tt.faults, faults)
			if err == nil {
				assert.Equal(t, tt.want, got)
			}
		})
	}
}

// TestParseConfigErrorText shows a whole error text, as users read it.
func TestParseConfigErrorText(t *testing.T) {
	doc := "providers:\n  - id: a\n    base_urls: https://a.example.com\nheaders:\n  X-A.b: [x]\nmax_attempts: ten\ntotal_timeout: 90\n"
	_, err := aigateway.ParseConfig([]byte(doc))
	require.EqualError(t, err, `aigateway: invalid config:
providers[0].base_urls: line 3: unknown field; did you mean "base_url"?
headers["X-A.b"]: line 5: must be a string, not a list
max_attempts: line 6: "ten": must be an integer, not a string
total_timeout: line 7: "90": must be a duration with its unit, such as "90s"`)

	var fault *aigateway.ConfigError
	require.ErrorAs(t, err, &fault)
	assert.Equal(t, 3, fault.Line)
}

// TestParseConfigLineOfUse: an error names the line of the alias, as the value
// may be right at its anchor.
func TestParseConfigLineOfUse(t *testing.T) {
	_, err := aigateway.ParseConfig([]byte("model_selection: &m\n  strategy: [ai.models]\napi_key_selection:\n  strategy: *m\n"))
	faults := configErrors(t, err)
	require.Len(t, faults, 1)
	assert.Equal(t, "api_key_selection.strategy", faults[0].Path)
	assert.Equal(t, 4, faults[0].Line)
}

func TestParseConfigBounds(t *testing.T) {
	bomb := "body:\n  a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
	merges := "body:\n  a0: &a0 {k: v}\n"
	var manyFields strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&manyFields, "field_%d: 1\n", i)
	}
	for i := range 20 {
		bomb += fmt.Sprintf("  a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 9), ", "))
		merges += fmt.Sprintf("  a%d: &a%d {<<: [%s]}\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 9), ", "))
	}
	tests := []struct{ name, doc, reason string }{
		{"aliases of aliases", bomb, "the document holds more than 1000000 values"},
		{"merges of merges", merges, "the document holds more than 1000000 values"},
		{"an alias to much text", "body:\n  a: &a " + strings.Repeat("x", 500_000) + "\n  b: [" + strings.Repeat("*a,", 4000) + "]\n", "bytes of text"},
		{"a merge in itself", "body: &b\n  <<: *b\n", "nested more than 64 levels deep"},
		{"aliases in itself", "body:\n  a: &a [*a, *a]\n", "nested more than 64 levels deep"},
		{"deep flow", "body: {a: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "}", "nested more than 64 levels deep"},
		{"deeper than the parser goes", "body: " + strings.Repeat("[", 100_000), "exceeded max depth"},
		{"deep JSON", `{"body":{"a":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + "}}", "nested more than 64 levels deep"},
		{"deep blocks", "body:\n  a:\n  " + strings.Repeat("- ", 5000) + "x", "nested more than 64 levels deep"},
		{"many values", "body: {a: [" + strings.Repeat("1,", 1_000_001) + "]}", "the document holds more than 1000000 values"},
		{"many tags", strings.Repeat("%TAG !a! b\n", 9) + "---\nbody: {}\n", "too many %TAG directives"},
		{"many unknown fields", manyFields.String(), "and more: only the first 100 are shown"},
		{"size", "# " + strings.Repeat("x", 16<<20), "larger than 16777216 bytes"},
		{"a long key over many faults", "body:\n  ? " + strings.Repeat("k", 400_000) + "\n  : [" + strings.Repeat(".nan,", 50_000) + "]\n", "and more: only the first 100 are shown"},
		{"not UTF-8", "headers:\n  X-A: \xff\n", "must be text in UTF-8"},
		{"UTF-16", "\xff\xfea\x00", "must be text in UTF-8"},
		{"NUL", "headers:\n  X-A: \x00\n", "not valid YAML: control characters are not allowed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := aigateway.ParseConfig([]byte(tt.doc))
			require.Error(t, err)
			assert.Contains(t, err.Error(), tt.reason)
			assert.Less(t, len(err.Error()), 50_000)
			assert.LessOrEqual(t, len(configErrors(t, err)), 101)
		})
	}
}

func TestLoadConfigFile(t *testing.T) {
	dir := t.TempDir()
	_, err := aigateway.LoadConfig(filepath.Join(dir, "none.yaml"))
	require.ErrorIs(t, err, os.ErrNotExist)
	assert.ErrorContains(t, err, "none.yaml")
	_, err = aigateway.LoadConfig(dir)
	assert.ErrorContains(t, err, dir)

	large := filepath.Join(dir, "large.yaml")
	require.NoError(t, os.WriteFile(large, make([]byte, 17<<20), 0o600))
	_, err = aigateway.LoadConfig(large)
	assert.ErrorContains(t, err, "large.yaml: invalid config:\nthe document is larger than")
}

// TestParseConfigIsolated has each result to itself.
func TestParseConfigIsolated(t *testing.T) {
	doc := []byte("body: {a: [1]}\nheaders: {X: y}\n")
	one, err := aigateway.ParseConfig(doc)
	require.NoError(t, err)
	clear(doc)
	assert.Equal(t, map[string]any{"a": []any{int64(1)}}, one.Body)
	assert.EqualValues(t, "y", one.Headers["X"])
}

func FuzzParseConfig(f *testing.F) {
	for _, pattern := range []string{"testdata/config/*.yaml", "testdata/config/page/*.yaml"} {
		for _, file := range glob(f, pattern) {
			doc, err := os.ReadFile(file)
			require.NoError(f, err)
			f.Add(doc)
		}
	}
	f.Add([]byte(`{"providers":[{"id":"a","models":[{"id":"m","pricing":{"input":1.5}}]}],"max_attempts":3}`))
	f.Add([]byte("? [a, b]\n: *c\n"))
	f.Fuzz(func(t *testing.T, doc []byte) {
		got, err := aigateway.ParseConfig(doc)
		if err != nil {
			for _, e := range configErrors(t, err) {
				require.NotEmpty(t, e.Reason)
			}
			return
		}
		// If encoding/json can read the document into the same fields, the
		// values are the same. Free-form values are not compared: encoding/json
		// reads integers as float64.
		var same aigateway.Config
		dec := json.NewDecoder(strings.NewReader(string(doc)))
		dec.DisallowUnknownFields()
		if !json.Valid(doc) || dec.Decode(&same) != nil {
			return
		}
		for _, c := range []*aigateway.Config{&got, &same} {
			c.Body = nil
			for i := range c.Providers {
				c.Providers[i].Body, c.Providers[i].Metadata = nil, nil
				for j := range c.Providers[i].Models {
					c.Providers[i].Models[j].Metadata = nil
				}
			}
		}
		require.Equal(t, same, got)
	})
}

// TestShapeAndMeaningTogether has New report the faults of a document with its own.
func TestShapeAndMeaningTogether(t *testing.T) {
	tests := map[string]struct {
		doc  string
		want []string
	}{
		"both": {
			"providers:\n  - id: a\n    base_url: ftp://a.example.com\n    colour: red\nmax_attempts: 1000\ntotal_timeout: [1]\n",
			[]string{`providers[0].colour: line 4: unknown field`, `total_timeout: line 6: must be a duration`, `max_attempts: "1000": must be from 1 to 100`, `providers[0].base_url: "ftp://a.example.com": the scheme must be https`},
		},
		"a misspelt field is not missed as well": {
			"providers:\n  - id: a\n    base_urls: https://a.example.com\n",
			[]string{`providers[0].base_urls: line 3: unknown field; did you mean "base_url"?`},
		},
		"a value that could not be read is not judged": {
			"providers:\n  - id: a\n    base_url: https://a.example.com\n    api_keys:\n      - value: 12\n      - value: [x]\n",
			[]string{"providers[0].api_keys[0].value: line 5: must be a string", "providers[0].api_keys[1].value: line 6: must be a string"},
		},
		"nor is what it holds": {
			"providers: {id: a}\nonly_allow_configured_models: true\nmax_retries: 9\n",
			[]string{"providers: line 1: must be a list", `max_retries: "9": must be`},
		},
		"syntax alone": {"a: [\n", []string{"line 1: not valid YAML"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			cfg, err := aigateway.ParseConfig([]byte(tt.doc))
			require.Error(t, err)
			_, err = aigateway.New(cfg)
			require.Error(t, err)
			got := configErrors(t, err)
			require.Len(t, got, len(tt.want), "%v", err)
			for i, want := range tt.want {
				assert.ErrorContains(t, got[i], want)
			}
		})
	}

	// The Config can be mended, but not by forgetting the error.
	cfg, err := aigateway.ParseConfig([]byte("colour: red\n"))
	require.Error(t, err)
	cfg.MaxAttempts = 5
	_, err = aigateway.New(cfg)
	require.ErrorContains(t, err, "colour: line 1: unknown field")
}

// TestManyProblems bounds the errors of a config with one problem many times.
func TestManyProblems(t *testing.T) {
	long := strings.Repeat("x", 5000)
	var same, models, strategies aigateway.Config
	for range 84_000 {
		same.Providers = append(same.Providers, aigateway.Provider{ID: "a", BaseURL: "https://a.example.com"})
	}
	p := aigateway.Provider{ID: "a", BaseURL: "https://a.example.com"}
	for range 1000 {
		p.Models = append(p.Models, aigateway.Model{ID: long})
		strategies.ModelSelection.Strategy = append(strategies.ModelSelection.Strategy, "ai.models.filter(m, "+long+")")
	}
	models.Providers = []aigateway.Provider{p}
	for name, cfg := range map[string]aigateway.Config{"equal ids": same, "long ids": models, "long strategies": strategies} {
		t.Run(name, func(t *testing.T) {
			_, err := aigateway.New(cfg)
			require.Error(t, err)
			got := configErrors(t, err)
			require.Len(t, got, 101)
			assert.Equal(t, "and more: only the first 100 are shown", got[100].Reason)
			assert.Less(t, len(err.Error()), 400<<10)
		})
	}
}

// TestLargeCatalog has a catalog of a relay: each model with prices and limits.
func TestLargeCatalog(t *testing.T) {
	var doc strings.Builder
	doc.WriteString("providers:\n  - id: relay\n    base_url: https://relay.example.com/v1\n    models:\n")
	for i := range 6000 {
		fmt.Fprintf(&doc, `      - id: author-%d/model-name-of-some-length-%d
        display_name: "Model %d of the relay"
        max_context_window: 131072
        max_output_tokens: 16384
        input_modalities: [text, image]
        output_modalities: [text]
        supported_features: [tool-calling, streaming, json-mode]
        pricing:
          input: 1.25
          output: 10
          input_cache_read: 0.125
          input_cache_write: 1.5
          input_batch: 0.6
          output_batch: 5
        metadata: {tier: gold, region: eu, since: 2026-01-02}
`, i%50, i, i)
	}
	require.Greater(t, doc.Len(), 1<<20)
	cfg, err := aigateway.ParseConfig([]byte(doc.String()))
	require.NoError(t, err)
	_, err = aigateway.New(cfg)
	require.NoError(t, err)
}

// A model may be the path of a file, with spaces in it.
func TestModelIDsWithSpaces(t *testing.T) {
	for id, ok := range map[string]bool{
		"/models/My Model.gguf": true, "my model": true, "modèle à moi": true,
		" model": false, "model ": false, "a\tb": false, "a\nb": false, "a\u0085b": false, "a\u2028b": false, "": false,
	} {
		_, err := aigateway.New(aigateway.Config{Providers: []aigateway.Provider{{
			ID: "local", BaseURL: "https://local.internal", Models: []aigateway.Model{{ID: id}},
		}}})
		assert.Equal(t, ok, err == nil, "%q: %v", id, err)
	}
}
