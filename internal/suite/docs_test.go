package suite_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	yaml "sigs.k8s.io/yaml/goyaml.v3"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
)

// docsRoot is the root of the repository.
const docsRoot = "../.."

// docsCompiled are the Go files that hold the Go of the documents.
var docsCompiled = []string{
	"internal/suite/docs_test.go", "examples/mount/main.go", "examples/inprocess/main.go",
	"internal/suite/cookbook_test.go", "internal/suite/cookbook_networks_test.go",
	"contrib/aws/cookbook_test.go", "contrib/oauth2/cookbook_test.go",
}

// docsBlock is a fenced block of a Markdown file.
type docsBlock struct {
	file, lang, info, text string
}

// TestDocsBlocks runs every block of code in the README and the documents
// somewhere: YAML makes a gateway here, Go stands in an example or in this file,
// and foreign configs parse.
func TestDocsBlocks(t *testing.T) {
	t.Chdir(docsRoot)
	var code string
	for _, file := range docsCompiled {
		code += docsUnindented(docsRead(t, file))
	}
	count := map[string]int{}
	for _, block := range docsBlocks(t) {
		count[block.lang]++
		t.Run(block.file, func(t *testing.T) {
			switch block.lang {
			case "yaml":
				if block.info != "" { // of another program
					var v any
					require.NoError(t, yaml.Unmarshal([]byte(block.text), &v), block.text)
					break
				}
				cfg, err := aigateway.ParseConfig([]byte(block.text))
				require.NoError(t, err, block.text)
				for i := range cfg.Providers {
					cfg.Providers[i].TLS.CAFile, cfg.Providers[i].TLS.CertFile, cfg.Providers[i].TLS.KeyFile = "", "", "" // not here
				}
				_, err = aigateway.New(cfg)
				assert.NoError(t, err, block.text)
			case "json":
				assert.True(t, json.Valid([]byte(block.text)), block.text)
			case "go":
				assert.Contains(t, code, docsUnindented(block.text), "no test compiles this")
			case "", "sh", "python", "mermaid":
			default:
				t.Errorf("nothing is known of blocks in %q", block.lang)
			}
		})
	}
	for _, lang := range []string{"yaml", "json", "go", "sh"} {
		assert.Greater(t, count[lang], 1, lang)
	}
}

// TestREADME holds the README to its size, and its program, config, commands and
// badges to the sources.
func TestREADME(t *testing.T) {
	t.Chdir(docsRoot)
	readme := docsRead(t, "README.md")
	assert.LessOrEqual(t, len(readme), 12<<10)
	assert.Contains(t, readme, "```yaml\n"+docsRead(t, "examples/mount/gateway.yaml")+"```")
	assert.Contains(t, readme, "```go\n"+docsProgram(t, "examples/mount/main.go")+"```")

	ci := docsRead(t, ".ci/run")
	for _, block := range docsBlocks(t) {
		if block.file == "README.md" && block.lang == "sh" {
			assert.Contains(t, ci, "\n"+block.text, "CI does not run it")
		}
	}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(docsRead(t, "go.mod"))
	require.NotNil(t, version)
	assert.Contains(t, readme, "badge/go-"+version[1]+"%2B-")
	assert.Contains(t, readme, "badge/licence-Apache--2.0-")
	assert.Contains(t, docsRead(t, "LICENSE"), "Apache License")
}

// TestREADMEQuickstart runs the first command of the README and finds the scenes
// that it shows. Milliseconds differ from run to run.
func TestREADMEQuickstart(t *testing.T) {
	t.Chdir(docsRoot)
	took := regexp.MustCompile(`\d+\.\d+ ms`)
	out, err := exec.CommandContext(t.Context(), "go", "run", "./examples/quickstart").Output()
	require.NoError(t, err)
	printed := took.ReplaceAllString(string(out), "N ms")
	for _, block := range docsBlocks(t) {
		if block.file != "README.md" || block.lang != "" || strings.HasPrefix(block.text, "ok") {
			continue
		}
		for scene := range strings.SplitSeq(strings.TrimSpace(block.text), "\n\n") {
			assert.Contains(t, printed, took.ReplaceAllString(scene, "N ms")+"\n\n")
		}
		return
	}
	t.Fatal("the README shows no output")
}

