package gatewayoauth2_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
	"golang.org/x/oauth2/google"

	"github.com/aigateway-go/aigateway"
	gatewayoauth2 "github.com/aigateway-go/aigateway/contrib/oauth2"
)

// endpoint is a token endpoint. It keeps the last form.
type endpoint struct {
	*httptest.Server
	calls  atomic.Int64
	form   atomic.Pointer[url.Values]
	answer func(n int64) (int, string)
}

func newEndpoint(t *testing.T, answer func(n int64) (int, string)) *endpoint {
	t.Helper()
	e := &endpoint{answer: answer}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.NoError(t, r.ParseForm())
		e.form.Store(&r.Form)
		status, body := e.answer(e.calls.Add(1))
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		io.WriteString(w, body)
	}))
	t.Cleanup(e.Close)
	return e
}

func token(n int64) (int, string) {
	return http.StatusOK, fmt.Sprintf(`{"access_token":"token-%d","token_type":"Bearer","expires_in":3600}`, n)
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// TestSources has each kind of source log in at a fake endpoint.
func TestSources(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	keyPEM := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))

	tests := []struct {
		name    string
		open    func(t *testing.T, url string) *gatewayoauth2.Tokens
		form    map[string]string
		refresh bool // a second question gives a second token
	}{
		{"client credentials", func(_ *testing.T, url string) *gatewayoauth2.Tokens {
			login := clientcredentials.Config{ClientID: "gateway", ClientSecret: "s3cret", TokenURL: url + "/token", AuthStyle: oauth2.AuthStyleInParams}
			return gatewayoauth2.Func("v", "n", login.Token)
		}, map[string]string{"grant_type": "client_credentials", "client_id": "gateway", "client_secret": "s3cret"}, true},
		{"a source that keeps its token", func(t *testing.T, url string) *gatewayoauth2.Tokens {
			login := clientcredentials.Config{ClientID: "gateway", ClientSecret: "s3cret", TokenURL: url + "/token", AuthStyle: oauth2.AuthStyleInParams}
			return gatewayoauth2.New("v", "n", login.TokenSource(context.Background()))
		}, map[string]string{"grant_type": "client_credentials"}, false},
		{"Google's default credentials", func(t *testing.T, url string) *gatewayoauth2.Tokens {
			account, err := json.Marshal(map[string]string{
				"type": "service_account", "client_email": "gateway@project.iam.gserviceaccount.com", "private_key_id": "1", "private_key": keyPEM, "token_uri": url + "/token",
			})
			require.NoError(t, err)
			t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", write(t, "account.json", string(account)))
			found, err := google.FindDefaultCredentials(context.Background(), "https://www.googleapis.com/auth/cloud-platform")
			require.NoError(t, err)
			return gatewayoauth2.New("v", "n", found.TokenSource)
		}, map[string]string{"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer"}, false},
		{"Azure's workload identity", func(t *testing.T, url string) *gatewayoauth2.Tokens {
			t.Setenv("AZURE_TENANT_ID", "tenant")
			t.Setenv("AZURE_CLIENT_ID", "identity")
			t.Setenv("AZURE_AUTHORITY_HOST", url+"/")
			t.Setenv("AZURE_FEDERATED_TOKEN_FILE", write(t, "token", "jwt-of-the-pod\n"))
			return gatewayoauth2.Func("v", "n", gatewayoauth2.AzureWorkloadIdentity{}.Token)
		}, map[string]string{
			"grant_type": "client_credentials", "client_id": "identity", "client_assertion": "jwt-of-the-pod",
			"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "scope": "https://cognitiveservices.azure.com/.default",
		}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := newEndpoint(t, token)
			tokens := tt.open(t, e.URL)
			got, until, err := tokens.ResolveSecretUntil(t.Context(), "v", "n")
			require.NoError(t, err)
			assert.Equal(t, "token-1", got)
			assert.WithinDuration(t, time.Now().Add(time.Hour), until, time.Minute)
			for name, want := range tt.form {
				assert.Equal(t, want, e.form.Load().Get(name))
			}
			second, err := tokens.ResolveSecret(t.Context(), "v", "n")
			require.NoError(t, err)
			assert.Equal(t, tt.refresh, second == "token-2")
			for _, format := range []string{"%v", "%+v", "%#v"} {
				assert.NotContains(t, fmt.Sprintf(format, tokens), "s3cret")
			}
		})
	}
}

