package gatewayvault_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	gatewayvault "github.com/aigateway-go/aigateway/contrib/vault"
)

// fake is a Vault. Its fields are set before requests and guarded by mu after.
type fake struct {
	t  *testing.T
	mu sync.Mutex
	// tokens end at these times; the zero time is never.
	tokens    map[string]time.Time
	tokenTTL  time.Duration
	renewable bool
	maxTTL    time.Duration // of a token, from its login
	noLookup  bool
	down      int // the status of all answers, if not 0
	namespace string

	made    map[string]time.Time // tokens by login
	secrets map[string]string    // path to data in JSON
	leases  map[string]time.Time
	leaseID int
	calls   map[string]int
	granted int // seconds of a renewed lease; 0: refused
}

func newFake(t *testing.T) *fake {
	return &fake{
		t: t, tokens: map[string]time.Time{}, made: map[string]time.Time{}, secrets: map[string]string{}, leases: map[string]time.Time{},
		calls: map[string]int{}, tokenTTL: time.Hour, renewable: true, maxTTL: 1000 * time.Hour, granted: 100,
	}
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := strings.TrimPrefix(r.URL.EscapedPath(), "/v1/")
	f.calls[at]++
	body, _ := io.ReadAll(r.Body)
	assert.Equal(f.t, f.namespace, r.Header.Get("X-Vault-Namespace"))
	assert.Equal(f.t, "true", r.Header.Get("X-Vault-Request"))
	if f.down != 0 {
		w.WriteHeader(f.down)
		io.WriteString(w, `{"errors":["Vault is sealed"]}`)
		return
	}
	if strings.HasSuffix(at, "/login") {
		if !strings.Contains(string(body), "of-the-pod") && !strings.Contains(string(body), "secret-id") {
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, `{"errors":["invalid role"]}`)
			return
		}
		token := fmt.Sprintf("hvs.login-%d", len(f.made)+1)
		f.made[token], f.tokens[token] = time.Now(), time.Now().Add(f.tokenTTL)
		f.auth(w, token, f.tokenTTL)
		return
	}
	token := r.Header.Get("X-Vault-Token")
	if end, ok := f.tokens[token]; !ok || !end.IsZero() && !time.Now().Before(end) {
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, `{"errors":["permission denied"]}`)
		return
	}
	switch {
	case at == "auth/token/lookup-self" && f.noLookup:
		w.WriteHeader(http.StatusForbidden)
	case at == "auth/token/lookup-self":
		ttl := 0
		if end := f.tokens[token]; !end.IsZero() {
			ttl = int(time.Until(end).Seconds())
		}
		fmt.Fprintf(w, `{"data":{"ttl":%d,"renewable":%t}}`, ttl, f.renewable)
	case at == "auth/token/renew-self" && !f.renewable:
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, `{"errors":["lease is not renewable"]}`)
	case at == "auth/token/renew-self":
		ttl := f.tokenTTL
		if begun, ok := f.made[token]; ok {
			ttl = min(ttl, f.maxTTL-time.Since(begun))
		}
		f.tokens[token] = time.Now().Add(ttl)
		f.auth(w, token, ttl)
	case at == "sys/leases/renew":
		var question struct {
			LeaseID string `json:"lease_id"`
		}
		json.Unmarshal(body, &question)
		if end, ok := f.leases[question.LeaseID]; !ok || !time.Now().Before(end) || f.granted == 0 {
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, `{"errors":["lease not found"]}`)
			return
		}
		f.leases[question.LeaseID] = time.Now().Add(time.Duration(f.granted) * time.Second)
		fmt.Fprintf(w, `{"lease_id":%q,"lease_duration":%d,"renewable":true}`, question.LeaseID, f.granted)
	case strings.HasPrefix(at, "database/creds/"):
		f.leaseID++
		id := fmt.Sprintf("%s/%d", at, f.leaseID)
		f.leases[id] = time.Now().Add(100 * time.Second)
		fmt.Fprintf(w, `{"lease_id":%q,"lease_duration":100,"renewable":true,"data":{"username":"user-%d","password":"password-%d"}}`, id, f.leaseID, f.leaseID)
	case f.secrets[at] != "":
		io.WriteString(w, f.secrets[at])
	default:
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, `{"errors":[]}`)
	}
}

