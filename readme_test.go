package aigateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
)

// The README's code is run somewhere: YAML makes a gateway here, the program is
// that of examples/mount, other Go stands below, and the commands are those of .ci/run.
func TestREADME(t *testing.T) {
	readme := readREADME(t)
	blocks := map[string][]string{}
	for _, m := range regexp.MustCompile("(?s)```(\\w+)\n(.*?)```").FindAllStringSubmatch(readme, -1) {
		blocks[m[1]] = append(blocks[m[1]], m[2])
	}

	require.NotEmpty(t, blocks["yaml"])
	for _, doc := range blocks["yaml"] {
		cfg, err := aigateway.ParseConfig([]byte(doc))
		require.NoError(t, err, doc)
		_, err = aigateway.New(cfg)
		assert.NoError(t, err, doc)
	}
	mounted := readExample(t, "mount/gateway.yaml")
	assert.Contains(t, blocks["yaml"], mounted)

	require.Len(t, blocks["go"], 4)
	assert.Contains(t, readExample(t, "mount/main.go"), blocks["go"][0])
	here := unindented(readExample(t, "../readme_test.go"))
	for _, block := range blocks["go"][1:] {
		assert.Contains(t, here, unindented(block))
	}

	ci, err := os.ReadFile(".ci/run")
	require.NoError(t, err)
	require.NotEmpty(t, blocks["sh"])
	for _, command := range blocks["sh"] {
		assert.Contains(t, string(ci), "\n"+command, "CI does not run it")
	}
}

// The code by which a service sees what happens.
func TestREADMEObserving(t *testing.T) {
	t.Chdir("examples/mount")
	mux := http.NewServeMux()
	mount := func() error {
		// load reads the file and adds what no file can hold: for New, and anew for each Reload.
		load := func() (aigateway.Config, error) {
			cfg, err := aigateway.LoadConfig("gateway.yaml")
			cfg.Logger = slog.Default()
			return cfg, err
		}
		cfg, err := load()
		if err != nil {
			return err
		}
		gateway, err := aigateway.New(cfg)
		if err != nil {
			return err
		}
		mux.Handle("/v1/", gateway)
		mux.Handle("/debug/aigateway", gateway.DebugHandler()) // let only operators in

		if cfg, err = load(); err != nil {
			return err
		}
		return gateway.Reload(cfg)
	}
	require.NoError(t, mount())
	for _, path := range []string{"/v1/models", "/debug/aigateway"} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		assert.Equal(t, http.StatusOK, w.Code)
		assert.Contains(t, w.Body.String(), "llama3.2")
	}
}

