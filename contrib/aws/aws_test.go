package gatewayaws_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	gatewayaws "github.com/aigateway-go/aigateway/contrib/aws"
)

// credentials are those of a test. Each call gives the next key.
type credentials struct {
	mu    sync.Mutex
	calls int
	err   error
}

var good = aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret-access-key-0123456789", SessionToken: "session"}

func (c *credentials) Retrieve(context.Context) (aws.Credentials, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls++
	return good, c.err
}

// verify checks a signature as AWS would, by the SDK's signer. The body is read.
func verify(t *testing.T, r *http.Request, service string) []byte {
	t.Helper()
	return verifyIn(t, r, service, "eu-central-1")
}

// verifyIn is verify for a region.
func verifyIn(t *testing.T, r *http.Request, service, region string) []byte {
	t.Helper()
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	got := r.Header.Get("Authorization")
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	require.NoError(t, err)
	again, err := http.NewRequestWithContext(t.Context(), r.Method, "http://"+r.Host+r.URL.RequestURI(), nil)
	require.NoError(t, err)
	for name, values := range r.Header {
		if name == "Content-Type" || strings.HasPrefix(name, "X-Amz-") {
			again.Header[name] = values
		}
	}
	sum := sha256.Sum256(body)
	require.NoError(t, v4.NewSigner().SignHTTP(t.Context(), good, again, hex.EncodeToString(sum[:]), service, region, at))
	assert.Equal(t, again.Header.Get("Authorization"), got)
	return body
}

func newSigner(t *testing.T, c aws.CredentialsProvider) *gatewayaws.Signer {
	t.Helper()
	signer, err := gatewayaws.NewSigner(gatewayaws.SignerOptions{Credentials: c, Region: "eu-central-1"})
	require.NoError(t, err)
	return signer
}

func TestTransport(t *testing.T) {
	const body = `{"model":"m","messages":[]}`
	for name, make := range map[string]func(url string) *http.Request{
		"a body to read twice": func(url string) *http.Request {
			r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/openai/v1/chat/completions?b=2&a=x%20y", strings.NewReader(body))
			return r
		},
		"a body to read once": func(url string) *http.Request {
			r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/model/a.b-v1%3A0/invoke", io.NopCloser(strings.NewReader(body)))
			return r
		},
		"no body": func(url string) *http.Request {
			r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/openai/v1/models", nil)
			return r
		},
		"another's credentials": func(url string) *http.Request {
			r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/openai/v1/chat/completions", strings.NewReader(body))
			r.Header = http.Header{"Authorization": {"Bearer x"}, "X-Api-Key": {"x"}, "X-Amz-Date": {"x"}, "X-Amz-Security-Token": {"x"}, "Content-Type": {"application/json"}}
			r.Host = "bedrock-runtime.eu-central-1.amazonaws.com"
			return r
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got []byte
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				got = verify(t, r, "bedrock")
				assert.Equal(t, "session", r.Header.Get("X-Amz-Security-Token"))
				assert.Empty(t, r.Header.Get("X-Api-Key"))
			}))
			defer server.Close()
			r := make(server.URL)
			before := r.Header.Clone()
			resp, err := newSigner(t, &credentials{}).Transport(http.DefaultTransport).RoundTrip(r)
			require.NoError(t, err)
			resp.Body.Close()
			assert.Equal(t, before, r.Header, "the request is not changed")
			if r.Body != nil {
				assert.Equal(t, body, string(got))
			}
		})
	}
}

// closer notes that a body was closed.
type closer struct {
	io.Reader
	closed bool
}

func (c *closer) Close() error {
	c.closed = true
	return nil
}

func TestTransportWithoutCredentials(t *testing.T) {
	refused := errors.New("no role")
	transport := newSigner(t, &credentials{err: refused}).Transport(http.DefaultTransport)
	body := &closer{Reader: strings.NewReader("{}")}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1:1", body)
	require.NoError(t, err)
	_, err = transport.RoundTrip(r)
	assert.ErrorIs(t, err, refused)
	assert.True(t, body.closed)

	_, err = gatewayaws.NewSigner(gatewayaws.SignerOptions{Region: "eu-central-1"})
	assert.ErrorContains(t, err, "Credentials")
	_, err = gatewayaws.NewSecretsManager(gatewayaws.SecretsManagerOptions{Credentials: &credentials{}})
	assert.ErrorContains(t, err, "Region")
}