func (f *fake) auth(w io.Writer, token string, ttl time.Duration) {
	fmt.Fprintf(w, `{"auth":{"client_token":%q,"lease_duration":%d,"renewable":%t}}`, token, int(ttl.Seconds()), f.renewable)
}

// RoundTrip answers without a network, for virtual time.
func (f *fake) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w.Result(), nil
}

// open returns a Vault before the fake.
func (f *fake) open(auth gatewayvault.Auth, change func(*gatewayvault.Options)) *gatewayvault.Vault {
	f.t.Helper()
	o := gatewayvault.Options{Address: "https://vault.example.com:8200/", Auth: auth, Client: &http.Client{Transport: f}}
	if change != nil {
		change(&o)
	}
	v, err := gatewayvault.New(o)
	require.NoError(f.t, err)
	return v
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, []byte(text+"\n"), 0o600))
	return path
}

func pass(d time.Duration) { <-time.After(d) }

func TestResolve(t *testing.T) {
	f := newFake(t)
	f.tokens["hvs.fixed"] = time.Time{}
	f.secrets["secret/data/openai"] = `{"data":{"data":{"api-key":"sk-openai","n":5},"metadata":{"version":3}}}`
	f.secrets["secret/data/team/openai"] = `{"data":{"data":{"api-key":"sk-team"},"metadata":{"version":1}}}`
	f.secrets["secret/data/a%20b"] = `{"data":{"data":{"api-key":"sk-space"},"metadata":{"version":1}}}`
	f.secrets["kv1/openai"] = `{"lease_duration":2764800,"data":{"api-key":"sk-version-1"}}`
	f.secrets["secret/data/broken"] = `{"data":{"data":{"api-key":"sk-secret`
	v := f.open(gatewayvault.Token("hvs.fixed"), func(o *gatewayvault.Options) {
		o.Path = func(vault, name string) (string, string) {
			if vault == "one" {
				return "kv1/" + name, "api-key"
			}
			return gatewayvault.KV("secret", vault), name
		}
	})
	for _, tt := range []struct {
		vault, name, want string
		notFound          bool
		err               string
	}{
		{"openai", "api-key", "sk-openai", false, ""},
		{"team/openai", "api-key", "sk-team", false, ""},
		{"a b", "api-key", "sk-space", false, ""},
		{"one", "openai", "sk-version-1", false, ""},
		{"openai", "other", "", true, "no field"},
		{"openai", "n", "", true, "no field"},
		{"none", "api-key", "", true, "Vault has no"},
		{"../openai", "api-key", "", true, "not of Vault"},
		{"team//openai", "api-key", "", true, "not of Vault"},
		{"broken", "api-key", "", false, "cannot be read"},
	} {
		t.Run(tt.vault+"/"+tt.name, func(t *testing.T) {
			got, until, err := v.ResolveSecretUntil(t.Context(), tt.vault, tt.name)
			assert.Equal(t, tt.want, got)
			assert.True(t, until.IsZero())
			if tt.err == "" {
				assert.NoError(t, err)
				return
			}
			assert.ErrorContains(t, err, tt.err)
			assert.Equal(t, tt.notFound, errors.Is(err, aigateway.ErrSecretNotFound))
			assert.NotContains(t, err.Error(), "sk-")
		})
	}
	f.down = http.StatusServiceUnavailable
	_, err := v.ResolveSecret(t.Context(), "openai", "api-key")
	assert.ErrorContains(t, err, "Vault answered 503: Vault is sealed")
	assert.NotErrorIs(t, err, aigateway.ErrSecretNotFound)
	for _, format := range []string{"%v", "%+v", "%#v"} {
		assert.NotContains(t, fmt.Sprintf(format, v), "hvs.")
		assert.NotContains(t, fmt.Sprintf(format, gatewayvault.Options{Auth: gatewayvault.Token("hvs.fixed")}), "hvs.")
	}
}