func TestSecondKeyAnswers(t *testing.T) {
	var calls atomic.Int32
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) == 1 {
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		io.WriteString(w, `{"choices":[{"message":{"content":"Hi!"}}]}`)
	}))
	defer upstream.Close()

	var result *aigateway.Result
	gateway, err := aigateway.New(aigateway.Config{
		Providers:         []aigateway.Provider{{ID: "stub", BaseURL: "http://stub.internal", APIKeys: []aigateway.APIKey{{Value: "one"}, {Value: "two"}}}},
		InternalEndpoints: map[string]string{"stub.internal": upstream.URL},
		Hooks:             &aigateway.Hooks{RequestDone: func(_ context.Context, r *aigateway.Result) { result = r }},
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux() // or your function that mounts the gateway
	mux.Handle("/ai/", gateway)

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/ai/v1/chat/completions", strings.NewReader(`{"model":"stub:any"}`)))
	if w.Code != http.StatusOK {
		t.Fatalf("answered %d %s", w.Code, w.Body)
	}
	if attempts := result.ModelsTried[0].RequestsMade; len(attempts) != 2 {
		t.Errorf("attempts: %+v", attempts)
	}
}

// A real config can be tested with its hosts and secrets replaced.
func TestREADMEOwnConfig(t *testing.T) {
	t.Chdir("examples/mount")
	var asked []string
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Host+r.URL.Path+" "+r.Header.Get("Authorization"))
		io.WriteString(w, `{"choices":[{"message":{"content":"Hi!"}}]}`)
	}))
	defer upstream.Close()
	cfg, err := aigateway.LoadConfig("gateway.yaml")
	if err != nil {
		t.Fatal(err)
	}
	cfg.InternalEndpoints = map[string]string{"ollama.internal": upstream.URL}
	cfg.Secrets = aigateway.MapSecrets(map[string]map[string]string{"openai": {"api-key": "sk-test"}})
	cfg.Providers[1].BaseURL = upstream.URL // of a provider outside of .internal, which needs
	cfg.URLPolicy = aigateway.LoopbackURLPolicy()

	gateway, err := aigateway.New(cfg)
	require.NoError(t, err)
	for _, model := range []string{"llama3.2", "gpt-4o"} {
		w := httptest.NewRecorder()
		gateway.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"`+model+`"}`)))
		assert.Equal(t, http.StatusOK, w.Code, w.Body)
	}
	assert.Equal(t, []string{
		"ollama.internal/v1/chat/completions ",
		strings.TrimPrefix(upstream.URL, "http://") + "/v1/chat/completions Bearer sk-test",
	}, asked)
}

// The README's tables of fields are complete, and their defaults are those of
// the schema, which are those of New.
func TestREADMEFields(t *testing.T) {
	var schema struct {
		Defs map[string]struct {
			Required   []string
			Properties map[string]struct{ Default any }
		} `json:"$defs"`
	}
	require.NoError(t, json.Unmarshal(aigateway.ConfigSchema(), &schema))
	for _, table := range []struct {
		title string
		typ   reflect.Type
	}{
		{"field of the config", reflect.TypeFor[aigateway.Config]()},
		{"field of a provider", reflect.TypeFor[aigateway.Provider]()},
		{"field of a model", reflect.TypeFor[aigateway.Model]()},
	} {
		t.Run(table.title, func(t *testing.T) {
			rows, names := readmeTable(t, table.title)
			assert.Equal(t, slices.Sorted(slices.Values(readmeFields(table.typ))), slices.Sorted(slices.Values(names)))
			def := schema.Defs[table.typ.Name()]
			for _, name := range names {
				if strings.Contains(name, ".") {
					continue // of a type of its own
				}
				require.Contains(t, def.Properties, name)
				if want := def.Properties[name].Default; want != nil {
					assert.EqualValues(t, jsonText(t, want), rows[name], name)
				}
				assert.Equal(t, slices.Contains(def.Required, name), rows[name] == "required", name)
			}
		})
	}
	t.Run("only in Go", func(t *testing.T) {
		var want []string
		for f := range reflect.TypeFor[aigateway.Config]().Fields() {
			if f.Tag.Get("json") == "-" {
				want = append(want, f.Name)
			}
		}
		_, names := readmeTable(t, "only in Go")
		assert.Equal(t, want, names)
	})
}

// readmeFields are the names of a type's fields in YAML, those of types within
// it by their paths, but for providers and models, which have tables of their own.
func readmeFields(typ reflect.Type) (names []string) {
	for f := range typ.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		of, mark := f.Type, ""
		switch of.Kind() {
		case reflect.Slice:
			of, mark = of.Elem(), "[]"
		case reflect.Pointer:
			of = of.Elem()
		}
		if of.Kind() != reflect.Struct || of == reflect.TypeFor[aigateway.Provider]() || of == reflect.TypeFor[aigateway.Model]() {
			names = append(names, name)
			continue
		}
		for _, inner := range readmeFields(of) {
			names = append(names, name+mark+"."+inner)
		}
	}
	return names
}

// readmeTable reads the README's table whose first column has that title: the
// second column of each row by the names in the first, and these in their order.
func readmeTable(t *testing.T, title string) (second map[string]string, names []string) {
	t.Helper()
	_, table, ok := strings.Cut(readREADME(t), "\n| "+title+" |")
	require.True(t, ok, "the README has no such table")
	table, _, _ = strings.Cut(table, "\n\n")
	second = map[string]string{}
	for _, line := range strings.Split(table, "\n")[2:] {
		cells := strings.Split(line, "|")
		require.Len(t, cells, 5, line)
		for _, name := range codeIn(cells[1]) {
			second[name], names = strings.TrimSpace(cells[2]), append(names, name)
		}
	}
	return second, names
}

// The README names each built-in provider, as the comment of BuiltinRegistry
// does, with its aliases.
func TestREADMEProviders(t *testing.T) {
	providers, err := aigateway.BuiltinRegistry().Providers(t.Context())
	require.NoError(t, err)
	comment := readExample(t, "../provider_registry.go")
	var want []string
	for _, p := range providers {
		want = append(append(want, p.ID), p.IDAliases...)
		assert.Regexp(t, `(?m)^//.*\b`+regexp.QuoteMeta(p.ID)+`\b`, comment)
	}
	paragraph := readmeParagraph(t, "**Built-in providers.**")
	assert.Equal(t, want, codeIn(paragraph))

	// Those that speak Anthropic's format are named as well.
	var speak []string
	for _, p := range providers {
		if slices.ContainsFunc(p.SupportedAPISurfaces, func(s aigateway.APISurface) bool { return s.Format == "anthropic" }) {
			speak = append(speak, p.ID)
		}
	}
	assert.Equal(t, []string{"anthropic"}, speak)
}

