package aigateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/aigateway-go/aigateway"
)

// A gateway is mounted like any other handler.
func ExampleNew() {
	cfg, err := aigateway.ParseConfig([]byte(`
providers:
  - id: "ollama"
    base_url: "http://ollama.internal"
    models:
      - id: "llama3.2"
`))
	if err != nil {
		panic(err)
	}
	// The real place of the .internal host; the field internal_endpoints of a
	// file.
	cfg.InternalEndpoints = map[string]string{"ollama.internal": exampleOllama()}

	gateway, err := aigateway.New(cfg)
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/v1/", gateway)
	// From here on as always: http.ListenAndServe("localhost:8080", mux)

	fmt.Println(exampleChat(mux, `{"model": "ollama:llama3.2", "messages": [{"role": "user", "content": "Hi"}]}`))
	// Output:
	// 200 {"choices":[{"message":{"role":"assistant","content":"I am llama3.2."},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":6}}
}

// As middleware a gateway takes its own requests. With on_error: continue it
// also passes on the requests that it could not serve, with the Result.
func ExampleGateway_Wrap() {
	gateway, err := aigateway.New(aigateway.Config{
		Providers: []aigateway.Provider{{
			ID:      "ollama",
			BaseURL: "http://ollama.internal",
			Models:  []aigateway.Model{{ID: "llama3.2"}},
		}},
		InternalEndpoints:         map[string]string{"ollama.internal": exampleOllama()},
		OnlyAllowConfiguredModels: true,
		OnError:                   aigateway.OnErrorContinue,
	})
	if err != nil {
		panic(err)
	}
	rest := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if res, ok := aigateway.ResultFromContext(r.Context()); ok {
			http.Error(w, fmt.Sprintf("sorry: %s", res.Error.Code), res.Error.Status)
			return
		}
		fmt.Fprint(w, "the rest of the service")
	})
	handler := gateway.Wrap(rest)

	fmt.Println(exampleChat(handler, `{"model": "llama3.2", "messages": []}`))
	fmt.Println(exampleChat(handler, `{"model": "llama4", "messages": []}`))
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/about", nil))
	fmt.Println(w.Code, w.Body)
	// Output:
	// 200 {"choices":[{"message":{"role":"assistant","content":"I am llama3.2."},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":6}}
	// 422 sorry: no_matching_models
	// 200 the rest of the service
}

// A config error lists every problem, each with its path.
func ExampleParseConfig() {
	_, err := aigateway.ParseConfig([]byte(`
providers:
  - id: "my-provider"
    base_ulr: "https://my-service.example.com/v1"
    models:
      - id: "llama3"
        max_context_window: "8k"
total_timeout: 5
`))
	var faults aigateway.ConfigErrors
	if errors.As(err, &faults) {
		for _, fault := range faults {
			fmt.Printf("line %d, %s: %s\n", fault.Line, fault.Path, fault.Reason)
		}
	}
	// Output:
	// line 4, providers[0].base_ulr: unknown field; did you mean "base_url"?
	// line 7, providers[0].models[0].max_context_window: must be an integer, not a string
	// line 8, total_timeout: must be a duration with its unit, such as "5s"
}

// Explain returns the plan for a request, and sends nothing.
func ExampleGateway_Explain() {
	cfg, err := aigateway.ParseConfig([]byte(`
providers:
  - id: "inference-1"
    base_url: "https://inference-1.internal"
    models:
      - id: "llama3"
        metadata: {gpu: "A100"}
  - id: "inference-2"
    base_url: "https://inference-2.internal"
    models:
      - id: "llama3"
        metadata: {gpu: "H100"}
model_selection:
  strategy:
    - "ai.models.filter(m, m.metadata.gpu == 'H100')"
    - "ai.models"
`))
	if err != nil {
		panic(err)
	}
	gateway, err := aigateway.New(cfg)
	if err != nil {
		panic(err)
	}
	res, err := gateway.Explain(httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(
		`{"models": ["llama3", "inference-1:llama3"], "messages": []}`)))
	if err != nil {
		panic(err)
	}
	for _, run := range res.ModelSelection {
		fmt.Printf("%s: %s gives %q\n", run.ClientModel, run.Strategy, run.ModelsToTry)
	}
	for i, m := range res.ModelsTried {
		fmt.Printf("%d. %s:%s\n", i+1, m.Provider, m.Model)
	}
	// Output:
	// llama3: ai.models.filter(m, m.metadata.gpu == 'H100') gives ["inference-2:llama3"]
	// inference-1:llama3: ai.models.filter(m, m.metadata.gpu == 'H100') gives []
	// inference-1:llama3: ai.models gives ["inference-1:llama3"]
	// 1. inference-2:llama3
	// 2. inference-1:llama3
}

