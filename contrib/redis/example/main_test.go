package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml/goyaml.v3"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/contrib/redis/internal/redistest"
)

func TestMain(m *testing.M) {
	redis.SetLogger(&logging.VoidLogger{})
	os.Exit(m.Run())
}

const secret = "0123456789abcdef0123456789abcdef"

// output is a writer for two goroutines.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func writeConfig(t *testing.T) string {
	t.Helper()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"choices":[{"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}]}`)
	}))
	t.Cleanup(upstream.Close)
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	text := "providers:\n  - {id: mine, base_url: \"http://mine.internal\", models: [{id: m}]}\ninternal_endpoints:\n  mine.internal: \"" + upstream.URL + "\"\n"
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

// serve runs the command until the test ends, and returns its addresses and its log.
func serve(t *testing.T, args ...string) (url, admin string, log *output, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	stdout := new(output)
	log = new(output)
	code := make(chan int, 1)
	go func() { code <- run(ctx, args, secret, stdout, log) }()
	var once sync.Once
	ended := exitOK
	stop = func() int {
		once.Do(func() { cancel(); ended = <-code })
		return ended
	}
	t.Cleanup(func() { stop() })
	require.Eventually(t, func() bool { return strings.Count(stdout.String(), "\n") == 2 }, 10*time.Second, 5*time.Millisecond, "%s", log)
	lines := strings.Split(stdout.String(), "\n")
	_, url, _ = strings.Cut(lines[0], "listening on ")
	_, admin, _ = strings.Cut(lines[1], "health and debug page on ")
	return url, admin, log, stop
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(text)
}

// The store goes and comes. Requests are served all the while.
func TestStoreGoesAndComes(t *testing.T) {
	t.Parallel()
	server, err := redistest.Start()
	require.NoError(t, err)
	t.Cleanup(server.Close)
	url, admin, log, stop := serve(t, "-config", writeConfig(t), "-listen", "127.0.0.1:0", "-admin-listen", "127.0.0.1:0", "-redis", "redis://"+server.Addr, "-name", "one")
	chat := func() {
		t.Helper()
		resp, err := http.Post(url+"/v1/chat/completions", "application/json", strings.NewReader(`{"model":"mine:m","messages":[]}`))
		require.NoError(t, err)
		defer resp.Body.Close()
		assert.Equal(t, http.StatusOK, resp.StatusCode)
	}
	filled := func() {
		t.Helper()
		require.Eventually(t, func() bool { n, err := server.CLI("DBSIZE"); return err == nil && n != "0" }, 10*time.Second, 10*time.Millisecond)
	}
	store := func(want string) {
		t.Helper()
		require.Eventually(t, func() bool {
			_, page := get(t, admin+"/debug/aigateway?format=json")
			var state struct {
				Fleet struct{ Store struct{ State string } }
			}
			return json.Unmarshal([]byte(page), &state) == nil && state.Fleet.Store.State == want
		}, 10*time.Second, 10*time.Millisecond, "the debug page says that the store is %s", want)
	}
	filled()
	store("up")
	server.Kill()
	for range 5 {
		chat()
	}
	store("down")
	require.NoError(t, server.Restart())
	filled()
	store("up")
	chat()
	assert.Equal(t, 1, strings.Count(log.String(), "the store of the fleet is away"), "%s", log)
	assert.Equal(t, 1, strings.Count(log.String(), "the store of the fleet is back"), "%s", log)
	for _, at := range []string{url, admin} {
		status, _ := get(t, at+"/readyz")
		assert.Equal(t, http.StatusOK, status)
	}
	assert.Equal(t, exitOK, stop())
}

func TestUsage(t *testing.T) {
	t.Parallel()
	file := writeConfig(t)
	for want, args := range map[string][]string{
		"-config is missing":                {},
		"unexpected argument":               {"-config", file, "more"},
		"-drain-delay must not be below":    {"-config", file, "-drain-delay", "-1s"},
		"-drain must be above zero":         {"-config", file, "-drain", "0"},
		"flag provided but not defined: -x": {"-x"},
	} {
		var out bytes.Buffer
		assert.Equal(t, exitUsage, run(t.Context(), args, secret, io.Discard, &out), want)
		assert.Contains(t, out.String(), want)
	}
	assert.Equal(t, exitOK, run(t.Context(), []string{"-h"}, secret, io.Discard, io.Discard))
}

func TestRefused(t *testing.T) {
	t.Parallel()
	file := writeConfig(t)
	for want, c := range map[string]struct {
		secret string
		args   []string
	}{
		"AIGATEWAY_SHARED_SECRET is not set": {"", []string{"-config", file, "-redis", "redis://127.0.0.1:1"}},
		"-redis: ":                           {secret, []string{"-config", file, "-redis", "http://127.0.0.1:1"}},
		"no such file":                       {secret, []string{"-config", file + ".nowhere"}},
		"-listen: ":                          {secret, []string{"-config", file, "-listen", "nowhere"}},
		"-admin-listen: ":                    {secret, []string{"-config", file, "-listen", "127.0.0.1:0", "-admin-listen", "nowhere"}},
	} {
		var out bytes.Buffer
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		assert.Equal(t, exitFailed, run(ctx, c.args, c.secret, io.Discard, &out), want)
		assert.Contains(t, out.String(), want)
	}
}

// The files beside the command are of use to it.
func TestFiles(t *testing.T) {
	t.Parallel()
	_, err := aigateway.LoadConfig("gateway.yaml")
	require.NoError(t, err)
	text, err := os.ReadFile("compose.yaml")
	require.NoError(t, err)
	var compose struct {
		Services map[string]struct {
			Command []string `yaml:"command"`
			Ports   []string `yaml:"ports"`
		} `yaml:"services"`
	}
	require.NoError(t, yaml.Unmarshal(text, &compose))
	assert.Len(t, compose.Services, 4)
	for name, s := range compose.Services {
		if !strings.HasPrefix(name, "replica-") {
			continue
		}
		o, err := parseOptions(s.Command, io.Discard)
		require.NotErrorIs(t, err, flag.ErrHelp)
		require.NoError(t, err, name)
		assert.Equal(t, name, o.name)
		assert.Equal(t, "redis://valkey:6379", o.redis)
		assert.Len(t, s.Ports, 2)
	}
}
