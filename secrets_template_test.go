package aigateway_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
)

func TestTemplateHidesLiterals(t *testing.T) {
	for _, tt := range templateTests {
		t.Run(tt.template, func(t *testing.T) {
			tmpl := aigateway.Template(tt.template)
			assert.Equal(t, tt.shown, tmpl.String())
			assert.Equal(t, tt.shown, fmt.Sprintf("%v", tmpl))
			assert.Equal(t, fmt.Sprintf("%q", tt.shown), tmpl.GoString())
			assert.Equal(t, fmt.Sprintf("%40q", tt.shown), fmt.Sprintf("%40q", tmpl))
			assert.Equal(t, tt.template, string(tmpl))
		})
	}
}

func FuzzTemplateString(f *testing.F) {
	for _, tt := range templateTests {
		f.Add(tt.template)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "…") {
			return // would be taken for a mark
		}
		shown := aigateway.Template(text).String()
		if !strings.Contains(text, "${") || !strings.Contains(text, "}") {
			assert.Equal(t, strings.Trim(shown, "…"), "")
		}
		for part := range strings.SplitSeq(shown, "…") {
			assert.Contains(t, text, part)
			if part != "" {
				assert.True(t, strings.HasPrefix(part, "${") && strings.HasSuffix(part, "}"), "%q", part)
			}
		}
	})
}

