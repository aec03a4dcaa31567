package expr

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The recipes that operators ask for are one line each, and run as plans. Chances
// are in TestCanary.
func TestRecipes(t *testing.T) {
	const all = "4o mini claude gemini llama azure"
	for _, row := range []struct {
		name, expr string
		request    func(*Request)
		facts      RequestFacts
		loads      []int64
		want       string
	}{
		{name: "tenant by header", expr: `ai.models.filter(m, m.provider_id == req.headers['x-tenant'][0])`, request: func(r *Request) { r.Header.Set("X-Tenant", "openai") }, want: "4o mini"},
		{name: "another tenant", expr: `ai.models.filter(m, m.provider_id == req.headers['x-tenant'][0])`, request: func(r *Request) { r.Header.Set("X-Tenant", "google") }, want: "gemini"},
		{name: "it fits", expr: `ai.models.able().sortBy(m, m.max_context_window)`, facts: RequestFacts{InputTokens: 1000}, want: "llama azure 4o mini claude gemini"},
		{name: "larger context on overflow", expr: `ai.models.filter(m, has(m.max_context_window)).able().sortBy(m, m.max_context_window)`, facts: RequestFacts{InputTokens: 150_000, MaxOutputTokens: 1000}, want: "claude gemini"},
		{name: "larger context in one's own words", expr: `ai.models.filter(m, m.max_context_window > req.ai.input_tokens + req.ai.max_output_tokens)`, facts: RequestFacts{InputTokens: 150_000, MaxOutputTokens: 60_000}, want: "gemini"},
		{name: "vision for images", expr: `req.ai.images > 0 ? ai.models.filter(m, 'image' in m.input_modalities) : ai.models`, facts: RequestFacts{Images: 2}, want: "4o claude gemini"},
		{name: "no images", expr: `req.ai.images > 0 ? ai.models.filter(m, 'image' in m.input_modalities) : ai.models`, want: all},
		{name: "cheapest that is able", expr: `ai.models.able().sortBy('price')`, facts: RequestFacts{Images: 1, Tools: 2}, want: "gemini 4o claude"},
		{name: "own machines first, the least busy", expr: `ai.models.onlyProviders(['ollama', 'azure']).leastBusy() + ai.models.onlyProviders('openai')`, loads: []int64{0, 0, 0, 0, 3, 1}, want: "azure llama 4o mini"},
		{name: "reasoning asked for", expr: `req.ai.reasoning ? ai.models.filter(m, 'reasoning' in m.supported_features) + ai.models : ai.models`, facts: RequestFacts{Reasoning: true}, want: "claude 4o mini gemini llama azure"},
		{name: "by caller", expr: `req.caller in ['search', 'ads'] ? ai.models.sortBy('price') : ai.models`, request: func(r *Request) { r.Caller = "ads" }, want: "mini gemini 4o claude azure llama"},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := newFixture()
			in := f.input()
			if row.request != nil {
				row.request(in.Request)
			}
			in.Request.AI = func() *RequestFacts { return &row.facts }
			if row.loads != nil {
				in.InFlight = func(i int) int64 { return row.loads[i] }
			}
			s := compiled(t, row.expr)
			require.NotNil(t, s.plan)
			got, err := s.Eval(t.Context(), in)
			require.NoError(t, err)
			assert.Equal(t, row.want, strings.Join(f.names(t, got.Models), " "))
		})
	}
}