// The README lists the surfaces that are served, and so does the comment of
// APISurface, by the names that a config has for them.
func TestREADMESurfaces(t *testing.T) {
	_, err := aigateway.New(aigateway.Config{Providers: []aigateway.Provider{{
		ID: "p", BaseURL: "https://p.example.com",
		SupportedAPISurfaces: []aigateway.APISurface{{Format: "openai", Surface: "none-such"}, {Format: "anthropic", Surface: "none-such"}},
	}}})
	var problems aigateway.ConfigErrors
	require.True(t, errors.As(err, &problems))
	require.Len(t, problems, 2)
	paragraph := readmeParagraph(t, "**Surfaces.**")
	openai, anthropic, ok := strings.Cut(paragraph, "Anthropic's")
	require.True(t, ok)
	comment := unindented(readExample(t, "../provider.go"))
	for i, text := range []string{openai, anthropic} {
		_, list, ok := strings.Cut(problems[i].Reason, "must be one of ")
		require.True(t, ok, problems[i].Reason)
		var named []string
		for _, path := range codeIn(text) {
			if path != "anthropic" { // the provider
				named = append(named, strings.NewReplacer("/*", "", "/", "-", "_", "-").Replace(path))
			}
		}
		want := strings.Split(list, ", ")
		assert.ElementsMatch(t, want, named)
		for _, name := range want {
			assert.Regexp(t, `(?m)^//.*[ "]`+name+`[,.; ":]`, comment, "the comment of APISurface")
		}
	}
}

// What the README says of requests that name no model.
func TestREADMEAuto(t *testing.T) {
	key := []aigateway.APIKey{{Value: "k"}}
	own := aigateway.Provider{ID: "own", BaseURL: "https://own.example.com", Models: []aigateway.Model{{ID: "b"}, {ID: "a"}}}
	for _, row := range []struct {
		name      string
		providers []aigateway.Provider
		want      func(tried []string, err error)
	}{
		{"the models of the config, in its order", []aigateway.Provider{{ID: "openai", APIKeys: key}, own}, func(tried []string, err error) {
			assert.NoError(t, err)
			assert.Equal(t, []string{"own:b", "own:a"}, tried)
		}},
		{"those of the catalog that have a key", []aigateway.Provider{{ID: "openai", APIKeys: key}, {ID: "groq"}}, func(tried []string, err error) {
			assert.NoError(t, err)
			assert.Greater(t, len(tried), 5)
			for _, name := range tried {
				assert.True(t, strings.HasPrefix(name, "openai:"), name)
			}
		}},
		{"none without providers", nil, func(tried []string, err error) {
			assert.ErrorContains(t, err, "names no model")
			assert.Empty(t, tried)
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			gateway, err := aigateway.New(aigateway.Config{Providers: row.providers})
			require.NoError(t, err)
			for _, body := range []string{`{}`, `{"model":"auto"}`, `{"model":"ngrok/auto"}`} {
				res, err := gateway.Explain(httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(body)))
				row.want(selectionTried(res), err)
			}
		})
	}
}

// readmeParagraph returns the README's paragraph that begins so.
func readmeParagraph(t *testing.T, begin string) string {
	t.Helper()
	_, rest, ok := strings.Cut(readREADME(t), "\n"+begin)
	require.True(t, ok, begin)
	paragraph, _, _ := strings.Cut(rest, "\n\n")
	return paragraph
}

// codeIn lists what stands between backquotes.
func codeIn(text string) (list []string) {
	for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(text, -1) {
		list = append(list, m[1])
	}
	return list
}

// unindented is code without the white space that its lines begin with.
func unindented(code string) string {
	return regexp.MustCompile(`(?m)^[ \t]+`).ReplaceAllString(code, "")
}

// jsonText is a value of the schema as a table shows it.
func jsonText(t *testing.T, v any) string {
	t.Helper()
	if s, ok := v.(string); ok {
		return s
	}
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return string(b)
}

func readREADME(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("README.md")
	require.NoError(t, err)
	return string(b)
}

func readExample(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("examples", filepath.FromSlash(path)))
	require.NoError(t, err)
	return string(b)
}
