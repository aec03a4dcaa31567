package expr

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFacts(t *testing.T) {
	facts := RequestFacts{
		Surface: "messages", Stream: true, InputTokens: 1, MaxOutputTokens: 2, Tools: 3, Images: 4, Audio: 5, Documents: 6,
		JSONSchema: true, Reasoning: true, ServiceTier: "flex", User: "u", PreviousResponseID: "r",
	}
	expr := `req.ai.surface == 'messages' && req.ai.stream && req.ai.input_tokens == 1 && req.ai.max_output_tokens == 2 && req.ai.tools == 3 &&
		req.ai.images == 4 && req.ai.audio == 5 && req.ai.documents == 6 && req.ai.json_schema && req.ai.reasoning &&
		req.ai.service_tier == 'flex' && req.ai.user == 'u' && req.ai.previous_response_id == 'r' ? ai.models : []`
	calls := 0
	in := &Input{Models: instances(1), Request: &Request{AI: func() *RequestFacts { calls++; return &facts }}}
	got, err := compiled(t, expr).Eval(t.Context(), in)
	require.NoError(t, err)
	assert.Len(t, got.Models, 1)
	assert.Positive(t, calls)
	assert.Equal(t, Uses{Request: true, Facts: allFacts}, compiled(t, expr).Uses())

	calls = 0
	_, err = compiled(t, `req.method == 'POST' ? ai.models : []`).Eval(t.Context(), in)
	require.NoError(t, err)
	assert.Zero(t, calls, "only an expression that mentions the facts asks for them")
	got, err = compiled(t, `req.ai.tools == 0 && req.ai.user == '' && req.session == '' ? ai.models : []`).Eval(t.Context(), &Input{Models: instances(1)})
	require.NoError(t, err)
	assert.Len(t, got.Models, 1)
}

func TestUsesOfRequests(t *testing.T) {
	for _, row := range []struct {
		expr string
		want Uses
	}{
		{`req.ai.images > 0 ? ai.models.filter(m, 'image' in m.input_modalities) : ai.models`, Uses{Request: true, Facts: FactImages}},
		{`ai.models.filter(m, m.max_context_window > req.ai.input_tokens + req.ai.max_output_tokens)`, Uses{Request: true, Facts: FactInputTokens | FactMaxOutputTokens}},
		{`ai.models.able()`, Uses{Request: true, Facts: ableFacts}},
		{`dyn(req.ai).tools == 1 ? ai.models : []`, Uses{Request: true, Facts: allFacts}},
		{`dyn(req).ai.tools == 1 ? ai.models : []`, Uses{Request: true, Facts: allFacts}},
		{`req.session == '' ? ai.models : []`, Uses{Request: true, Session: true}},
		{`req.caller == '' ? ai.models : []`, Uses{Request: true, Caller: true}},
		{`dyn(req).caller == '' ? ai.models : []`, Uses{Request: true, Caller: true}},
		{`ai.models.filter(m, m.metadata.caller == 1)`, Uses{}},
		{`ai.models.sticky(req.session)`, Uses{Request: true, Session: true, Sticky: true}},
		{`ai.models.sticky('a', 2)`, Uses{Request: true, Sticky: true, InFlight: true}},
		{`ai.models.leastBusy()`, Uses{Request: true, Random: true, InFlight: true}},
		{`ai.models.random(m, 1)`, Uses{Random: true}},
		{`ai.models.randomize(m, m.metrics.global.in_flight)`, Uses{Random: true, Metrics: true}},
		{`ai.models.filter(m, hash(m.id) % 2 == 0)`, Uses{}},
	} {
		assert.Equal(t, row.want, compiled(t, row.expr).Uses(), row.expr)
	}
	template, problems := CompileTemplate(`${req.caller} of ${req.ai.user}`)
	require.Empty(t, problems)
	assert.Equal(t, Uses{Request: true, Caller: true, Facts: FactUser}, template.Uses())
}

func TestAble(t *testing.T) {
	model := Model{
		ID: "m", MaxContextWindow: 1000, MaxOutputTokens: 500,
		InputModalities: []string{"text", "image", "pdf"}, SupportedFeatures: []string{"tool-calling"},
	}
	for name, row := range map[string]struct {
		facts   RequestFacts
		unknown bool // whether a model without facts is meant
		want    bool
	}{
		"nothing asked":           {want: true},
		"fits exactly":            {facts: RequestFacts{InputTokens: 500, MaxOutputTokens: 500}, want: true},
		"window too small":        {facts: RequestFacts{InputTokens: 501, MaxOutputTokens: 500}},
		"prompt too long":         {facts: RequestFacts{InputTokens: 1001}},
		"answer too long":         {facts: RequestFacts{MaxOutputTokens: 501}},
		"absurd answer":           {facts: RequestFacts{InputTokens: 1, MaxOutputTokens: 1<<63 - 1}},
		"images":                  {facts: RequestFacts{Images: 1}, want: true},
		"documents":               {facts: RequestFacts{Documents: 2}, want: true},
		"audio":                   {facts: RequestFacts{Audio: 1}},
		"tools":                   {facts: RequestFacts{Tools: 1}, want: true},
		"schema":                  {facts: RequestFacts{JSONSchema: true}},
		"schema, nothing known":   {facts: RequestFacts{JSONSchema: true}, unknown: true, want: true},
		"too long, nothing known": {facts: RequestFacts{InputTokens: 1 << 40, Audio: 3, MaxOutputTokens: 9}, unknown: true, want: true},
	} {
		m := &model
		if row.unknown {
			m = &Model{ID: "m"}
		}
		assert.Equal(t, row.want, Able(m, &row.facts), name)
		got, err := compiled(t, `ai.models.able()`).Eval(t.Context(), &Input{Models: []*Model{m}, Request: &Request{AI: func() *RequestFacts { return &row.facts }}})
		require.NoError(t, err)
		assert.Equal(t, row.want, len(got.Models) == 1, name)
	}
}

