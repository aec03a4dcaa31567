package aigateway_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/aigateway-go/aigateway"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The README's code is run somewhere: YAML makes a gateway here, the program is
// that of examples/mount, the test is example_unit_test.go's, and the commands are those of .ci/run.
func TestREADME(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	blocks := map[string][]string{}
	for _, m := range regexp.MustCompile("(?s)```(\\w+)\n(.*?)```").FindAllStringSubmatch(string(readme), -1) {
		blocks[m[1]] = append(blocks[m[1]], m[2])
	}

	require.NotEmpty(t, blocks["yaml"])
	for _, doc := range blocks["yaml"] {
		cfg, err := aigateway.ParseConfig([]byte(doc))
		require.NoError(t, err, doc)
		_, err = aigateway.New(cfg)
		assert.NoError(t, err, doc)
	}
	mounted := readExample(t, "mount/gateway.yaml")
	assert.Contains(t, blocks["yaml"], mounted)

	require.Len(t, blocks["go"], 2)
	assert.Contains(t, readExample(t, "mount/main.go"), blocks["go"][0])
	assert.Contains(t, readExample(t, "../example_unit_test.go"), blocks["go"][1])

	ci, err := os.ReadFile(".ci/run")
	require.NoError(t, err)
	require.NotEmpty(t, blocks["sh"])
	for _, command := range blocks["sh"] {
		assert.Contains(t, string(ci), "\n"+command, "CI does not run it")
	}
}

func readExample(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("examples", filepath.FromSlash(path)))
	require.NoError(t, err)
	return string(b)
}