// TestSecurityPromises finds each test that SECURITY.md and the threat model name.
func TestSecurityPromises(t *testing.T) {
	t.Chdir(docsRoot)
	var tests strings.Builder
	require.NoError(t, filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, "_test.go") {
			tests.WriteString(docsRead(t, path))
		}
		return err
	}))
	for _, file := range []string{"SECURITY.md", "docs/threat-model.md"} {
		names := regexp.MustCompile("`(Test[A-Za-z0-9]+)`").FindAllStringSubmatch(docsRead(t, file), -1)
		require.Greater(t, len(names), 20, file)
		for _, m := range names {
			assert.True(t, strings.Contains(tests.String(), "func "+m[1]+"(t *testing.T)"), "%s: there is no %s", file, m[1])
		}
	}
}

// TestThreatModel finds a test in each row of the threats, and each actor's table.
func TestThreatModel(t *testing.T) {
	t.Chdir(docsRoot)
	text := docsRead(t, "docs/threat-model.md")
	actors := regexp.MustCompile(`(?m)^\| \[([a-z ]+)\]\(#`).FindAllStringSubmatch(text, -1)
	require.GreaterOrEqual(t, len(actors), 5)
	for _, m := range actors {
		_, section, ok := strings.Cut(strings.ToLower(text), "\n## "+m[1]+"\n")
		require.True(t, ok, m[1])
		section, _, _ = strings.Cut(section, "\n## ")
		_, rows, ok := strings.Cut(section, "\n|---|---|---|\n")
		require.True(t, ok, m[1])
		rows, _, _ = strings.Cut(rows, "\n\n")
		for row := range strings.SplitSeq(strings.TrimSpace(rows), "\n") {
			assert.Regexp(t, "\\| [^|]+ \\| [^|]+ \\| (`test[a-z0-9]+`(, )?)+ \\|$", row)
		}
	}
}

// TestDocsIndex finds each document in docs/README.md.
func TestDocsIndex(t *testing.T) {
	t.Chdir(docsRoot)
	index := docsRead(t, "docs/README.md")
	for _, file := range docsFiles(t) {
		if name := filepath.Base(file); name != "README.md" {
			assert.Contains(t, index, "]("+name+")")
		}
	}
}

