package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/gatewaytest/faultwall"
)

// internal/suite plays all faults and scenarios. Here a few of them show that
// the tables are true.
func TestFaults(t *testing.T) {
	var out, tables strings.Builder
	p := program{open: openGateway, pace: time.Second, cases: some("503 for ever", "stall mid-stream"), scenarios: faultwall.Scenarios()[12:13]}
	require.NoError(t, p.run(t.Context(), &out, &tables), out.String())
	assert.True(t, strings.HasPrefix(out.String(), tables.String()))
	assert.Equal(t, 3, strings.Count(tables.String(), "## "))
	assert.NotContains(t, tables.String(), "All as it should be.")
	text := strings.Join(strings.Fields(out.String()), " ")
	for _, row := range []string{
		"| 503 for ever | 2 | 1 | 200, whole, of model-f |",
		"| stall mid-stream | 1 | 0 | 200, 4 words, then the error stream_broken |",
		"| 503 for ever | 2 | 503 all_providers_failed |",
		"| S13 Content-filter rejection | 1 | 0 |",
		"| pass | pass |",
		"10 cases and 2 scenarios",
		"All as it should be.",
	} {
		assert.Contains(t, text, row)
	}
	assert.NotContains(t, text, "NOT OK")
}

// A gateway that answers everything with nonsense must fail.
func TestFaultsFindsABadGateway(t *testing.T) {
	var out strings.Builder
	p := program{
		pace: time.Millisecond, cases: some("content filter"), scenarios: faultwall.Scenarios()[12:13],
		open: func(setup faultwall.Setup) (http.Handler, error) {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				setup.Done([]byte(`{"status":"success"}`))
				fmt.Fprint(w, `{"choices":[]}`)
			}), nil
		},
	}
	err := p.run(t.Context(), &out, io.Discard)
	assert.ErrorContains(t, err, "3 rows", out.String())
	assert.Contains(t, out.String(), "content filter: openai chat: 0 attempts at the primary, want 1")
	assert.Contains(t, out.String(), "NOT OK")
	assert.NotContains(t, out.String(), "All as it should be.")
}

// A gateway that cannot be made must fail too.
func TestFaultsNoGateway(t *testing.T) {
	var out strings.Builder
	p := program{
		cases: some("content filter"), scenarios: faultwall.Scenarios()[12:13],
		open: func(faultwall.Setup) (http.Handler, error) { return nil, fmt.Errorf("no gateway today") },
	}
	assert.ErrorContains(t, p.run(t.Context(), &out, io.Discard), "rows", out.String())
	assert.Contains(t, out.String(), "no gateway today")
}

// some returns the cases of the faults with these names.
func some(names ...string) (cases []faultwall.Case) {
	for _, c := range faultwall.Cases() {
		for _, name := range names {
			if c.Name == name {
				cases = append(cases, c)
			}
		}
	}
	return cases
}