func TestIdentity(t *testing.T) {
	for _, row := range []struct{ expr, want string }{
		{`req.headers['x-team'][0]`, "search"},
		{`'x-tenant' in req.headers ? req.headers['x-tenant'][0] : conn.client_ip`, "192.0.2.7"},
		{`'tenant-' + string(hash(req.caller) % 1)`, "tenant-0"},
		{`dyn(req.method)`, "POST"},
		{`req.headers['x-tenant'][0]`, "!no such key: x-tenant"},
		{`dyn(1)`, "!the result is int, not a string"},
	} {
		id, problems := CompileIdentity(row.expr)
		require.Empty(t, problems, row.expr)
		got, err := id.Eval(t.Context(), newRequest())
		if row.want[0] == '!' {
			var evalErr *EvalError
			require.ErrorAs(t, err, &evalErr)
			assert.EqualError(t, evalErr.Err, row.want[1:])
			assert.Equal(t, "the gateway's rules failed for this request", evalErr.Public())
			continue
		}
		require.NoError(t, err, row.expr)
		assert.Equal(t, row.want, got)
	}
	id, problems := CompileIdentity(`req.caller`)
	require.Empty(t, problems)
	assert.True(t, id.Uses().Caller)
}

// A planned identity answers as CEL does, its errors included.
func TestPlannedIdentity(t *testing.T) {
	for src, planned := range map[string]bool{
		`req.headers['x-team'][0]`:   true,
		`req.headers['X-Team'][0]`:   true,
		`req.headers['x-tenant'][0]`: true,
		`req.headers['x-team'][7]`:   true,
		`req.headers['x-team'][-1]`:  true,
		`req.method`:                 true,
		`req.host`:                   true,
		`req.id`:                     true,
		`req.caller`:                 true,
		`req.session`:                true,
		`req.url.path`:               true,
		`conn.client_ip`:             true,
		`req.headers['x-team'][req.method.size() - 4]`:    false,
		`'x' in req.headers ? req.caller : req.method`:    false,
		`dyn(req.headers)['x-team'][0]`:                   false,
		`req.headers['x-team'][0] + conn.client_ip`:       false,
		`{'a': req.method}['a']`:                          false,
		`[req.caller, req.headers['x-team'][0]].join()`:   false,
		`req.headers['x-team'].map(h, h.lowerAscii())[0]`: false,
	} {
		id, problems := CompileIdentity(src)
		require.Empty(t, problems, src)
		assert.Equal(t, planned, id.plan != nil, src)
		for _, request := range []*Request{newRequest(), {}, nil} {
			got, gotErr := id.Eval(t.Context(), request)
			cel := *id
			cel.plan = nil

			want, wantErr := cel.Eval(t.Context(), request)
			assert.Equal(t, want, got, src)
			if wantErr != nil {
				assert.EqualError(t, gotErr, wantErr.Error(), src)
			} else {
				assert.NoError(t, gotErr, src)
			}
		}
	}
}

func BenchmarkIdentity(b *testing.B) {
	id, problems := CompileIdentity(`req.headers['x-team'][0]`)
	require.Empty(b, problems)
	request := newRequest()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := id.Eval(b.Context(), request); err != nil {
			b.Fatal(err)
		}
	}
}

func TestNamesInStrategies(t *testing.T) {
	s := compiled(t, "ai.models.onlyProviders(['opnai', 'groq'])\n + ai.models.filter(m, m.provider_id == 'rack' && m.id != 'a' || 'b' in m.id_aliases || m.id in ['c', req.method]) + [ai.models.get('p', 'x'), ai.providers.get('q').getModel('y')] + ai.models.only('z') + ai.models.filter(m, m.author_id == 'nobody' && m.metadata.id == 'none')")
	found := s.Constants()
	providers, models := found.Providers, found.Models
	assert.Equal(t, []Literal{{"opnai", 1, 26}, {"groq", 1, 35}, {"rack", 2, 41}, {"p", 2, 133}, {"q", 2, 161}}, providers)
	var values []string
	for _, m := range models {
		values = append(values, m.Value)
	}
	assert.ElementsMatch(t, []string{"a", "b", "c", "x", "y", "z"}, values)
}