// TestSession has tokens live and end under a question a minute.
func TestSession(t *testing.T) {
	pod, secretID, sink := file(t, "of-the-pod"), file(t, "secret-id"), file(t, "hvs.sink")
	login := gatewayvault.JWTFile("kubernetes", "gateway", pod)
	tests := []struct {
		name   string
		auth   gatewayvault.Auth
		change func(*fake)
		hours  int
		calls  map[string]int
	}{
		{"a token without end", gatewayvault.Token("hvs.fixed"), func(f *fake) { f.tokens["hvs.fixed"] = time.Time{} }, 10, map[string]int{"auth/token/lookup-self": 1}},
		{"a token that is renewed", gatewayvault.Token("hvs.fixed"), func(f *fake) { f.tokens["hvs.fixed"] = time.Now().Add(time.Hour) }, 10, map[string]int{"auth/token/lookup-self": 1, "auth/token/renew-self": 19}},
		{"a token that may not look itself up", gatewayvault.Token("hvs.fixed"), func(f *fake) { f.tokens["hvs.fixed"], f.noLookup = time.Time{}, true }, 10, map[string]int{"auth/token/lookup-self": 1}},
		{"a file", gatewayvault.TokenFile(sink), func(f *fake) { f.tokens["hvs.sink"] = time.Now().Add(time.Hour) }, 10, map[string]int{"auth/token/lookup-self": 1, "auth/token/renew-self": 19}},
		{"Kubernetes", login, func(*fake) {}, 10, map[string]int{"auth/kubernetes/login": 1, "auth/token/renew-self": 19}},
		{"AppRole", gatewayvault.AppRole("role", secretID), func(*fake) {}, 1, map[string]int{"auth/approle/login": 1, "auth/token/renew-self": 1}},
		{"a login that is not renewable", login, func(f *fake) { f.renewable = false }, 10, map[string]int{"auth/kubernetes/login": 20}},
		{"a greatest age", login, func(f *fake) { f.maxTTL = 2 * time.Hour }, 4, map[string]int{"auth/kubernetes/login": 3, "auth/token/renew-self": 8}},
		{"a namespace", login, func(f *fake) { f.namespace = "team-a/" }, 1, map[string]int{"auth/kubernetes/login": 1, "auth/token/renew-self": 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t)
				f.secrets["secret/data/openai"] = `{"data":{"data":{"api-key":"sk-openai"},"metadata":{}}}`
				tt.change(f)
				v := f.open(tt.auth, func(o *gatewayvault.Options) { o.Namespace = f.namespace })
				for range tt.hours * 60 {
					got, err := v.ResolveSecret(t.Context(), "openai", "api-key")
					require.NoError(t, err)
					require.Equal(t, "sk-openai", got)
					pass(time.Minute)
				}
				delete(f.calls, "secret/data/openai")
				assert.Equal(t, tt.calls, f.calls)
			})
		})
	}
}

// TestRefusedToken revokes tokens.
func TestRefusedToken(t *testing.T) {
	sink := file(t, "hvs.one")
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		f.secrets["secret/data/openai"] = `{"data":{"data":{"api-key":"sk-openai"},"metadata":{}}}`
		f.tokens["hvs.one"] = time.Now().Add(time.Hour)
		fixed := f.open(gatewayvault.Token("hvs.one"), nil)
		fromFile := f.open(gatewayvault.TokenFile(sink), nil)
		login := f.open(gatewayvault.JWTFile("jwt", "gateway", file(t, "of-the-pod")), nil)
		ask := func(v *gatewayvault.Vault) error {
			_, err := v.ResolveSecret(t.Context(), "openai", "api-key")
			return err
		}
		for _, v := range []*gatewayvault.Vault{fixed, fromFile, login} {
			require.NoError(t, ask(v))
		}
		pass(time.Minute)
		clear(f.tokens)
		assert.ErrorContains(t, ask(fixed), "Vault answered 403: permission denied")
		assert.ErrorContains(t, ask(fromFile), "403")
		assert.NoError(t, ask(login), "it logs in anew")
		require.NoError(t, os.WriteFile(sink, []byte("hvs.two"), 0o600))
		f.tokens["hvs.two"] = time.Now().Add(time.Hour)
		assert.NoError(t, ask(fromFile), "it reads the file anew")

		// A policy that forbids a path does not cause a login for each question.
		clear(f.tokens)
		f.tokenTTL = 0
		logins := f.calls["auth/jwt/login"]
		for range 20 {
			assert.Error(t, ask(login))
			pass(100 * time.Millisecond)
		}
		assert.LessOrEqual(t, f.calls["auth/jwt/login"]-logins, 1)
	})
}