// TestNothingPrintsSecrets prints each exported type with a secret in every way
// of printing.
func TestNothingPrintsSecrets(t *testing.T) {
	const literal = "sk-proj-0123456789abcdef2315"
	provider := aigateway.Provider{
		ID:          "p",
		APIKeys:     []aigateway.APIKey{{Value: literal}},
		Headers:     map[string]aigateway.Template{"X-Key": "Bearer " + literal},
		QueryParams: map[string]aigateway.Template{"key": literal + "${req.id}"},
		Proxy:       "http://user:" + literal + "@proxy.example.com",
	}
	config := aigateway.Config{
		Providers:   []aigateway.Provider{provider},
		Headers:     map[string]aigateway.Template{"X-Key": literal},
		QueryParams: map[string]aigateway.Template{"key": literal},
		Secrets:     aigateway.ChainSecrets(aigateway.MapSecrets(map[string]map[string]string{"v": {"n": literal}})),
		Registry:    aigateway.StaticRegistry(provider),
	}
	cache := aigateway.NewSecretCache(aigateway.MapSecrets(map[string]map[string]string{"v": {"n": literal}}), 0)
	_, err := cache.ResolveSecret(t.Context(), "v", "n")
	require.NoError(t, err)

	values := map[string]any{
		"Template":       aigateway.Template(literal),
		"*Template":      new(aigateway.Template(literal)),
		"APIKey":         provider.APIKeys[0],
		"[]APIKey":       provider.APIKeys,
		"headers":        provider.Headers,
		"Provider":       provider,
		"*Provider":      &provider,
		"Config":         config,
		"*Config":        &config,
		"MapSecrets":     aigateway.MapSecrets(map[string]map[string]string{"v": {"n": literal}}),
		"ChainSecrets":   aigateway.ChainSecrets(aigateway.MapSecrets(map[string]map[string]string{"v": {"n": literal}}), cache),
		"SecretCache":    cache,
		"StaticRegistry": aigateway.StaticRegistry(provider),
	}
	// fmt asks no methods of a pointer that it cannot print under a verb, unless the
	// pointer itself has them.
	whole := config
	whole.InternalEndpoints = map[string]string{"a.internal": "http://u:" + literal + "@127.0.0.1"}
	whole.Body = map[string]any{"user": literal, "deep": []any{map[string]any{"k": "x " + literal}, json.Number("1"), true, nil}, "typed": map[string]string{"k": literal}, "odd": &struct{ S string }{literal}}
	whole.Secrets = &struct {
		aigateway.SecretResolver
		Token string
	}{aigateway.EnvSecrets(), literal}
	whole.Providers = []aigateway.Provider{provider}
	whole.Providers[0].BaseURL = "https://p.example/?key=" + literal
	whole.Providers[0].Body = whole.Body
	whole.Providers[0].Metadata = map[string]any{"note": "with " + literal}
	key := &whole.Providers[0].APIKeys[0]
	for name, v := range map[string]any{
		"[]*Config": []*aigateway.Config{&whole}, "map of *Config": map[string]*aigateway.Config{"a": &whole},
		"struct of *Config": struct{ C *aigateway.Config }{&whole}, "*struct of Config": &struct{ C aigateway.Config }{whole},
		"[]any of *Config": []any{&whole, whole}, "**Config": new(&whole), "whole": whole,
		"[]*Provider": []*aigateway.Provider{&whole.Providers[0]}, "map of *Provider": map[string]*aigateway.Provider{"a": &whole.Providers[0]},
		"struct of *Provider": struct{ P *aigateway.Provider }{&whole.Providers[0]},
		"[]*APIKey":           []*aigateway.APIKey{key}, "map of *APIKey": map[int]*aigateway.APIKey{1: key}, "struct of *APIKey": struct{ K *aigateway.APIKey }{key},
		"[]*Template": []*aigateway.Template{&key.Value}, "struct of *Template": struct{ T *aigateway.Template }{&key.Value},
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%#q", "%x", "% X", "%d", "%t", "%U", "%40v"} {
			text := strings.ToLower(strings.ReplaceAll(fmt.Sprintf(verb, v), " ", ""))
			assert.NotContains(t, text, "0123456789abcdef", "%s by %s", name, verb)
			assert.NotContains(t, text, hex.EncodeToString([]byte("0123456789abcdef")), "%s by %s", name, verb)
		}
	}
	for _, v := range []any{[]*aigateway.Config{nil}, []*aigateway.Provider{nil}, []*aigateway.APIKey{nil}} {
		assert.Equal(t, "[<nil>]", fmt.Sprintf("%s", v))
	}
	assert.Contains(t, fmt.Sprintf("%+v", whole), "MaxAttempts:0")
	assert.Contains(t, fmt.Sprintf("%+v", provider), "{ID:p IDAliases:[] BaseURL: APIKeys:[{Value:… Limits:")

	// Redaction never shows the middle: as it is, or in the form of %x.
	hidden := []string{"0123456789abcdef", hex.EncodeToString([]byte("0123456789abcdef")), base64.StdEncoding.EncodeToString([]byte(literal))[8:24]}
	for name, v := range values {
		t.Run(name, func(t *testing.T) {
			var out []string
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%#q", "%x", "% X", "%d", "%t", "%U", "%40v", "%!"} {
				out = append(out, fmt.Sprintf(verb, v))
			}
			if text, err := json.Marshal(v); err == nil {
				out = append(out, string(text))
			}
			var logs bytes.Buffer
			slog.New(slog.NewTextHandler(&logs, nil)).Info("x", "v", v)
			slog.New(slog.NewJSONHandler(&logs, nil)).Info("x", "v", v)
			out = append(out, logs.String(), fmt.Sprint(v), fmt.Sprintln(v), fmt.Errorf("x: %v", v).Error())
			for _, text := range out {
				for _, h := range hidden {
					assert.NotContains(t, strings.ToLower(strings.ReplaceAll(text, " ", "")), strings.ToLower(h))
				}
			}
		})
	}

	assert.Equal(t, `map[v:map[n:sk-proj…2315]]`, fmt.Sprint(values["MapSecrets"]))
	assert.Equal(t, `map[string]map[string]string{"v":map[string]string{"n":"sk-proj…2315"}}`, fmt.Sprintf("%#v", values["MapSecrets"]))
	assert.Equal(t, fmt.Sprint(values["MapSecrets"]), values["MapSecrets"].(fmt.Stringer).String())
	assert.Equal(t, fmt.Sprintf("%#v", values["MapSecrets"]), values["MapSecrets"].(fmt.GoStringer).GoString())
	text, err := json.Marshal(provider)
	require.NoError(t, err)
	assert.JSONEq(t, `{"id":"p","api_keys":[{"value":"…"}],"headers":{"X-Key":"…"},"proxy":"http://…@proxy.example.com","query_params":{"key":"…${req.id}"}}`, string(text))
}

// A Template reads from JSON unchanged. Its output is only for eyes.
func TestTemplateReadsFromJSON(t *testing.T) {
	var key aigateway.APIKey
	require.NoError(t, json.Unmarshal([]byte(`{"value":"sk-literal"}`), &key))
	assert.Equal(t, "sk-literal", string(key.Value))
}
