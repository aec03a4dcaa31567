package suite

import (
	"go/build"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// layers are the mechanisms of internal. Each imports mechanisms of earlier layers only. One
// of the first layer can be read by itself.
var layers = [...]string{
	"bounds builtin coding debugpage dialect expr genai habits header jsonscan limit modellist pins plain price ratelimit redact route stats",
	"address apierror confdoc discover ids inprocess measure realtime relay reqbody schema secretstore usage",
	"dial fields fleet translate",
}

// tools are the packages of internal that serve tests and documents. The library does not
// import them.
const tools = "bench chart gatewaytest screenshot section soak suite"

// TestLayers holds each mechanism to its layer, and the library to the mechanisms.
func TestLayers(t *testing.T) {
	inner := func(dir string) (names []string) { // the packages of internal that dir imports
		p, err := build.ImportDir(dir, 0)
		require.NoError(t, err)
		for _, path := range p.Imports {
			if name, ok := strings.CutPrefix(path, "github.com/aigateway-go/aigateway/internal/"); ok {
				names = append(names, name)
			}
		}
		return names
	}
	var below, all []string
	for _, layer := range layers {
		packages := strings.Fields(layer)
		for _, name := range packages {
			for _, used := range inner("../" + name) {
				assert.Contains(t, below, used, "%s imports %s: give it a later layer, or %s an earlier one", name, used, used)
			}
		}
		below = append(below, packages...)
	}
	assert.Subset(t, below, inner("../.."), "the root imports mechanisms only")

	folders, err := os.ReadDir("..")
	require.NoError(t, err)
	for _, f := range folders {
		if _, err := os.Stat(filepath.Join("..", f.Name(), "go.mod")); err != nil { // nested modules are tools
			all = append(all, f.Name())
		}
	}
	listed := append(slices.Clone(below), strings.Fields(tools)...)
	assert.ElementsMatch(t, all, listed, "each package has its place, and one only")
}
