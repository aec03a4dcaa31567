package browsertest

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	yaml "sigs.k8s.io/yaml/goyaml.v3"

	"github.com/aigateway-go/aigateway"
)

// Configs that the gateway reads are valid.
func TestSchemaAccepts(t *testing.T) {
	s := compile(t)
	docs := map[string]string{}
	for _, pattern := range []string{"testdata/config/*.good.yaml", "testdata/config/page/*.yaml", "testdata/selection/*.yaml", "examples/*/*.yaml"} {
		for _, path := range glob(t, pattern) {
			docs[path] = read(t, path)
		}
	}
	for i, block := range regexp.MustCompile("(?s)\n```yaml\n(.*?)\n```").FindAllStringSubmatch(read(t, "../../README.md"), -1) {
		docs["README.md, block "+string(rune('a'+i))] = block[1]
	}
	require.Greater(t, len(docs), 30)
	for name, doc := range docs {
		t.Run(name, func(t *testing.T) {
			cfg, err := aigateway.ParseConfig([]byte(doc))
			require.NoError(t, err)
			v, err := decode(doc)
			if err != nil { // more merge keys than this decoder takes
				raw, err := json.Marshal(cfg)
				require.NoError(t, err)
				v, err = decode(string(raw))
				require.NoError(t, err)
			}
			assert.NoError(t, s.Validate(v))
		})
	}
}

// Configs with faults of shape are invalid.
func TestSchemaRefuses(t *testing.T) {
	s := compile(t)
	// Faults beyond the schema and a reader of YAML, each with the reason.
	blind := map[string]string{
		"several-documents": "the reader stops at the first",
		"tags":              "the reader follows them",
	}
	for _, path := range glob(t, "testdata/config/*.bad.yaml") {
		name := strings.TrimSuffix(filepath.Base(path), ".bad.yaml")
		t.Run(name, func(t *testing.T) {
			v, err := decode(read(t, path))
			if err == nil {
				err = s.Validate(v)
			}
			if reason, ok := blind[name]; ok {
				assert.NoError(t, err, "%s: but something can tell, so take it off the list", reason)
			} else {
				assert.Error(t, err)
			}
		})
	}
}

// Odd values that the gateway takes are valid: the schema must not frighten anybody.
func TestSchemaAcceptsMeaning(t *testing.T) {
	s := compile(t)
	for name, doc := range map[string]string{
		"at sign in a path":   "providers: [{id: a, base_url: 'https://a.example/accounts/a@b/v1'}]",
		"at sign in a query":  "providers: [{id: a, base_url: 'https://a.example/v1?user=a@b'}]",
		"no surface":          "providers: [{id: a, base_url: 'https://a.example', supported_api_surfaces: [{format: openai, surface: ''}]}]",
		"no headers":          "response_headers: []",
		"endpoint with a dot": "internal_endpoints: {'A.Internal.:80': 'http://127.0.0.1:1/'}",
		"highest prices":      "providers: [{id: a, base_url: 'https://a.example', models: [{id: b, pricing: {input: 9000000, tools: {c: 9}}}]}]",
		"nulls":               "aliases:\nresponse_headers:\nproviders: [{id: a, base_url: 'https://a.example', limits: null, models: null, supported_api_surfaces: [{format: openai, surface: null}]}]",
	} {
		t.Run(name, func(t *testing.T) {
			v, err := decode(doc)
			require.NoError(t, err)
			assert.NoError(t, s.Validate(v))
			cfg, err := aigateway.ParseConfig([]byte(doc))
			require.NoError(t, err)
			_, err = aigateway.New(cfg)
			assert.NoError(t, err)
		})
	}
}