// A function asks your own store of secrets.
func ExampleSecretResolverFunc() {
	vault := aigateway.SecretResolverFunc(func(_ context.Context, vault, name string) (string, error) {
		if vault == "openai" && name == "api-key" {
			return "sk-...", nil
		}
		// A missing secret differs from a store that does not answer: the cached
		// value is not used for it.
		return "", fmt.Errorf("%w: my store has no %s/%s", aigateway.ErrSecretNotFound, vault, name)
	})
	gateway, err := aigateway.New(aigateway.Config{
		Providers: []aigateway.Provider{
			{ID: "openai", APIKeys: []aigateway.APIKey{{Value: "${secrets.get('openai', 'api-key')}"}}},
			{ID: "groq", APIKeys: []aigateway.APIKey{{Value: "${secrets.get('groq', 'api-key')}"}}},
		},
		Secrets: vault,
	})
	if err != nil {
		panic(err)
	}
	// New resolves no secrets. Check does, to find a missing secret before a
	// request needs it.
	fmt.Println(gateway.Check(context.Background()))
	// Output:
	// aigateway: secrets that do not resolve:
	// providers[1].api_keys[0].value: secret "api-key" of vault "groq": secret not found: my store has no groq/api-key
}

// A registry lists providers for use without configuration, here those of a
// company. Providers and models of the Config come on top.
func ExampleStaticRegistry() {
	gateway, err := aigateway.New(aigateway.Config{
		Registry: aigateway.StaticRegistry(
			aigateway.Provider{
				ID:        "research",
				IDAliases: []string{"lab"},
				BaseURL:   "https://llm.research.example.com/v1",
				Models:    []aigateway.Model{{ID: "protein-7b"}},
			},
			aigateway.Provider{
				ID:      "support",
				BaseURL: "https://llm.support.example.com/v1",
				Models:  []aigateway.Model{{ID: "helpdesk-13b", IDAliases: []string{"helpdesk"}}},
			},
		),
		// Naming a provider of the registry is enough to use it with a key.
		Providers: []aigateway.Provider{
			{ID: "research", APIKeys: []aigateway.APIKey{{Value: "${secrets.get('research', 'api-key')}"}}},
			{ID: "support", APIKeys: []aigateway.APIKey{{Value: "${secrets.get('support', 'api-key')}"}}},
		},
	})
	if err != nil {
		panic(err)
	}
	for _, name := range []string{"protein-7b", "helpdesk", "lab:unreleased", "gpt-4o"} {
		body := fmt.Sprintf(`{"model": %q, "messages": []}`, name)
		res, err := gateway.Explain(httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(body)))
		var refused *aigateway.Error
		if errors.As(err, &refused) {
			fmt.Println(name, "is refused:", refused.Code)
			continue
		}
		fmt.Println(name, "goes to", res.ModelsTried[0].Provider, "as", res.ModelsTried[0].Model)
	}
	// Output:
	// protein-7b goes to research as protein-7b
	// helpdesk goes to support as helpdesk-13b
	// lab:unreleased goes to research as unreleased
	// gpt-4o is refused: no_matching_models
}

// Hooks see each attempt, and the Result of each request.
func ExampleHooks() {
	gateway, err := aigateway.New(aigateway.Config{
		Providers: []aigateway.Provider{
			{ID: "overloaded", BaseURL: "http://overloaded.internal", Models: []aigateway.Model{{ID: "llama3.2"}}},
			{ID: "ollama", BaseURL: "http://ollama.internal", Models: []aigateway.Model{{ID: "llama3.2"}}},
		},
		InternalEndpoints: map[string]string{
			"overloaded.internal": exampleServer(func(w http.ResponseWriter, _ *http.Request) {
				http.Error(w, `{"error":{"message":"try again later"}}`, http.StatusServiceUnavailable)
			}),
			"ollama.internal": exampleOllama(),
		},
		Hooks: &aigateway.Hooks{
			AttemptDone: func(_ context.Context, a aigateway.Attempt) {
				if a.Response == nil {
					return // no answer came
				}
				fmt.Printf("attempt %d at %s: %d\n", a.Number, a.Provider, a.Response.StatusCode)
			},
			RequestDone: func(_ context.Context, res *aigateway.Result) {
				if res.Success != nil {
					fmt.Printf("answered by %s, %d tokens in, %d out\n", res.Success.Provider, res.InputTokens, res.OutputTokens)
				}
			},
		},
	})
	if err != nil {
		panic(err)
	}
	exampleChat(gateway, `{"model": "llama3.2", "messages": []}`)
	// Output:
	// attempt 1 at overloaded: 503
	// attempt 2 at ollama: 200
	// answered by ollama, 9 tokens in, 6 out
}

// exampleChat sends a chat request to a handler, and returns the status and the
// body of the answer.
func exampleChat(h http.Handler, body string) string {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(body)))
	return fmt.Sprint(w.Code, " ", strings.TrimSpace(w.Body.String()))
}

// exampleOllama starts a stand-in for a model server, and returns its URL. Its
// answers name the requested model.
func exampleOllama() string {
	return exampleServer(func(w http.ResponseWriter, r *http.Request) {
		var ask struct {
			Model string `json:"model"`
		}
		if err := json.NewDecoder(r.Body).Decode(&ask); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"choices":[{"message":{"role":"assistant","content":"I am %s."},"finish_reason":"stop"}],`+
			`"usage":{"prompt_tokens":9,"completion_tokens":6}}`, ask.Model)
	})
}

// exampleServer starts a loopback server for the life of the tests, and returns
// its URL.
func exampleServer(h http.HandlerFunc) string { return httptest.NewServer(h).URL }
