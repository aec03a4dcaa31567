//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/gatewaytest"
)

func TestSIGHUPReloads(t *testing.T) {
	first := gatewaytest.NewUpstream(t, gatewaytest.Chat("first"))
	second := gatewaytest.NewUpstream(t, gatewaytest.Chat("second"))
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	writeConfig(t, file, first.URL, "")
	server := start(t, "-config", file)
	assert.Contains(t, server.chat(t, http.StatusOK), "first")

	writeConfig(t, file, second.URL, "")
	server.signal(t, syscall.SIGHUP)
	server.awaitLog(t, "config reloaded")
	assert.Contains(t, server.chat(t, http.StatusOK), "second")

	writeConfig(t, file, first.URL, "max_attempts: many\non_eror: halt\n")
	server.signal(t, syscall.SIGHUP)
	why := server.awaitLog(t, "config refused, the old one stays")
	assert.Len(t, why["problems"], 2)
	assert.Contains(t, why["problems"].([]any)[0], "max_attempts")
	assert.Contains(t, why["problems"].([]any)[1], "on_eror")
	assert.Contains(t, server.chat(t, http.StatusOK), "second", "a bad file must change nothing")
}

// What does not resolve is in the log from the start, and again after a reload.
func TestMissingSecretsAreLogged(t *testing.T) {
	upstream := gatewaytest.NewUpstream(t, gatewaytest.Chat("hello"))
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	writeConfig(t, file, upstream.URL, "  olama.internal: \"http://127.0.0.1:11434\"\n"+
		"headers:\n  X-One: ${secrets.get('nobody', 'one')}\n  X-Two: ${secrets.get('nobody', 'two')}\n")
	server := start(t, "-config", file)
	for range 2 {
		slip := server.awaitLog(t, "config looks wrong")
		assert.Equal(t, "WARN", slip["level"])
		assert.Contains(t, slip["problem"], "olama.internal")
		for _, name := range []string{"One", "Two"} {
			missing := server.awaitLog(t, "secret does not resolve")
			assert.Equal(t, "WARN", missing["level"])
			assert.Contains(t, missing["problem"], "headers.X-"+name+": ")
			assert.Contains(t, missing["problem"], "NOBODY_"+strings.ToUpper(name)+" is not set")
		}
		server.signal(t, syscall.SIGHUP)
	}
	server.awaitLog(t, "config reloaded")
	writeConfig(t, file, upstream.URL, "")
	server.signal(t, syscall.SIGHUP)
	server.awaitLog(t, "every secret resolves")
}

// A page from anywhere, open in a browser on this machine, must not spend the keys.
func TestPagesOfOthersAreRefused(t *testing.T) {
	upstream := gatewaytest.NewUpstream(t, gatewaytest.Chat("hello"))
	server := start(t, "-config", writeConfig(t, filepath.Join(t.TempDir(), "gateway.yaml"), upstream.URL, ""))
	req, err := http.NewRequest(http.MethodPost, server.url+"/v1/chat/completions", strings.NewReader(`{"model":"m","messages":[]}`))
	require.NoError(t, err)
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, http.StatusForbidden, resp.StatusCode)
	assert.Zero(t, upstream.Count())
	assert.Contains(t, server.chat(t, http.StatusOK), "hello")
}

func TestAdmin(t *testing.T) {
	upstream := gatewaytest.NewUpstream(t, gatewaytest.Chat("hello"))
	// Nobody waits for the delay: a second signal ends it.
	server := start(t, "-drain-delay", "1h", "-config", writeConfig(t, filepath.Join(t.TempDir(), "gateway.yaml"), upstream.URL, ""))
	get := func(url string, status int) string {
		t.Helper()
		resp, err := http.Get(url)
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.Equal(t, status, resp.StatusCode, url)
		return string(body)
	}
	assert.Equal(t, "ok\n", get(server.admin+"/healthz", http.StatusOK))
	assert.Equal(t, "ok\n", get(server.admin+"/readyz", http.StatusOK))
	assert.Contains(t, server.chat(t, http.StatusOK), "hello")
	assert.Contains(t, get(server.admin+"/debug/aigateway?format=json", http.StatusOK), `"mine"`)
	// Neither address has what is the other's.
	get(server.admin+"/v1/models", http.StatusNotFound)
	for _, path := range []string{"/healthz", "/readyz", "/debug/aigateway"} {
		get(server.url+path, http.StatusNotFound)
	}

	server.signal(t, syscall.SIGTERM)
	server.awaitLog(t, "draining")
	assert.Equal(t, "draining\n", get(server.admin+"/readyz", http.StatusServiceUnavailable))
	assert.Equal(t, "ok\n", get(server.admin+"/healthz", http.StatusOK))
	resp := server.post(t, `{"model":"m","messages":[]}`)
	assert.Equal(t, http.StatusOK, resp.StatusCode, "requests are still taken")
	assert.True(t, resp.Close, "the connection must not be kept for another")
	server.signal(t, syscall.SIGTERM)
	server.wait()
	ended := server.cmd.ProcessState.Sys().(syscall.WaitStatus)
	assert.Equal(t, syscall.SIGTERM, ended.Signal(), "a second signal ends it at once, and not the test's limit")
}