// Faults of meaning within one field are invalid too.
func TestSchemaRefusesMeaning(t *testing.T) {
	s := compile(t)
	for name, doc := range map[string]string{
		"attempts":           "max_attempts: 101",
		"retries":            "max_retries: 6",
		"negative":           "max_input_tokens: -1",
		"too many tokens":    "max_output_tokens: 500001",
		"word":               "on_error: stop",
		"another word":       "stream_commit: never",
		"duration, no unit":  `total_timeout: "90"`,
		"negative duration":  "total_timeout: -3m",
		"duration, a word":   "total_timeout: soon",
		"provider, no id":    "providers: [{base_url: https://a.example}]",
		"id with a colon":    "providers: [{id: 'a:b'}]",
		"empty id":           "providers: [{id: ''}]",
		"alias with a space": "providers: [{id: a, id_aliases: ['a b']}]",
		"scheme":             "providers: [{id: a, base_url: 'ftp://a.example'}]",
		"user info":          "providers: [{id: a, base_url: 'https://u:p@a.example'}]",
		"fragment":           "providers: [{id: a, base_url: 'https://a.example#b'}]",
		"empty key":          "providers: [{id: a, api_keys: [{value: ''}]}]",
		"key, no value":      "providers: [{id: a, api_keys: [{}]}]",
		"model, no id":       "providers: [{id: a, models: [{display_name: b}]}]",
		"negative price":     "providers: [{id: a, models: [{id: b, pricing: {input: -1}}]}]",
		"format":             "providers: [{id: a, supported_api_surfaces: [{format: gemini}]}]",
		"surface":            "providers: [{id: a, supported_api_surfaces: [{format: openai, surface: chat}]}]",
		"header name":        "headers: {'X Team': a}",
		"forwarded header":   "forward_headers: ['X:Team']",
		"public endpoint":    "internal_endpoints: {a.example: 'http://127.0.0.1'}",
		"unknown header":     "response_headers: ['']",
		"alias for nothing":  "aliases: {a: []}",
		"nameless parameter": "query_params: {'': a}",
		"price too high":     "providers: [{id: a, base_url: 'https://a.example', models: [{id: b, pricing: {input: 9000001}}]}]",
		"tool too dear":      "providers: [{id: a, base_url: 'https://a.example', models: [{id: b, pricing: {tools: {c: 10}}}]}]",
		"budget too high":    "caller: req.host\nclient_limits: [{usd_per_day: 9000001}]",
		"endpoint, no label": "internal_endpoints: {.internal: 'http://127.0.0.1'}",
		"endpoint's path":    "internal_endpoints: {a.internal: 'http://127.0.0.1/v1'}",
	} {
		t.Run(name, func(t *testing.T) {
			v, err := decode(doc)
			require.NoError(t, err)
			assert.Error(t, s.Validate(v))
			cfg, err := aigateway.ParseConfig([]byte(doc))
			if err == nil {
				_, err = aigateway.New(cfg)
			}
			assert.Error(t, err, "the gateway refuses it as well")
		})
	}
}

// An unknown field is reported with its place.
func TestSchemaForEditors(t *testing.T) {
	s := compile(t)
	v, err := decode("providers:\n  - id: a\n    base_ulr: https://a.example\n")
	require.NoError(t, err)
	err = s.Validate(v)
	require.Error(t, err)
	assert.Contains(t, err.Error(), "/providers/0")
	assert.Contains(t, err.Error(), "base_ulr")
}

func compile(t *testing.T) *jsonschema.Schema {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(aigateway.ConfigSchema()))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	require.NoError(t, c.AddResource("config.schema.json", doc))
	s, err := c.Compile("config.schema.json") // which checks it against the schema of schemas
	require.NoError(t, err)
	assert.Equal(t, 2020, s.DraftVersion)
	return s
}

// decode reads YAML as editors do: a date is a string.
func decode(doc string) (any, error) {
	var v any
	if err := yaml.Unmarshal([]byte(doc), &v); err != nil {
		return nil, err
	}
	return plain(v), nil
}

func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, child := range v {
			v[k] = plain(child)
		}
	case map[any]any: // keys that are no strings
		return 0
	case []any:
		for i, child := range v {
			v[i] = plain(child)
		}
	case time.Time:
		return v.Format(time.DateOnly)
	}
	return v
}

func glob(t *testing.T, pattern string) []string {
	paths, err := filepath.Glob(filepath.Join("../..", pattern))
	require.NoError(t, err)
	require.NotEmpty(t, paths, pattern)
	return paths
}

func read(t *testing.T, path string) string {
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(raw)
}
