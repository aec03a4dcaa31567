//go:build unix

package main

import (
	"bufio"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/gatewaytest"
)

func TestLogLevel(t *testing.T) {
	upstream := gatewaytest.NewUpstream(t, gatewaytest.Chat("hello"))
	file := writeConfig(t, filepath.Join(t.TempDir(), "gateway.yaml"), upstream.URL, "")
	for level, want := range map[string]bool{"debug": true, "warn": false} {
		server := start(t, "-log-level", level, "-config", file)
		server.chat(t, http.StatusOK)
		server.signal(t, syscall.SIGTERM)
		assert.Equal(t, exitOK, server.wait())
		log := strings.Join(server.lines(), "\n")
		assert.Equal(t, want, strings.Contains(log, `"models_tried"`), "%s: %s", level, log)
		assert.Equal(t, want, strings.Contains(log, `"level":"INFO"`), "%s: %s", level, log)
	}
}

// Missing secrets and slips are logged after the start, and again after a reload.
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

func TestAdmin(t *testing.T) {
	upstream := gatewaytest.NewUpstream(t, gatewaytest.Chat("hello"))
	// A second signal ends the delay.
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
	assert.Equal(t, "ok\n", get(server.url+"/healthz", http.StatusOK))
	assert.Equal(t, "ok\n", get(server.url+"/readyz", http.StatusOK))
	get(server.admin+"/v1/models", http.StatusNotFound)
	get(server.url+"/debug/aigateway", http.StatusNotFound)

	server.signal(t, syscall.SIGTERM)
	server.awaitLog(t, "draining")
	assert.Equal(t, "draining\n", get(server.admin+"/readyz", http.StatusServiceUnavailable))
	assert.Equal(t, "ok\n", get(server.admin+"/healthz", http.StatusOK))
	assert.Equal(t, "draining\n", get(server.url+"/readyz", http.StatusServiceUnavailable))
	assert.Equal(t, "ok\n", get(server.url+"/healthz", http.StatusOK))
	resp := server.post(t, `{"model":"m","messages":[]}`)
	assert.Equal(t, http.StatusOK, resp.StatusCode, "requests are still taken")
	assert.True(t, resp.Close, "the connection must not be kept for another")
	server.signal(t, syscall.SIGTERM)
	server.wait()
	ended := server.cmd.ProcessState.Sys().(syscall.WaitStatus)
	assert.Equal(t, syscall.SIGTERM, ended.Signal(), "a second signal ends it at once")
}

// Two servers need no flags to stay out of each other's way.
func TestAdminIsOffUnlessAskedFor(t *testing.T) {
	for range 2 {
		server := start(t, "-admin-listen", "", "-config", "gateway.yaml")
		for path, status := range map[string]int{"/healthz": http.StatusOK, "/readyz": http.StatusOK, "/debug/aigateway": http.StatusNotFound} {
			resp, err := http.Get(server.url + path)
			require.NoError(t, err)
			resp.Body.Close()
			assert.Equal(t, status, resp.StatusCode, path)
		}
		t.Cleanup(func() {
			server.signal(t, syscall.SIGTERM)
			assert.Equal(t, exitOK, server.wait())
		})
	}
	o, err := parseOptions([]string{"-config", "gateway.yaml"}, io.Discard)
	require.NoError(t, err)
	assert.Empty(t, o.adminListen)
}

func TestStopDrains(t *testing.T) {
	http2 := new(http.Protocols)
	http2.SetUnencryptedHTTP2(true)
	for _, row := range []struct {
		name   string
		signal syscall.Signal
		client *http.Client
		proto  string
	}{
		{"SIGTERM", syscall.SIGTERM, http.DefaultClient, "HTTP/1.1"},
		{"SIGINT", syscall.SIGINT, http.DefaultClient, "HTTP/1.1"},
		{"SIGTERM, HTTP/2", syscall.SIGTERM, &http.Client{Transport: &http.Transport{Protocols: http2}}, "HTTP/2.0"},
	} {
		t.Run(row.name, func(t *testing.T) {
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
			stream := server.postBy(t, row.client, `{"model":"m","messages":[],"stream":true}`)
			assert.Equal(t, row.proto, stream.Proto)
			begun, err := bufio.NewReader(stream.Body).ReadString('\n')
			require.NoError(t, err)
			require.Contains(t, begun, "begun")

			server.signal(t, row.signal)
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