func TestAdminTurnedOff(t *testing.T) {
	server := start(t, "-admin-listen", "", "-config", "gateway.yaml")
	server.signal(t, syscall.SIGTERM)
	assert.Equal(t, exitOK, server.wait())
}

func TestStopDrains(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			goOn := make(chan struct{})
			upstream := gatewaytest.NewUpstream(t, func(w http.ResponseWriter, r *http.Request) {
				gatewaytest.StartStream(w)
				gatewaytest.Send(w, gatewaytest.ChatDelta("begun"))
				select {
				case <-goOn:
					gatewaytest.Send(w, gatewaytest.ChatDelta("ended")+gatewaytest.ChatStop+gatewaytest.ChatDone)
				case <-r.Context().Done():
				}
			})
			server := start(t, "-drain-delay", "1ms", "-config", writeConfig(t, filepath.Join(t.TempDir(), "gateway.yaml"), upstream.URL, ""))
			stream := server.post(t, `{"model":"m","messages":[],"stream":true}`)
			begun, err := bufio.NewReader(stream.Body).ReadString('\n')
			require.NoError(t, err)
			require.Contains(t, begun, "begun")

			server.signal(t, sig)
			server.awaitLog(t, "draining")
			close(goOn)
			rest, err := io.ReadAll(stream.Body)
			require.NoError(t, err, "the stream was cut off")
			assert.Contains(t, string(rest), "ended")
			assert.Contains(t, string(rest), "[DONE]")
			server.awaitLog(t, "drained")
			assert.Equal(t, exitOK, server.wait())
		})
	}
}

func TestStopCutsOffWhatDoesNotEnd(t *testing.T) {
	upstream := gatewaytest.NewUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		gatewaytest.StartStream(w)
		gatewaytest.Send(w, gatewaytest.ChatDelta("begun"))
		<-r.Context().Done()
	})
	server := start(t, "-drain", "50ms", "-config", writeConfig(t, filepath.Join(t.TempDir(), "gateway.yaml"), upstream.URL, ""))
	stream := server.post(t, `{"model":"m","messages":[],"stream":true}`)
	server.signal(t, syscall.SIGTERM)
	why := server.awaitLog(t, "requests cut off")
	assert.Equal(t, []any{"1 requests still under way after 50ms, cutting them off"}, why["problems"])
	server.awaitLog(t, "request") // its own line is not lost
	assert.Equal(t, exitFailed, server.wait())
	_, err := io.ReadAll(stream.Body)
	assert.Error(t, err, "a stream that was cut off must not look complete")
}

// A key that is replaced in its file is taken up when the provider refuses the
// old one, without a restart and without the client noticing.
func TestSecretRotation(t *testing.T) {
	var mu sync.Mutex
	valid := "sk-file-before-rotation-1111"
	upstream := gatewaytest.NewUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.Header.Get("Authorization") != "Bearer "+valid {
			gatewaytest.Error(http.StatusUnauthorized, "invalid_api_key", "no such key: "+r.Header.Get("Authorization"))(w, r)
			return
		}
		gatewaytest.Chat("welcome")(w, r)
	})
	// The directory comes before the environment.
	t.Setenv("MY_PROVIDER_API_KEY", "sk-environment-2222")
	secrets := t.TempDir()
	putSecret(t, secrets, "my-provider", "api-key", valid)
	server := start(t, "-secrets-dir", secrets, "-config", writeConfig(t, filepath.Join(t.TempDir(), "gateway.yaml"), upstream.URL, ""))
	assert.Contains(t, server.chat(t, http.StatusOK), "welcome")

	mu.Lock()
	valid = "sk-file-after-rotation-3333"
	mu.Unlock()
	putSecret(t, secrets, "my-provider", "api-key", valid)
	assert.Contains(t, server.chat(t, http.StatusOK), "welcome")
	assert.Equal(t, 3, upstream.Count(), "the refused key, and then the new one")

	mu.Lock()
	valid = "sk-file-4444-that-nobody-was-told"
	mu.Unlock()
	refusal := server.chat(t, http.StatusBadGateway)
	assert.Contains(t, refusal, "upstream_authentication_failed")

	server.signal(t, syscall.SIGTERM)
	assert.Equal(t, exitOK, server.wait())
	requests := 0
	for _, line := range server.lines() {
		var entry map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &entry), "every line is structured: %s", line)
		if entry["msg"] == "request" {
			requests++
			assert.Equal(t, "mine", entry["gen_ai.provider.name"], line)
			assert.Equal(t, "m", entry["gen_ai.request.model"], line)
			assert.Contains(t, entry, "aigateway.upstream.status_code", line)
		}
	}
	assert.Equal(t, 3, requests, "one line a request")
	// A secret may be shown as its two ends.
	for _, secret := range []string{"before-rotation", "after-rotation", "sk-environment", clientKey} {
		assert.NotContains(t, strings.Join(server.lines(), "\n"), secret)
		assert.NotContains(t, refusal, secret, "an answer that echoes the key")
	}
}

