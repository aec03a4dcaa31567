package suite_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	yaml "sigs.k8s.io/yaml/goyaml.v3"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
)

var address = regexp.MustCompile(`[\w.+-]+@[\w-]+\.[\w.]+`)

type withoutAddresses struct{ next http.RoundTripper }

func (t withoutAddresses) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		return t.next.RoundTrip(r)
	}
	body, err := io.ReadAll(r.Body)
	r.Body.Close()
	if err != nil {
		return nil, err
	}
	body = address.ReplaceAll(body, []byte("[address]"))
	r = r.Clone(r.Context())
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	return t.next.RoundTrip(r)
}

// TestCookbookRedaction runs the recipe "Redaction": a middleware that refuses, and
// a transport that edits for one provider of two.
func TestCookbookRedaction(t *testing.T) {
	card := regexp.MustCompile(`\b\d{4}[ -]?\d{4}[ -]?\d{4}[ -]?\d{4}\b`)
	refuse := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 8<<20))
			switch {
			case err != nil:
				aigateway.WriteError(w, r, &aigateway.Error{Code: aigateway.CodeRequestTooLarge, Message: "the body is too large"})
			case card.Match(body):
				aigateway.WriteError(w, r, &aigateway.Error{Code: aigateway.CodeNotAdmitted, Message: "card numbers must not be sent"})
			default:
				r.Body = io.NopCloser(bytes.NewReader(body))
				next.ServeHTTP(w, r)
			}
		})
	}
	gpu := gatewaytest.NewUpstream(t, gatewaytest.Chat("hi"), gatewaytest.Error(http.StatusInternalServerError, "", "down"))
	cloud := gatewaytest.NewUpstream(t, gatewaytest.Chat("hi"))
	cfg := aigateway.Config{
		Registry: aigateway.NoRegistry(),
		Providers: []aigateway.Provider{
			{ID: "gpu", BaseURL: "http://gpu.internal", Models: []aigateway.Model{{ID: "m"}}},
			{ID: "cloud", BaseURL: "http://cloud.internal", Models: []aigateway.Model{{ID: "m"}}},
		},
		InternalEndpoints: map[string]string{"gpu.internal": gpu.URL, "cloud.internal": cloud.URL},
	}
	cfg.ProviderTransport = func(id string, base *http.Transport) http.RoundTripper {
		if id == "gpu" {
			return base
		}
		return withoutAddresses{base}
	}
	gateway, err := aigateway.New(cfg)
	require.NoError(t, err)
	h := refuse(gateway)
	ask := func(path, text string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, strings.NewReader(`{"model":"m","messages":[{"role":"user","content":"`+text+`"}]}`)))
		return w
	}
	const with, without = "write to ann@example.com", "write to [address]"
	assert.Equal(t, http.StatusOK, ask("/v1/chat/completions", with).Code)
	assert.Contains(t, string(gpu.Last().Body), with)
	assert.Zero(t, cloud.Count())
	assert.Equal(t, http.StatusOK, ask("/v1/chat/completions", with).Code)
	assert.Contains(t, string(gpu.Last().Body), with)
	assert.Contains(t, string(cloud.Last().Body), without)

	asked := gpu.Count() + cloud.Count()
	w := ask("/v1/chat/completions", "my card is 4111 1111 1111 1111")
	assert.Equal(t, http.StatusForbidden, w.Code)
	assert.Contains(t, w.Body.String(), `"code":"not_admitted"`)
	w = ask("/v1/messages", "my card is 4111 1111 1111 1111")
	assert.Contains(t, w.Body.String(), `"type":"error"`, "in the client's format")
	assert.Equal(t, http.StatusRequestEntityTooLarge, ask("/v1/chat/completions", strings.Repeat("x", 9<<20)).Code)
	assert.Equal(t, asked, gpu.Count()+cloud.Count())
}