// TestErrorsTellNoToken: AWS explains a wrong signature by the text that it should have
// covered, with the session's token in it. The explanation reaches the client without.
func TestErrorsTellNoToken(t *testing.T) {
	token := "IQoJb3JpZ2luX2VjEL" + strings.Repeat("+/abc", 60) + "=="
	provider := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret-access-key-0123456789", SessionToken: token}, nil
	})
	long := strings.Repeat("x", 1<<20)
	for name, tt := range map[string]struct{ body, tail string }{
		"as it is":      {`{"message":"The Canonical String should have been 'x-amz-security-token:` + token + `'"}`, ""},
		"JSON":          {`{"message":"x-amz-security-token:` + strings.ReplaceAll(token, "/", `\/`) + `"}`, ""},
		"URL":           {`{"message":"X-Amz-Security-Token=` + url.QueryEscape(token) + `"}`, ""},
		"a long answer": {`{"message":"` + token + `","x":"` + long + `","y":"`, long + `"}`},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				assert.Equal(t, token, r.Header.Get("X-Amz-Security-Token"))
				w.Header().Set("X-Amzn-Errortype", "InvalidSignatureException: "+token)
				w.WriteHeader(http.StatusForbidden)
				io.WriteString(w, tt.body+tt.tail)
			}))
			defer server.Close()
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, strings.NewReader("{}"))
			require.NoError(t, err)
			resp, err := newSigner(t, provider).Transport(http.DefaultTransport).RoundTrip(r)
			require.NoError(t, err)
			defer resp.Body.Close()
			data, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			assert.NotContains(t, string(data), token[20:40])
			assert.NotContains(t, fmt.Sprint(resp.Header), token[20:40])
			assert.Contains(t, string(data), "(the session's token)")
			assert.True(t, strings.HasSuffix(string(data), tt.tail))
		})
	}
}

func TestProviderTransport(t *testing.T) {
	wrap := newSigner(t, &credentials{}).ProviderTransport("bedrock", "bedrock-eu")
	base := new(http.Transport)
	assert.Nil(t, wrap("openai", base))
	assert.NotNil(t, wrap("bedrock", base))
	assert.NotNil(t, wrap("bedrock-eu", base))
}

// TestFailoverSignsAnew fails over in the middle of a stream's beginning: each host
// finds a signature of its own over the whole body.
func TestFailoverSignsAnew(t *testing.T) {
	const body = `{"model":"gpt-oss","stream":true,"messages":[{"role":"user","content":"Hi"}]}`
	signatures := map[string]bool{}
	var mu sync.Mutex
	check := func(t *testing.T, r *http.Request) {
		assert.JSONEq(t, body, string(verify(t, r, "bedrock")))
		mu.Lock()
		defer mu.Unlock()
		assert.False(t, signatures[r.Header.Get("Authorization")], "a signature was sent twice")
		signatures[r.Header.Get("Authorization")] = true
	}
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		check(t, r)
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n")
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler) // before the first content
	}))
	defer busy.Close()
	idle := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		check(t, r)
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n")
	}))
	defer idle.Close()
	gateway, err := aigateway.New(aigateway.Config{
		Providers: []aigateway.Provider{
			{ID: "bedrock-1", BaseURL: "http://one.internal", Models: []aigateway.Model{{ID: "gpt-oss"}}},
			{ID: "bedrock-2", BaseURL: "http://two.internal", Models: []aigateway.Model{{ID: "gpt-oss"}}},
		},
		InternalEndpoints: map[string]string{"one.internal": busy.URL, "two.internal": idle.URL},
		Transport:         newSigner(t, &credentials{}).Transport(http.DefaultTransport),
	})
	require.NoError(t, err)
	w := httptest.NewRecorder()
	gateway.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(body)))
	assert.Equal(t, http.StatusOK, w.Code, w.Body.String())
	assert.Contains(t, w.Body.String(), "Hello")
	assert.Len(t, signatures, 2)
}