// TestDocsMigrating asks the migrated configs for the names of the old ones.
func TestDocsMigrating(t *testing.T) {
	t.Chdir(docsRoot)
	var configs []string
	for _, block := range docsBlocks(t) {
		if block.file == "docs/migrating.md" && block.lang == "yaml" && block.info == "" {
			configs = append(configs, block.text)
		}
	}
	require.Len(t, configs, 3)
	ngrok, litellm, bifrost := configs[0], configs[1], configs[2]
	for _, row := range []struct {
		name, config, model string
		want                []string
	}{
		{"ngrok", ngrok, "llama3", []string{"my-provider:llama3"}},
		{"ngrok", ngrok, "ngrok/auto", []string{"my-provider:llama3"}},
		{"ngrok", ngrok, "gpt-4o", []string{"openai:gpt-4o"}},
		{"litellm", litellm, "gpt-4o", []string{"azure:gpt-4o-eu", "openai:gpt-4o"}},
		{"litellm", litellm, "claude", []string{"anthropic:claude-sonnet-4-5"}},
		{"litellm", litellm, "llama3", []string{"vllm-1:llama3", "vllm-2:llama3"}},
		{"litellm", litellm, "fast", []string{"vllm-1:llama3", "vllm-2:llama3"}},
		{"bifrost", bifrost, "openai:gpt-4o-mini", []string{"openai:gpt-4o-mini"}},
		{"bifrost", bifrost, "llama3.2", []string{"ollama:llama3.2"}},
	} {
		t.Run(row.name+"/"+row.model, func(t *testing.T) {
			cfg, err := aigateway.ParseConfig([]byte(row.config))
			require.NoError(t, err)
			gateway, err := aigateway.New(cfg)
			require.NoError(t, err)
			res, err := gateway.Explain(httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"`+row.model+`"}`)))
			require.NoError(t, err)
			assert.ElementsMatch(t, row.want, docsTried(res))
		})
	}
}

// TestDocsMisspelt shows the error of a misspelt field as the document does.
func TestDocsMisspelt(t *testing.T) {
	_, err := aigateway.ParseConfig([]byte("providers:\n  - id: a\n    base_ulr: https://a.example\n"))
	require.Error(t, err)
	shown := strings.Contains(docsRead(t, docsRoot+"/docs/configuration.md"), "```\n"+err.Error()+"\n```")
	assert.True(t, shown, "the document shows another error than %v", err)
}

// TestDocsObserving runs the code that shows a service how to see inside.
func TestDocsObserving(t *testing.T) {
	t.Chdir(docsRoot + "/examples/mount")
	mux := http.NewServeMux()
	mount := func() error {
		// load reads the file and adds the fields that no file can hold: for New, and anew for each Reload.
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

// TestDocsSecrets compiles the code that sets a store.
func TestDocsSecrets(t *testing.T) {
	var cfg aigateway.Config
	store := docsStore{"openai/api-key": "sk-of-the-store"}
	cfg.Secrets = aigateway.ChainSecrets(aigateway.DirSecrets("/run/secrets"),
		aigateway.EnvSecrets())
	t.Setenv("OPENAI_API_KEY", "sk-of-the-environment")
	value, err := cfg.Secrets.ResolveSecret(t.Context(), "openai", "api-key")
	require.NoError(t, err)
	assert.Equal(t, "sk-of-the-environment", value)

	cfg.Secrets = aigateway.SecretResolverFunc(func(ctx context.Context, vault, name string) (string, error) {
		return store.Get(ctx, vault+"/"+name)
	})
	value, err = cfg.Secrets.ResolveSecret(t.Context(), "openai", "api-key")
	require.NoError(t, err)
	assert.Equal(t, "sk-of-the-store", value)
}

// TestDocsLogin puts the login of docs/money.md before limits: a client has the limit
// of its key, whatever tenant it names.
func TestDocsLogin(t *testing.T) {
	upstream := httptest.NewServer(gatewaytest.Chat("hi"))
	defer upstream.Close()
	tenants := map[string]string{"Bearer sk-red": "red", "Bearer sk-blue": "blue"}
	login := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			tenant, ok := tenants[r.Header.Get("Authorization")] // your own look-up
			if !ok {
				aigateway.WriteError(w, r, &aigateway.Error{Code: "invalid_api_key", Status: http.StatusUnauthorized, Message: "this key is not known here"})
				return
			}
			r.Header.Set("X-Tenant", tenant) // in place of the client's
			next.ServeHTTP(w, r)
		})
	}
	gateway, err := aigateway.New(aigateway.Config{
		CallerExpr:        "req.headers['x-tenant'][0]",
		ClientLimits:      []aigateway.ClientLimit{{RequestsPerMinute: 1}},
		Providers:         []aigateway.Provider{{ID: "stub", BaseURL: "http://stub.internal"}},
		InternalEndpoints: map[string]string{"stub.internal": upstream.URL},
	})
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("/v1/", login(gateway))
	for _, row := range []struct {
		key, named string
		status     int
	}{
		{"sk-red", "", http.StatusOK},
		{"sk-red", "blue", http.StatusTooManyRequests},
		{"sk-blue", "red", http.StatusOK},
		{"sk-other", "red", http.StatusUnauthorized},
	} {
		r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"stub:any"}`))
		r.Header.Set("Authorization", "Bearer "+row.key)
		r.Header.Set("X-Tenant", row.named)
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		assert.Equal(t, row.status, w.Code, "%s as %q: %s", row.key, row.named, w.Body)
	}
}

// docsStore is a store of secrets as a service may have one.
type docsStore map[string]string

func (s docsStore) Get(_ context.Context, name string) (string, error) { return s[name], nil }

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

