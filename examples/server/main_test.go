package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// asCommand makes the test binary be the command, so that tests can send real
// signals to a process of its own without building one.
const asCommand = "AIGATEWAY_SERVER_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main() // does not return
	}
	os.Exit(m.Run())
}

func TestSchema(t *testing.T) {
	var stdout, stderr bytes.Buffer
	assert.Equal(t, exitOK, run(t.Context(), nil, []string{"-schema"}, &stdout, &stderr))
	assert.Empty(t, stderr.String())
	committed, err := os.ReadFile("../../config.schema.json")
	require.NoError(t, err)
	assert.Equal(t, string(committed), stdout.String())
}

// The ballast gives way to who sets the collector, and to a small limit of memory.
func TestBallast(t *testing.T) {
	t.Setenv("GOGC", "")
	assert.Len(t, ballast(), 32<<20)
	t.Setenv("GOGC", "200")
	assert.Nil(t, ballast())
	t.Setenv("GOGC", "")
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(128 << 20))
	assert.Nil(t, ballast())
}

func TestExitCodes(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	require.NoError(t, os.WriteFile(bad, []byte("max_attempts: 101\n"), 0o600))
	for _, row := range []struct {
		name, args string
		code       int
		stderr     string
	}{
		{"help", "-h", exitOK, "Usage of server"},
		{"no config", "", exitUsage, "-config is missing"},
		{"no such flag", "-port 80", exitUsage, "-port"},
		{"an argument too many", "-config gateway.yaml now", exitUsage, `unexpected argument "now"`},
		{"no time to drain", "-config gateway.yaml -drain 0s", exitUsage, "-drain must be above zero"},
		{"live without a check", "-config gateway.yaml -live", exitUsage, "-live goes with -check"},
		{"no level", "-config gateway.yaml -log-level loud", exitUsage, "-log-level"},
		{"a host with a port", "-config gateway.yaml -hosts a.example:80", exitUsage, `"a.example:80" must be a name`},
		{"a host with a scheme", "-config gateway.yaml -hosts https://a.example", exitUsage, "-hosts"},
		{"an origin without a scheme", "-config gateway.yaml -cors app.example", exitUsage, `"app.example" must be an origin`},
		{"an origin with a path", "-config gateway.yaml -cors https://app.example/", exitUsage, "without a path"},
		{"any origin", "-config gateway.yaml -cors *", exitUsage, "-cors"},
		{"the origin of no page", "-config gateway.yaml -cors null", exitUsage, "-cors"},
		{"a delay below zero", "-config gateway.yaml -drain-delay -1s", exitUsage, "-drain-delay must not be below zero"},
		{"one address for both", "-config gateway.yaml -listen 127.0.0.1:81 -admin-listen 127.0.0.1:81", exitUsage, "-admin-listen must not be the address of -listen"},
		{"no such file", "-config missing.yaml", exitFailed, "missing.yaml"},
		{"a bad config", "-config " + bad, exitFailed, `"problems":["max_attempts: `},
		{"a bad address", "-config gateway.yaml -listen nowhere", exitFailed, "-listen: "},
		{"a bad admin address", "-config gateway.yaml -listen 127.0.0.1:0 -admin-listen nowhere", exitFailed, "-admin-listen: "},
	} {
		t.Run(row.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), nil, strings.Fields(row.args), &stdout, &stderr)
			assert.Equal(t, row.code, code)
			assert.Contains(t, stderr.String(), row.stderr)
			assert.Empty(t, stdout.String())
		})
	}
}

// A taken address ends the command at its start, and the other address is free again.
func TestTakenAddress(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	for _, name := range []string{"-listen", "-admin-listen"} {
		t.Run(name, func(t *testing.T) {
			other, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			require.NoError(t, other.Close())
			addresses := map[string]string{"-listen": other.Addr().String(), "-admin-listen": other.Addr().String()}
			addresses[name] = taken.Addr().String()
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), nil, []string{
				"-config", "gateway.yaml", "-listen", addresses["-listen"], "-admin-listen", addresses["-admin-listen"],
			}, &stdout, &stderr)
			assert.Equal(t, exitFailed, code)
			assert.Empty(t, stdout.String(), "no address is announced")
			lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
			last := lines[len(lines)-1]
			assert.Contains(t, last, `"msg":"cannot listen"`)
			assert.Contains(t, last, `"problems":["`+name+": listen tcp "+taken.Addr().String())
			assert.Contains(t, last, "address already in use")
			again, err := net.Listen("tcp", other.Addr().String())
			require.NoError(t, err, "the other address is free again")
			again.Close()
		})
	}
}

// The flags that others rely on.
func TestFlags(t *testing.T) {
	var usage bytes.Buffer
	_, err := parseOptions([]string{"-h"}, &usage)
	require.ErrorIs(t, err, flag.ErrHelp)
	for _, name := range []string{"-config FILE", "-listen ADDR", "-secrets-dir DIR", "-check", "-schema", "-drain",
		"-admin-listen ADDR", "-hosts NAMES", "-cors ORIGINS", "-log-level LEVEL", "-live", "-drain-delay", "-explain FILE", "-v"} {
		assert.Contains(t, usage.String(), "  "+name)
	}
}

// The README's manifest has existing flags, and leaves them enough time.
func TestManifest(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	m := regexp.MustCompile(`(?s)terminationGracePeriodSeconds: (\d+)\n.*?\n +args: (\[.*?\])\n`).FindSubmatch(readme)
	require.NotNil(t, m)
	var args []string
	require.NoError(t, json.Unmarshal(m[2], &args))
	var usage bytes.Buffer
	o, err := parseOptions(args, &usage)
	require.NoError(t, err, usage.String())
	grace, err := time.ParseDuration(string(m[1]) + "s")
	require.NoError(t, err)
	assert.Less(t, o.drainDelay+o.drain+cutTimeout, grace)
	assert.NotZero(t, o.drainDelay)
}

// putSecret writes a secret the way an orchestrator does: whole, or not at all.
func putSecret(t *testing.T, dir, vault, name, value string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, vault), 0o700))
	file := filepath.Join(dir, vault, name)
	require.NoError(t, os.WriteFile(file+".new", []byte(value+"\n"), 0o600))
	require.NoError(t, os.Rename(file+".new", file))
}
