//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

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

// Regression: a config that cannot be read at once kept the server from seeing SIGTERM.
func TestStopWhileReloading(t *testing.T) {
	upstream := gatewaytest.NewUpstream(t, gatewaytest.Chat("hello"))
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	writeConfig(t, file, upstream.URL, "")
	server := start(t, "-config", file)
	fifo := makeFIFO(t, file)
	server.signal(t, syscall.SIGHUP)
	server.awaitLog(t, "reloading the config")
	_, err := fifo.WriteString("providers:")
	require.NoError(t, err)
	assert.Contains(t, server.chat(t, http.StatusOK), "hello", "it serves meanwhile")
	server.signal(t, syscall.SIGTERM)
	server.awaitLog(t, "drained")
	assert.Equal(t, exitOK, server.wait())
	assert.NotContains(t, strings.Join(server.lines(), "\n"), "config refused", "it waited for the reload to give up")
}

// A newer SIGHUP does not wait for a reload that hangs.
func TestReloadOvertakesAnother(t *testing.T) {
	first := gatewaytest.NewUpstream(t, gatewaytest.Chat("first"))
	second := gatewaytest.NewUpstream(t, gatewaytest.Chat("second"))
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	server := start(t, "-config", writeConfig(t, file, first.URL, ""))
	makeFIFO(t, file)
	server.signal(t, syscall.SIGHUP)
	server.awaitLog(t, "reloading the config")
	require.NoError(t, os.Remove(file))
	writeConfig(t, file, second.URL, "")
	server.signal(t, syscall.SIGHUP)
	server.awaitLog(t, "config reloaded")
	assert.Contains(t, server.chat(t, http.StatusOK), "second")
}

func TestStopWhileStarting(t *testing.T) {
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	makeFIFO(t, file)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	var stdout, stderr bytes.Buffer
	assert.Equal(t, exitFailed, run(ctx, nil, []string{"-config", file}, &stdout, &stderr))
	assert.Contains(t, stderr.String(), "stopped before it was read")
}

// makeFIFO puts a pipe in the place of a file. It has a writer, so that its readers wait.
func makeFIFO(t *testing.T, file string) *os.File {
	t.Helper()
	os.Remove(file)
	require.NoError(t, syscall.Mkfifo(file, 0o600))
	fifo, err := os.OpenFile(file, os.O_RDWR, 0)
	require.NoError(t, err)
	t.Cleanup(func() { fifo.Close() })
	return fifo
}

func TestReloadOfADirectory(t *testing.T) {
	upstream := gatewaytest.NewUpstream(t, gatewaytest.Chat("hello"))
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	server := start(t, "-config", writeConfig(t, file, upstream.URL, ""))
	require.NoError(t, os.Remove(file))
	require.NoError(t, os.Mkdir(file, 0o700))
	server.signal(t, syscall.SIGHUP)
	why := server.awaitLog(t, "config refused, the old one stays")
	assert.Contains(t, why["problems"].([]any)[0], "is a directory")
	assert.Contains(t, server.chat(t, http.StatusOK), "hello")
}

// Regression: a reload forgot the last good value, and requests failed until the store
// was back.
func TestReloadWhileTheSecretStoreIsDown(t *testing.T) {
	var mu sync.Mutex
	var keys []string
	upstream := gatewaytest.NewUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		keys = append(keys, r.Header.Get("Authorization"))
		gatewaytest.Chat("hello")(w, r)
	})
	dir := filepath.Join(t.TempDir(), "secrets")
	putSecret(t, dir, "stored", "key", "sk-first")
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	config := fmt.Sprintf(`
providers:
  - id: "mine"
    base_url: "http://mine.internal"
    api_keys: [{value: "${secrets.get('stored', 'key')}"}]
    models: [{id: "m"}]
internal_endpoints: {mine.internal: %q}
`, upstream.URL)
	require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
	server := start(t, "-secrets-dir", dir, "-config", file)
	server.awaitLog(t, "every secret resolves")
	server.chat(t, http.StatusOK)

	require.NoError(t, os.Rename(dir, dir+".away"))
	for range 2 {
		server.signal(t, syscall.SIGHUP)
		server.awaitLog(t, "config reloaded")
		server.chat(t, http.StatusOK)
	}
	require.NoError(t, os.Rename(dir+".away", dir))
	putSecret(t, dir, "stored", "key", "sk-second")
	server.signal(t, syscall.SIGHUP)
	server.awaitLog(t, "config reloaded")
	server.chat(t, http.StatusOK)
	mu.Lock()
	defer mu.Unlock()
	assert.Equal(t, []string{"Bearer sk-first", "Bearer sk-first", "Bearer sk-first", "Bearer sk-second"}, keys)
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
