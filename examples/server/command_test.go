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
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// clientKey is the client's own key. It stays with the gateway.
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

// start starts the command on free ports, and returns when it listens. A hang ends
// with the process, after two minutes.
func start(t *testing.T, args ...string) *command {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute) // bounds a hang only
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
	return c.postBy(t, http.DefaultClient, body)
}

func (c *command) postBy(t *testing.T, client *http.Client, body string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.url+"/v1/chat/completions", bytes.NewReader([]byte(body)))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+clientKey)
	resp, err := client.Do(req)
	require.NoError(t, err)
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// chat sends a request without streaming, and returns the answer.
func (c *command) chat(t *testing.T, status int) string {
	t.Helper()
	resp := c.post(t, `{"model":"m","messages":[]}`)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, status, resp.StatusCode, string(body))
	return string(body)
}