// TestAzureTokenFile reads the file anew: Kubernetes replaces it each hour.
func TestAzureTokenFile(t *testing.T) {
	e := newEndpoint(t, token)
	file := write(t, "token", "one")
	azure := gatewayoauth2.AzureWorkloadIdentity{TenantID: "t", ClientID: "c", TokenFile: file, AuthorityHost: e.URL, Scope: "https://ai.azure.com/.default"}
	for _, want := range []string{"one", "two"} {
		require.NoError(t, os.WriteFile(file, []byte(want), 0o600))
		_, err := azure.Token(t.Context())
		require.NoError(t, err)
		assert.Equal(t, want, e.form.Load().Get("client_assertion"))
		assert.Equal(t, "https://ai.azure.com/.default", e.form.Load().Get("scope"))
	}
	azure.TokenFile = file + ".none"
	_, err := azure.Token(t.Context())
	assert.ErrorIs(t, err, os.ErrNotExist)
	t.Setenv("AZURE_TENANT_ID", "")
	_, err = gatewayoauth2.AzureWorkloadIdentity{}.Token(t.Context())
	assert.ErrorContains(t, err, "not set up")
}

func TestErrors(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status int
		body   string
		want   string
	}{
		{"refused", 401, `{"error":"invalid_client","error_description":"AADSTS7000215: invalid\r\nsecret"}`, "the token endpoint answered 401: invalid_client: AADSTS7000215: invalid secret"},
		{"down", 503, `an echo of s3cret`, "the token endpoint answered 503"},
		{"empty", 200, `{"access_token":""}`, "missing access_token"},
		{"long", 400, `{"error":"x","error_description":"` + strings.Repeat("é", 400) + `"}`, "é…"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := newEndpoint(t, func(int64) (int, string) { return tt.status, tt.body })
			login := clientcredentials.Config{ClientID: "gateway", ClientSecret: "s3cret", TokenURL: e.URL, AuthStyle: oauth2.AuthStyleInParams}
			_, err := gatewayoauth2.Func("v", "n", login.Token).ResolveSecret(t.Context(), "v", "n")
			assert.ErrorContains(t, err, tt.want)
			assert.NotErrorIs(t, err, aigateway.ErrSecretNotFound)
			assert.NotContains(t, err.Error(), "s3cret")
			assert.Less(t, len(err.Error()), 310)
		})
	}
	never := gatewayoauth2.Func("v", "n", func(context.Context) (*oauth2.Token, error) { panic("s3cret") })
	_, err := never.ResolveSecret(t.Context(), "v", "n")
	assert.ErrorContains(t, err, "panicked with a string")
	_, err = never.ResolveSecret(t.Context(), "v", "other")
	assert.ErrorIs(t, err, aigateway.ErrSecretNotFound)
	_, err = gatewayoauth2.Func("v", "n", func(context.Context) (*oauth2.Token, error) { return nil, nil }).ResolveSecret(t.Context(), "v", "n")
	assert.ErrorContains(t, err, "empty token")
}

// TestSlowSource is asked by many at once, some of whom give up.
func TestSlowSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		tokens := gatewayoauth2.Func("v", "n", func(context.Context) (*oauth2.Token, error) {
			calls++
			<-time.After(time.Minute)
			return &oauth2.Token{AccessToken: "token"}, nil
		})
		gone := errors.New("gone")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, gone)
		defer cancel()
		var asking sync.WaitGroup
		for i := range 10 {
			asking.Go(func() {
				if i%2 == 0 {
					_, err := tokens.ResolveSecret(ctx, "v", "n")
					assert.ErrorIs(t, err, gone)
					return
				}
				got, until, err := tokens.ResolveSecretUntil(t.Context(), "v", "n")
				assert.NoError(t, err)
				assert.Equal(t, "token", got)
				assert.True(t, until.IsZero())
			})
		}
		asking.Wait()
		assert.Equal(t, 1, calls)
	})
}

// TestUnderLoad has a token of two seconds under 200 requests a second for 20 s.
func TestUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		source := oauth2.ReuseTokenSourceWithExpiry(nil, sourceFunc(func() (*oauth2.Token, error) {
			<-time.After(100 * time.Millisecond)
			return &oauth2.Token{AccessToken: fmt.Sprint("token-", calls.Add(1)), Expiry: time.Now().Add(2 * time.Second)}, nil
		}), time.Second)
		cache := aigateway.NewSecretCache(aigateway.ChainSecrets(gatewayoauth2.New("v", "n", source), aigateway.EnvSecrets()), 0)
		var waited atomic.Int64
		var requests sync.WaitGroup
		begin := time.Now()
		for range 20 * 200 {
			requests.Go(func() {
				start := time.Now()
				_, until, err := cache.ResolveSecretUntil(t.Context(), "v", "n")
				assert.NoError(t, err)
				assert.True(t, time.Now().Before(until))
				if time.Since(start) > 0 && start.Sub(begin) > 100*time.Millisecond {
					waited.Add(1)
				}
			})
			<-time.After(5 * time.Millisecond)
		}
		requests.Wait()
		assert.Zero(t, waited.Load())
		assert.LessOrEqual(t, calls.Load(), int64(20))
	})
}

type sourceFunc func() (*oauth2.Token, error)

func (f sourceFunc) Token() (*oauth2.Token, error) { return f() }