// TestDocsOwnConfig tests a real config with its hosts and secrets replaced.
func TestDocsOwnConfig(t *testing.T) {
	t.Chdir(docsRoot + "/examples/mount")
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

// docsErrorCode is the declaration of an error code in errors.go.
var docsErrorCode = regexp.MustCompile(`(?m)^\tCode\w+ +Code = "(\w+)"$`)

// TestDocsErrorCodes: docs/failover.md has a row for each error code, with its status.
func TestDocsErrorCodes(t *testing.T) {
	source, err := os.ReadFile(filepath.Join(docsRoot, "errors.go"))
	require.NoError(t, err)
	document, err := os.ReadFile(filepath.Join(docsRoot, "docs", "failover.md"))
	require.NoError(t, err)
	codes := docsErrorCode.FindAllStringSubmatch(string(source), -1)
	require.Greater(t, len(codes), 20)
	for _, code := range codes {
		row := regexp.MustCompile("(?m)^\\|[^|]*`" + code[1] + "`[^|]*\\|([^|]*)\\|").FindStringSubmatch(string(document))
		if !assert.NotNil(t, row, "%s has no row", code[1]) {
			continue
		}
		// No client reads a 499, and a relayed answer keeps its provider's status.
		if status := aigateway.Code(code[1]).HTTPStatus(); status != 499 && code[1] != string(aigateway.CodeUpstreamError) {
			assert.Equal(t, strconv.Itoa(status), strings.TrimSpace(row[1]), code[1])
		}
	}
}

// TestDocsFields holds the tables of fields to the Config: they are complete,
// and their defaults are those of the schema.
func TestDocsFields(t *testing.T) {
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
			rows, names := docsTable(t, table.title)
			assert.ElementsMatch(t, docsFields(table.typ), names)
			def := schema.Defs[table.typ.Name()]
			for _, name := range names {
				if strings.Contains(name, ".") {
					continue // of a type of its own
				}
				require.Contains(t, def.Properties, name)
				if want := def.Properties[name].Default; want != nil {
					assert.EqualValues(t, docsJSON(t, want), rows[name], name)
				}
				assert.Equal(t, slices.Contains(def.Required, name), rows[name] == "required", name)
			}
		})
	}
	t.Run("only in Go", func(t *testing.T) {
		var want []string
		typ := reflect.TypeFor[aigateway.Config]()
		for f := range typ.Fields() {
			if f.Tag.Get("json") == "-" {
				want = append(want, f.Name)
			}
		}
		_, names := docsTable(t, "only in Go")
		assert.ElementsMatch(t, want, names)
	})
}

// docsFields lists the names of a type's fields in YAML. Fields of inner types
// go by their paths; providers and models have tables of their own.
func docsFields(typ reflect.Type) (names []string) {
	for f := range typ.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" || !f.IsExported() {
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
		for _, inner := range docsFields(of) {
			names = append(names, name+mark+"."+inner)
		}
	}
	return names
}

// docsTable reads the table of docs/configuration.md whose first column has that
// title: the second column of each row by the names in the first, and the names
// in their order.
func docsTable(t *testing.T, title string) (second map[string]string, names []string) {
	t.Helper()
	_, table, ok := strings.Cut(docsRead(t, docsRoot+"/docs/configuration.md"), "\n| "+title+" |")
	require.True(t, ok, "there is no such table")
	table, _, _ = strings.Cut(table, "\n\n")
	second = map[string]string{}
	for _, line := range strings.Split(table, "\n")[2:] {
		cells := strings.Split(line, "|")
		require.Len(t, cells, 5, line)
		for _, name := range docsCode(cells[1]) {
			second[name], names = strings.TrimSpace(cells[2]), append(names, name)
		}
	}
	return second, names
}

// TestDocsProviders finds each built-in provider with its aliases in the list of
// the document, and in the comment of BuiltinRegistry.
func TestDocsProviders(t *testing.T) {
	providers, err := aigateway.BuiltinRegistry().Providers(t.Context())
	require.NoError(t, err)
	comment := docsRead(t, docsRoot+"/provider_catalog.go")
	var want []string
	for _, p := range providers {
		want = append(append(want, p.ID), p.IDAliases...)
		assert.Regexp(t, `(?m)^//.*\b`+regexp.QuoteMeta(p.ID)+`\b`, comment)
	}
	assert.Equal(t, want, docsCode(docsParagraph(t, "**Built-in providers.**")))

	// The document names the speakers of Anthropic's format.
	var speak []string
	for _, p := range providers {
		if slices.ContainsFunc(p.SupportedAPISurfaces, func(s aigateway.APISurface) bool { return s.Format == "anthropic" }) {
			speak = append(speak, p.ID)
		}
	}
	assert.Equal(t, []string{"anthropic", "fireworks"}, speak)
}