// TestLogin fails to log in.
func TestLogin(t *testing.T) {
	f := newFake(t)
	for name, auth := range map[string]gatewayvault.Auth{
		"invalid role":     gatewayvault.JWTFile("jwt", "gateway", file(t, "hvs.of-another")),
		"no such file":     gatewayvault.JWTFile("jwt", "gateway", "/nowhere/token"),
		"is empty":         gatewayvault.TokenFile(file(t, "")),
		"token is empty":   gatewayvault.Token(""),
		"nowhere/id":       gatewayvault.AppRole("role", "/nowhere/id"),
		"/serviceaccount/": gatewayvault.Kubernetes("", "gateway"),
	} {
		_, err := f.open(auth, nil).ResolveSecret(t.Context(), "openai", "api-key")
		assert.ErrorContains(t, err, name)
		assert.ErrorContains(t, err, "cannot log in to Vault")
		assert.NotErrorIs(t, err, aigateway.ErrSecretNotFound)
		assert.NotContains(t, err.Error(), "hvs.")
	}
}

// TestLeases keeps credentials of a database for a time, through the gateway's
// cache.
func TestLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		f.tokens["hvs.fixed"] = time.Time{}
		v := f.open(gatewayvault.Token("hvs.fixed"), func(o *gatewayvault.Options) {
			o.Path = func(vault, name string) (string, string) { return "database/creds/" + vault, name }
		})
		cache := aigateway.NewSecretCache(v, 0)
		pair := func() [2]string {
			t.Helper()
			user, err := cache.ResolveSecret(t.Context(), "app", "username")
			require.NoError(t, err)
			password, err := cache.ResolveSecret(t.Context(), "app", "password")
			require.NoError(t, err)
			assert.Equal(t, strings.TrimPrefix(user, "user"), strings.TrimPrefix(password, "password"), "of one lease")
			synctest.Wait()
			return [2]string{user, password}
		}
		first := [2]string{"user-1", "password-1"}
		for range 100 {
			assert.Equal(t, first, pair())
			pass(10 * time.Second)
		}
		assert.Equal(t, 1, f.calls["database/creds/app"])
		assert.Greater(t, f.calls["sys/leases/renew"], 5)

		f.granted = 0 // the greatest age of the lease
		seen := map[string]bool{}
		for range 20 {
			user, err := cache.ResolveSecret(t.Context(), "app", "username")
			require.NoError(t, err)
			seen[user] = true
			pass(10 * time.Second)
		}
		assert.GreaterOrEqual(t, len(seen), 2, "read anew: %v", slices.Collect(maps.Keys(seen)))

		f.granted = 100
		before := f.calls["database/creds/app"]
		user, err := v.Refresh(t.Context(), "app", "username")
		require.NoError(t, err)
		password, err := v.Refresh(t.Context(), "app", "password")
		require.NoError(t, err)
		assert.Equal(t, strings.TrimPrefix(user, "user"), strings.TrimPrefix(password, "password"))
		assert.Equal(t, before+1, f.calls["database/creds/app"])

		f.down = http.StatusInternalServerError
		pass(60 * time.Second)
		_, _, err = v.ResolveSecretUntil(t.Context(), "app", "username")
		assert.Error(t, err, "the cache goes on with the value to its end")
	})
}

// TestRedirects follows a standby, and not to http.
func TestRedirects(t *testing.T) {
	f := newFake(t)
	f.tokens["hvs.fixed"] = time.Time{}
	f.secrets["secret/data/openai"] = `{"data":{"data":{"api-key":"sk-openai"},"metadata":{}}}`
	active := httptest.NewServer(f)
	defer active.Close()
	standby := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, active.URL+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	defer standby.Close()
	v, err := gatewayvault.New(gatewayvault.Options{Address: standby.URL, Auth: gatewayvault.Token("hvs.fixed")})
	require.NoError(t, err)
	got, err := v.ResolveSecret(t.Context(), "openai", "api-key")
	require.NoError(t, err)
	assert.Equal(t, "sk-openai", got)

	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, active.URL+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	defer secure.Close()
	v, err = gatewayvault.New(gatewayvault.Options{Address: secure.URL, Auth: gatewayvault.Token("hvs.fixed"), Client: secure.Client()})
	require.NoError(t, err)
	_, err = v.ResolveSecret(t.Context(), "openai", "api-key")
	assert.ErrorContains(t, err, "307")
}

func TestNew(t *testing.T) {
	for _, o := range []gatewayvault.Options{
		{}, {Address: "vault:8200", Auth: gatewayvault.Token("t")}, {Address: "https://vault"},
		{Address: "https://u:p@vault", Auth: gatewayvault.Token("t")},
	} {
		_, err := gatewayvault.New(o)
		assert.Error(t, err)
	}
}
