// Package azure holds the test of the guide in this folder.
package azure

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

const (
	host = "my-resource.openai.azure.com"
	key1 = "0123456789abcdef0123456789abcdef"
	key2 = "0123456789abcdef89abcdef01234567"
)

// The parts of an answer that Azure adds for its content filter.
const (
	promptFilter = `"prompt_filter_results":[{"prompt_index":0,"content_filter_results":{"hate":{"filtered":false,"severity":"safe"}}}]`
	refusal      = `{"error":{"message":"The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",` +
		`"type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation",` +
		`"content_filter_result":{"violence":{"filtered":true,"severity":"medium"}}}}}`
)

// standIn answers as an Azure resource does, by the key in api-key, the path,
// and in the older API the version.
func standIn(key string) *gatewaytest.Upstream {
	return gatewaytest.Scripted(func(w http.ResponseWriter, r *http.Request) {
		var req struct {
			Model    string
			Stream   bool
			Messages []struct{ Content string }
		}
		json.NewDecoder(r.Body).Decode(&req)
		deployment, old := strings.CutPrefix(r.URL.Path, "/openai/deployments/")
		deployment = strings.TrimSuffix(deployment, "/chat/completions")
		if !old {
			deployment = req.Model
		}
		switch {
		case r.Header.Get("Api-Key") != key:
			gatewaytest.JSON(http.StatusUnauthorized, `{"error":{"code":"401","message":"Access denied due to invalid subscription key or wrong API endpoint. `+
				`Make sure to provide a valid key for an active subscription and use a correct regional API endpoint for your resource."}}`)(w, r)
		case old && r.URL.Query().Get("api-version") == "", !old && r.URL.Path != "/openai/v1/chat/completions":
			gatewaytest.JSON(http.StatusNotFound, `{"error":{"code":"404","message":"Resource not found"}}`)(w, r)
		case deployment != "gpt-4o-prod" && deployment != "gpt-4o-mini-prod":
			gatewaytest.JSON(http.StatusNotFound, `{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist. `+
				`If you created the deployment within the last 5 minutes, please wait a moment and try again."}}`)(w, r)
		case len(req.Messages) > 0 && strings.Contains(req.Messages[0].Content, "harm"):
			gatewaytest.JSON(http.StatusBadRequest, refusal)(w, r)
		case req.Stream:
			gatewaytest.Stream(
				`data: {"choices":[],"created":0,"id":"","model":"","object":"",`+promptFilter+"}\n\n",
				gatewaytest.ChatRole, gatewaytest.ChatDelta("Hello from "+deployment),
				// A chunk of the asynchronous filter has no delta at all.
				`data: {"id":"","object":"","created":0,"model":"","choices":[{"index":0,"finish_reason":null,"content_filter_results":{},"content_filter_offsets":{"check_offset":44}}],"usage":null}`+"\n\n",
				gatewaytest.ChatStop, gatewaytest.ChatDone)(w, r)
		default:
			gatewaytest.Chat("Hello from "+deployment)(w, r)
		}
	})
}

func open(t *testing.T, server http.Handler, edit func(*aigateway.Config)) *testbed.Example {
	t.Helper()
	t.Setenv("AZURE_API_KEY", key1)
	t.Setenv("AZURE_API_KEY_2", key2)
	hosts := map[string]http.Handler{}
	if server != nil {
		hosts[host] = server
	}
	azure := gatewaytest.NewHosts(t, hosts)
	return testbed.OpenExample(t, ".", nil, func(cfg *aigateway.Config) {
		cfg.Transport = azure.Transport(t)
		if edit != nil {
			edit(cfg)
		}
	})
}

func TestCommands(t *testing.T) {
	server := standIn(key1)
	answers := open(t, server, nil).Curls()
	require.Len(t, answers, 3)
	for i, want := range []string{`"gpt-4o"`, "Hello from gpt-4o-prod", "Hello from gpt-4o-mini-prod"} {
		assert.Equal(t, http.StatusOK, answers[i].Status, answers[i].Body)
		assert.Contains(t, answers[i].Body, want)
	}
	assert.Contains(t, answers[2].Body, "prompt_filter_results", "the chunk without choices gets through")
	assert.Contains(t, answers[2].Body, "content_filter_offsets")

	sent := server.Requests()
	require.Len(t, sent, 2)
	assert.Equal(t, "/openai/v1/chat/completions", sent[0].URL)
	assert.Equal(t, "/openai/deployments/gpt-4o-mini-prod/chat/completions?api-version=2024-10-21", sent[1].URL)
	for _, r := range sent {
		assert.Equal(t, key1, r.Header.Get("Api-Key"))
		assert.Empty(t, r.Header.Get("Authorization"))
	}
}

