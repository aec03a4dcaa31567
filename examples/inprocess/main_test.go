package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The first provider breaks its stream off before a word, and the second answers.
func TestFailover(t *testing.T) {
	laptop := gatewaytest.NewUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
		gatewaytest.StartStream(w)
		panic(http.ErrAbortHandler)
	})
	office := gatewaytest.NewUpstream(t, gatewaytest.Stream(
		gatewaytest.ChatDelta("Rayleigh "), gatewaytest.ChatDelta("scattering."), gatewaytest.ChatStop, gatewaytest.ChatDone))
	cfg, err := aigateway.LoadConfig("gateway.yaml")
	require.NoError(t, err)
	cfg.InternalEndpoints["laptop.internal"], cfg.InternalEndpoints["office.internal"] = laptop.URL, office.URL
	gateway, err := aigateway.New(cfg)
	require.NoError(t, err)
	client := openai.NewClient(option.WithHTTPClient(gateway.Client()), option.WithAPIKey("unused"))

	printed, err := os.Create(filepath.Join(t.TempDir(), "printed"))
	require.NoError(t, err)
	stdout := os.Stdout
	os.Stdout = printed
	err = ask(t.Context(), client, "Why is the sky blue?")
	os.Stdout = stdout
	require.NoError(t, err)
	text, err := os.ReadFile(printed.Name())
	require.NoError(t, err)
	assert.Equal(t, "Rayleigh scattering.\nanswered by office, attempt 2\n", string(text))
	assert.Equal(t, 1, laptop.Count())
	require.Equal(t, 1, office.Count())
	assert.NotContains(t, strings.Join(office.Last().Header.Values("Authorization"), ""), "unused")
}
