package main

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
)

func TestQuickstart(t *testing.T) {
	var out strings.Builder
	require.NoError(t, run(t.Context(), &out), out.String())
	text := out.String()
	for _, line := range []string{
		// What was asked, tried and answered, in each scene.
		`asked     {"model":"cloud:large"}`,
		`with the key sk-quic…2315`,
		`answered  200 Hello from cloud, where the model is large.`,
		`chosen    laptop:llama3-8b by ai.models.filter(m, m.metadata.speed == 'fast')`,
		`asked     {"models":["basement:mixtral","cloud:large"]}`,
		`tried     basement:mixtral, connection refused`,
		`streams   Hello from laptop, where the model is llama3-8b.`,
		`arrived   after `,
		`gpu-1     █`,
		`gpu-2     █`,
		`answered  422 provider_not_allowed: model "gpt-4o"`,
		`did you mean "llama3-70b"?`,
		`All as it should be.`,
	} {
		assert.Contains(t, text, line)
	}
	assert.NotContains(t, text, cloudKey)
	assert.LessOrEqual(t, strings.Count(text, "\n"), 60, "it should fit on a screen")
	for i, s := range scenes() {
		assert.Contains(t, text, s.title, "scene %d", i+1)
	}
}

// A quickstart that cannot fail would show nothing.
func TestOutlineCheck(t *testing.T) {
	tried := func(names ...string) *aigateway.Result {
		res := new(aigateway.Result)
		for _, name := range names {
			provider, model, _ := strings.Cut(name, ":")
			res.ModelsTried = append(res.ModelsTried, aigateway.TriedModel{
				RequestsMade: []aigateway.Attempt{{Provider: provider, Model: model}},
			})
		}
		return res
	}
	want := outline{http.StatusOK, []string{"a:m", "b:m"}, "Hello from b"}
	for _, row := range []struct {
		name string
		got  answer
		err  string
	}{
		{"as it should be", answer{status: 200, text: "Hello from b.", result: tried("a:m", "b:m")}, ""},
		{"another status", answer{status: 502, text: "Hello from b.", result: tried("a:m", "b:m")}, "the status is 502, not 200"},
		{"no failover", answer{status: 200, text: "Hello from b.", result: tried("b:m")}, `tried were ["b:m"]`},
		{"another order", answer{status: 200, text: "Hello from b.", result: tried("b:m", "a:m")}, `tried were ["b:m" "a:m"]`},
		{"nothing tried", answer{status: 200, text: "Hello from b.", result: tried()}, `tried were []`},
		{"another answer", answer{status: 200, text: "Hello from a.", result: tried("a:m", "b:m")}, `the answer is "Hello from a."`},
	} {
		t.Run(row.name, func(t *testing.T) {
			err := want.check(row.got)
			if row.err == "" {
				assert.NoError(t, err)
			} else {
				assert.ErrorContains(t, err, row.err)
			}
		})
	}
}

func TestFailureNamesTheScene(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out strings.Builder
	err := run(ctx, &out)
	require.ErrorIs(t, err, context.Canceled)
	assert.ErrorContains(t, err, "1. "+scenes()[0].title)
	assert.NotContains(t, out.String(), "All as it should be.")
}