// A chunk without choices does not commit: a stream that breaks after it has
// not begun.
func TestFilterChunkIsNoContent(t *testing.T) {
	server := gatewaytest.Scripted(
		func(w http.ResponseWriter, r *http.Request) {
			gatewaytest.StartStream(w)
			gatewaytest.Send(w, `data: {"choices":[],`+promptFilter+"}\n\n")
			gatewaytest.Abort(w, r)
		},
		standIn(key2).ServeHTTP,
	)
	a, res := open(t, server, nil).Post("/v1/chat/completions", `{"model":"gpt-4o","stream":true}`)
	assert.Equal(t, http.StatusOK, a.Status)
	assert.Contains(t, a.Body, "Hello from gpt-4o-prod")
	assert.Len(t, res.ModelsTried[0].RequestsMade, 2)
}

// The second key takes over when the first was replaced.
func TestSecondKey(t *testing.T) {
	a, res := open(t, standIn(key2), nil).Post("/v1/chat/completions", `{"model":"gpt-4o"}`)
	assert.Equal(t, http.StatusOK, a.Status, a.Body)
	assert.Len(t, res.ModelsTried[0].RequestsMade, 2)
}

func TestRefusalIsRelayed(t *testing.T) {
	server := standIn(key1)
	a, _ := open(t, server, nil).Post("/v1/chat/completions",
		`{"models":["gpt-4o","gpt-4o-mini"],"messages":[{"role":"user","content":"harm"}]}`)
	assert.Equal(t, http.StatusBadRequest, a.Status)
	assert.Equal(t, refusal, a.Body)
	assert.Equal(t, 1, server.Count(), "a refusal is not routed around")
}

// What the README says of problems is what the gateway says.
func TestProblems(t *testing.T) {
	const body = `{"model":"gpt-4o"}`
	for _, row := range []struct {
		name, body string
		server     http.Handler
		edit       func(*aigateway.Config)
	}{
		{"wrong header", body, standIn(key1), func(cfg *aigateway.Config) {
			cfg.Providers[0].Auth = aigateway.Auth{Scheme: "Bearer"}
			cfg.Providers[0].APIKeys = cfg.Providers[0].APIKeys[:1]
		}},
		{"deployment not found", `{"model":"azure:gpt-4.1"}`, standIn(key1), nil},
		{"resource not found", body, standIn(key1), func(cfg *aigateway.Config) { cfg.Providers[0].BaseURL = "https://" + host }},
		{"no such host", body, nil, func(cfg *aigateway.Config) { cfg.Transport = unknown{} }},
	} {
		t.Run(row.name, func(t *testing.T) {
			guide := open(t, row.server, row.edit)
			guide.Says(guide.Failed(row.body))
		})
	}
	t.Run("wrong key", func(t *testing.T) {
		guide := open(t, standIn(key2), func(cfg *aigateway.Config) { cfg.Providers[0].APIKeys = cfg.Providers[0].APIKeys[:1] })
		const says = "was sent as Api-Key"
		assert.Contains(t, guide.Failed(body), says)
		guide.Says(says)
	})
	t.Run("https required", func(t *testing.T) {
		open(t, nil, nil).Says(testbed.ConfigError(t, ".", func(cfg *aigateway.Config) {
			cfg.Providers[0].BaseURL = "http://" + host + "/openai/v1"
		}))
	})
}

// unknown is a network whose DNS knows no host.
type unknown struct{}

func (unknown) RoundTrip(r *http.Request) (*http.Response, error) {
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: r.URL.Host, IsNotFound: true}}
}

// The README's YAML is the end of a list of providers.
func TestYAML(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	block := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindStringSubmatch(string(readme))
	require.NotNil(t, block)
	doc, err := os.ReadFile("gateway.yaml")
	require.NoError(t, err)
	before, after, ok := strings.Cut(string(doc), "\nonly_allow")
	require.True(t, ok)
	cfg, err := aigateway.ParseConfig([]byte(before + "\n" + block[1] + "\nonly_allow" + after))
	require.NoError(t, err)
	require.Len(t, cfg.Providers, 3)
	_, err = aigateway.New(cfg)
	assert.NoError(t, err)
}