// TestSecretsManager asks a fake that checks signatures.
func TestSecretsManager(t *testing.T) {
	binary, err := json.Marshal([]byte(`{"api-key":"sk-binary"}`))
	require.NoError(t, err)
	answers := map[string]string{
		"openai":          `{"SecretString":"{\"api-key\":\"sk-openai\",\"number\":5}"}`,
		"binary":          `{"SecretBinary":` + string(binary) + `}`,
		"prod/plain":      `{"SecretString":"sk-plain"}`,
		"not-json":        `{"SecretString":"sk-plain"}`,
		"broken":          `{"SecretString":"sk-secret`,
		"forbidden":       `{"__type":"AccessDeniedException","Message":"User arn:aws:iam::1:user/x is not authorized"}`,
		"throttled":       `{"__type":"com.amazonaws.x#ThrottlingException","message":"Rate exceeded"}`,
		"not an error":    `<html>`,
		"of another kind": `{"__type":"ResourceNotFoundException","Message":"Secrets Manager can't find the specified secret."}`,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "secretsmanager.GetSecretValue", r.Header.Get("X-Amz-Target"))
		var question struct{ SecretId string }
		assert.NoError(t, json.Unmarshal(verify(t, r, "secretsmanager"), &question))
		answer, ok := answers[question.SecretId]
		if !ok {
			answer = `{"__type":"com.amazonaws.secretsmanager#ResourceNotFoundException"}`
		}
		switch {
		case question.SecretId == "moved":
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusTemporaryRedirect)
			return
		case !strings.HasPrefix(answer, `{"Secret`):
			w.WriteHeader(http.StatusBadRequest)
		}
		io.WriteString(w, answer)
	}))
	defer server.Close()
	store, err := gatewayaws.NewSecretsManager(gatewayaws.SecretsManagerOptions{
		Credentials: &credentials{}, Region: "eu-central-1", Endpoint: server.URL,
		SecretID: func(vault, name string) (string, string) {
			switch vault {
			case "prod":
				return "prod/" + name, ""
			case "elsewhere":
				return "", ""
			}
			return vault, name
		},
	})
	require.NoError(t, err)
	for _, tt := range []struct {
		vault, name, want string
		notFound          bool
		err               string
	}{
		{"openai", "api-key", "sk-openai", false, ""},
		{"binary", "api-key", "sk-binary", false, ""},
		{"prod", "plain", "sk-plain", false, ""},
		{"openai", "other", "", true, "no field"},
		{"openai", "number", "", true, "no field"},
		{"not-json", "api-key", "", true, "not a JSON object"},
		{"none", "api-key", "", true, "Secrets Manager has no"},
		{"of another kind", "api-key", "", true, "Secrets Manager has no"},
		{"elsewhere", "api-key", "", true, "not of Secrets Manager"},
		{"broken", "api-key", "", false, "cannot be read"},
		{"forbidden", "api-key", "", false, "400 AccessDeniedException: User arn:aws:iam::1:user/x is not authorized"},
		{"throttled", "api-key", "", false, "400 ThrottlingException: Rate exceeded"},
		{"not an error", "api-key", "", false, "answered 400"},
		{"moved", "api-key", "", false, "answered 307"},
	} {
		t.Run(tt.vault+"/"+tt.name, func(t *testing.T) {
			got, err := store.ResolveSecret(t.Context(), tt.vault, tt.name)
			assert.Equal(t, tt.want, got)
			if tt.err == "" {
				assert.NoError(t, err)
				return
			}
			assert.ErrorContains(t, err, tt.err)
			assert.Equal(t, tt.notFound, errors.Is(err, aigateway.ErrSecretNotFound))
			assert.NotContains(t, err.Error(), "sk-")
		})
	}
}

// TestNothingPrintsCredentials prints what holds credentials.
func TestNothingPrintsCredentials(t *testing.T) {
	provider := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return good, nil })
	signer := newSigner(t, provider)
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
	require.NoError(t, err)
	transport := signer.Transport(http.DefaultTransport)
	resp, err := transport.RoundTrip(r)
	require.NoError(t, err)
	resp.Body.Close()
	var shown bytes.Buffer
	for _, v := range []any{signer, transport} {
		for _, format := range []string{"%v", "%+v", "%#v"} {
			shown.WriteString(fmt.Sprintf(format, v))
		}
	}
	assert.NotContains(t, shown.String(), good.SecretAccessKey)
	assert.NotContains(t, shown.String(), base64.StdEncoding.EncodeToString([]byte(good.SecretAccessKey)))
}