// TestDocsSurfaces finds each served surface in the table of the document, and,
// by its name in a config, in the comment of APISurface.
func TestDocsSurfaces(t *testing.T) {
	_, err := aigateway.New(aigateway.Config{Providers: []aigateway.Provider{{
		ID: "p", BaseURL: "https://p.example.com",
		SupportedAPISurfaces: []aigateway.APISurface{{Format: "openai", Surface: "none-such"}, {Format: "anthropic", Surface: "none-such"}},
	}}})
	var problems aigateway.ConfigErrors
	require.True(t, errors.As(err, &problems))
	require.Len(t, problems, 2)
	named := map[string][]string{}
	rows := regexp.MustCompile("(?m)^\\| `([^`{]+)` \\| [^|]+ \\| (openai|anthropic) \\|")
	for _, row := range rows.FindAllStringSubmatch(docsRead(t, docsRoot+"/docs/endpoints.md"), -1) {
		if strings.HasPrefix(row[1], "videos/") {
			continue // videos covers them
		}
		named[row[2]] = append(named[row[2]], strings.NewReplacer("/*", "", "/", "-", "_", "-").Replace(row[1]))
	}
	comment := docsUnindented(docsRead(t, docsRoot+"/provider.go"))
	for i, format := range []string{"openai", "anthropic"} {
		_, list, ok := strings.Cut(problems[i].Reason, "must be one of ")
		require.True(t, ok, problems[i].Reason)
		want := strings.Split(list, ", ")
		assert.ElementsMatch(t, want, named[format])
		for _, name := range want {
			assert.Regexp(t, `(?m)^//.*[ "]`+name+`[,.; ":]`, comment, "the comment of APISurface")
		}
	}
}

// TestDocsAuto tries requests without a model, as the document describes them.
func TestDocsAuto(t *testing.T) {
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
				row.want(docsTried(res), err)
			}
		})
	}
}

// docsTried lists the models that a dry run would try, as "provider:model".
func docsTried(res *aigateway.Result) (names []string) {
	if res == nil {
		return nil
	}
	for _, m := range res.ModelsTried {
		names = append(names, m.Provider+":"+m.Model)
	}
	return names
}

// docsParagraph returns the paragraph of docs/getting-started.md that begins so.
func docsParagraph(t *testing.T, begin string) string {
	t.Helper()
	_, rest, ok := strings.Cut(docsRead(t, docsRoot+"/docs/getting-started.md"), "\n"+begin)
	require.True(t, ok, begin)
	paragraph, _, _ := strings.Cut(rest, "\n\n")
	return paragraph
}

// docsFiles are the README and the documents, from the root.
func docsFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("docs/*.md")
	require.NoError(t, err)
	require.Greater(t, len(files), 10)
	return append([]string{"README.md"}, files...)
}

// docsBlocks are the blocks of code of all of them.
func docsBlocks(t *testing.T) (blocks []docsBlock) {
	t.Helper()
	fence := regexp.MustCompile("(?ms)^( *)```(\\w*)([^\n]*)\n(.*?)^ *```$")
	for _, file := range docsFiles(t) {
		for _, m := range fence.FindAllStringSubmatch(docsRead(t, file), -1) {
			blocks = append(blocks, docsBlock{file, m[2], strings.TrimSpace(m[3]), m[4]})
		}
	}
	return blocks
}

// docsCode lists the texts between backquotes.
func docsCode(text string) (list []string) {
	for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(text, -1) {
		list = append(list, m[1])
	}
	return list
}

// docsUnindented is code without the white space at the beginning of its lines.
func docsUnindented(code string) string {
	return regexp.MustCompile(`(?m)^[ \t]+`).ReplaceAllString(code, "")
}

// docsProgram is a Go file without the comment above its package.
func docsProgram(t *testing.T, file string) string {
	t.Helper()
	text := docsRead(t, file)
	i := strings.Index(text, "package ")
	require.GreaterOrEqual(t, i, 0)
	return text[i:]
}

// docsJSON is a value of the schema as a table shows it.
func docsJSON(t *testing.T, v any) string {
	t.Helper()
	if s, ok := v.(string); ok {
		return s
	}
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return string(b)
}

func docsRead(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.FromSlash(file))
	require.NoError(t, err)
	return string(b)
}