// clientKey is what the tests' client sends as its own key. It stays with the
// gateway.
const clientKey = "sk-client-5555"

// writeConfig writes a config with one provider, "mine", and returns the file.
func writeConfig(t *testing.T, file, upstream, more string) string {
	t.Helper()
	config := fmt.Sprintf(`
providers:
  - id: "mine"
    base_url: "http://mine.internal"
    api_keys:
      - value: ${secrets.get('my-provider', 'api-key')}
    models:
      - id: "m"
internal_endpoints:
  mine.internal: %q
`, upstream)
	require.NoError(t, os.WriteFile(file, []byte(config+more), 0o600))
	return file
}

// command is the command in a process of its own.
type command struct {
	url    string
	admin  string // where -admin-listen is not given
	cmd    *exec.Cmd
	exited func() // waits for the end, once

	mu   sync.Mutex
	log  []string
	news chan struct{} // gets one when log has grown, closed after its last line
	read int           // how many lines awaitLog has seen
}

// start starts the command on free ports, and returns when it listens. It is
// killed after 10 s, which ends everything that waits for it.
func start(t *testing.T, args ...string) *command {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute) // bounds a hang alone
	c := &command{news: make(chan struct{}, 1)}
	c.cmd = exec.CommandContext(ctx, os.Args[0], append([]string{"-listen", "127.0.0.1:0", "-admin-listen", "127.0.0.1:0"}, args...)...)
	// The race detector's second of waiting before each exit is not needed: no
	// other goroutine is left to report on.
	c.cmd.Env = append(os.Environ(), asCommand+"=1", "GORACE=atexit_sleep_ms=0")
	if os.Getenv("MY_PROVIDER_API_KEY") == "" {
		c.cmd.Env = append(c.cmd.Env, "MY_PROVIDER_API_KEY=sk-environment-2222")
	}
	stdout, err := c.cmd.StdoutPipe()
	require.NoError(t, err)
	stderr, err := c.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, c.cmd.Start())
	logged := make(chan struct{})
	go func() {
		defer close(logged)
		c.follow(stderr)
	}()
	c.exited = sync.OnceFunc(func() {
		<-logged     // all of stderr must be read before Wait closes it
		c.cmd.Wait() // the tests look at the exit code
		cancel()
	})
	t.Cleanup(func() {
		cancel()
		c.exited()
	})
	lines := bufio.NewReader(stdout)
	address := func(of string) string {
		line, err := lines.ReadString('\n')
		require.NoError(t, err, "it did not start: %s", c.lines())
		url, ok := strings.CutPrefix(strings.TrimSpace(line), of)
		require.True(t, ok, line)
		return url
	}
	c.url = address("listening on ")
	if !slices.Contains(args, "-admin-listen") {
		c.admin = address("health and debug page on ")
	}
	return c
}

func (c *command) follow(stderr io.Reader) {
	defer close(c.news)
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		c.mu.Lock()
		c.log = append(c.log, lines.Text())
		c.mu.Unlock()
		select {
		case c.news <- struct{}{}:
		default: // it has not been told of the last line yet either
		}
	}
}

// lines returns what was logged so far.
func (c *command) lines() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.log...)
}

// awaitLog waits for a line with a message, after those that it has seen.
func (c *command) awaitLog(t *testing.T, message string) map[string]any {
	t.Helper()
	for open := true; ; _, open = <-c.news {
		for _, line := range c.lines()[c.read:] {
			c.read++
			var entry map[string]any
			require.NoError(t, json.Unmarshal([]byte(line), &entry), line)
			if entry["msg"] == message {
				return entry
			}
		}
		require.True(t, open, "the command has ended without logging %q: %s", message, c.lines())
	}
}

func (c *command) signal(t *testing.T, sig os.Signal) {
	t.Helper()
	require.NoError(t, c.cmd.Process.Signal(sig))
}

// wait returns the exit code, -1 where it was killed.
func (c *command) wait() int {
	c.exited()
	return c.cmd.ProcessState.ExitCode()
}

// post sends a chat request, and closes the answer when the test ends.
func (c *command) post(t *testing.T, body string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.url+"/v1/chat/completions", bytes.NewReader([]byte(body)))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+clientKey)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// chat sends a request that is no stream, and returns the answer.
func (c *command) chat(t *testing.T, status int) string {
	t.Helper()
	resp := c.post(t, `{"model":"m","messages":[]}`)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, status, resp.StatusCode, string(body))
	return string(body)
}