// TestCookbookMTLS runs the recipe "vLLM behind mTLS", with files and an address of
// the test.
func TestCookbookMTLS(t *testing.T) {
	ca := gatewaytest.NewAuthority(t, "mesh")
	files := networkFiles{t, t.TempDir()}
	const name = "vllm.models.svc.cluster.local"
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "of mesh", r.TLS.PeerCertificates[0].Subject.CommonName)
		assert.Equal(t, name, r.TLS.ServerName)
		gatewaytest.Chat("hi")(w, r)
	}))
	server.TLS = &tls.Config{
		Certificates: []tls.Certificate{ca.Issue(func(c *x509.Certificate) { c.DNSNames = []string{name} }).Pair},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: gatewaytest.Pool(ca),
	}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	client := ca.Issue(nil)
	cert, key := files.put("client.pem", client.Cert), files.put("client.key", client.Key)
	t.Chdir(docsRoot)
	for authority, want := range map[*gatewaytest.Authority]string{ca: "", gatewaytest.NewAuthority(t, "another"): "tls.ca_file"} {
		cfg, err := aigateway.ParseConfig([]byte(cookbookBlocks(t, "vLLM behind mTLS")[0]))
		require.NoError(t, err)
		shown := &cfg.Providers[0].TLS
		require.NotContains(t, []string{shown.CAFile, shown.CertFile, shown.KeyFile}, "")
		shown.CAFile, shown.CertFile, shown.KeyFile = files.put("ca.pem", authority.PEM), cert, key
		require.Contains(t, cfg.InternalEndpoints["vllm.internal"], "https://")
		cfg.InternalEndpoints["vllm.internal"] = server.URL
		var result *aigateway.Result
		cfg.Hooks = &aigateway.Hooks{RequestDone: func(_ context.Context, res *aigateway.Result) { result = res }}
		gateway, err := aigateway.New(cfg)
		require.NoError(t, err)
		w := httptest.NewRecorder()
		gateway.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"llama3"}`)))
		if want == "" {
			assert.Equal(t, http.StatusOK, w.Code, w.Body)
			continue
		}
		assert.Equal(t, http.StatusBadGateway, w.Code)
		assert.Contains(t, result.ModelsTried[0].RequestsMade[0].Error, want)
	}
}

// TestCookbookDocker runs the recipe "Ollama in Docker", and holds the file of the
// containers and the config to each other.
func TestCookbookDocker(t *testing.T) {
	t.Chdir(docsRoot)
	var compose struct {
		Services map[string]struct {
			Image, Build string
			Command      []string
			Ports        []string
		}
	}
	text := docsRead(t, "docs/cookbook.md")
	_, block, ok := strings.Cut(text, "```yaml compose\n")
	require.True(t, ok)
	block, _, _ = strings.Cut(block, "```")
	require.NoError(t, yaml.Unmarshal([]byte(block), &compose))

	cfg, err := aigateway.ParseConfig([]byte(cookbookBlocks(t, "Ollama in Docker")[0]))
	require.NoError(t, err)
	at, err := url.Parse(cfg.InternalEndpoints["ollama.internal"])
	require.NoError(t, err)
	assert.Contains(t, compose.Services, at.Hostname(), "the address is a service of the network")
	ollama := gatewaytest.NewUpstream(t, gatewaytest.Chat("hi"))
	cfg.InternalEndpoints["ollama.internal"] = ollama.URL
	gateway, err := aigateway.New(cfg)
	require.NoError(t, err)
	w := httptest.NewRecorder()
	gateway.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"llama3.2"}`)))
	assert.Equal(t, http.StatusOK, w.Code, w.Body)

	// The server's flags are real, and its names cover the service's own.
	service := compose.Services["gateway"]
	assert.Empty(t, markdownCommand("docs/cookbook.md", text, "go run ./"+service.Build+" "+strings.Join(withoutValue(service.Command, "-config"), " ")))
	assert.Contains(t, strings.Join(service.Command, " "), "-hosts gateway")
	assert.Equal(t, []string{"127.0.0.1:8080:8080"}, service.Ports, "only this machine reaches it")

	dockerfile := docsRead(t, service.Build+"/Dockerfile")
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(docsRead(t, "go.mod"))
	assert.Contains(t, dockerfile, "FROM golang:"+version[1]+" ")
	assert.Contains(t, dockerfile, "go install github.com/aigateway-go/aigateway/"+service.Build+"@")
}

// withoutValue is a command line without a flag and its value.
func withoutValue(args []string, flag string) (rest []string) {
	for i := 0; i < len(args); i++ {
		if args[i] == flag {
			i++
			continue
		}
		rest = append(rest, args[i])
	}
	return rest
}
