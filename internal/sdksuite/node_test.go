package sdksuite

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOpenAINode(t *testing.T) {
	t.Parallel()
	compareNode(t, "openai")
}

func TestAnthropicNode(t *testing.T) {
	t.Parallel()
	compareNode(t, "anthropic")
}

func TestAIWithOpenAI(t *testing.T) {
	t.Parallel()
	compareNode(t, "ai-openai")
}

func TestAIWithOpenAICompatible(t *testing.T) {
	t.Parallel()
	compareNode(t, "ai-openai-compatible")
}

func TestAIWithAnthropic(t *testing.T) {
	t.Parallel()
	compareNode(t, "ai-anthropic")
}

func TestLangChainWithOpenAI(t *testing.T) {
	t.Parallel()
	compareNode(t, "langchain-openai")
}

func TestLangChainWithAnthropic(t *testing.T) {
	t.Parallel()
	compareNode(t, "langchain-anthropic")
}

// compareNode is compare for a script in node/.
func compareNode(t *testing.T, script string) {
	compare(t, "node-"+script, func(t *testing.T, l leg) []outcome { return driveNode(t, script, l) })
}

// driveNode runs a script in node/.
func driveNode(t *testing.T, script string, l leg, env ...string) []outcome {
	cmd := exec.CommandContext(t.Context(), nodeBinary(t), filepath.Join("node", script+".mjs"))
	cmd.Env = append(append(os.Environ(), "SUITE_URL="+l.url, "SUITE_KEY="+l.key, "SUITE_CONTROL="+l.up.ControlURL()), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	require.NoError(t, err, "%s", &stderr)
	var results []struct{ Name, Text string }
	require.NoError(t, json.Unmarshal(stdout, &results), "%s", stdout)
	var out []outcome
	for _, r := range results {
		out = append(out, outcome{r.Name, r.Text})
	}
	return out
}

// nodeBinary is the Node.js that package.json pins, because the newest SDKs want
// a newer one than distributions have; elsewhere, the one in the PATH.
func nodeBinary(t *testing.T) string {
	_, err := os.Stat(filepath.Join("node_modules", "openai"))
	require.NoError(t, err, "the npm SDKs are not installed: run `npm ci` in %s", dir(t))
	arch := strings.NewReplacer("amd64", "x64").Replace(runtime.GOARCH)
	pinned, err := filepath.Abs(filepath.Join("node_modules", "node-"+runtime.GOOS+"-"+arch, "bin", "node"))
	require.NoError(t, err)
	if _, err := os.Stat(pinned); err == nil {
		return pinned
	}
	path, err := exec.LookPath("node")
	require.NoError(t, err, "there is no Node.js: install version 22 or newer")
	return path
}

func dir(t *testing.T) string {
	wd, err := os.Getwd()
	require.NoError(t, err)
	return wd
}
