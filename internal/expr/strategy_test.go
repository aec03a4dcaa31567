package expr

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestStrategies lists expressions and the models that they choose, by the
// short names of the fixture.
func TestStrategies(t *testing.T) {
	const all = "4o mini claude gemini llama azure"
	groups := map[string][]struct {
		expr, want string
	}{
		"lists": {
			{`ai.models`, all},
			{`ai.models[0]`, "4o"},
			{`ai.models[5]`, "azure"},
			{`[ai.models[2], ai.models[0]]`, "claude 4o"},
			{`[ai.models[2], ai.models[0]][1]`, "4o"},
			{`ai.models + ai.models`, all},
			{`ai.models.only('gemini-2.5-flash') + ai.models.onlyProviders('oai')`, "gemini 4o mini"},
			{`ai.models.filter(m, m.custom) + [ai.models[0]]`, "llama azure 4o"},
			{`[ai.models[0]] + ai.models.filter(m, m.custom)`, "4o llama azure"},
			{`ai.models.map(m, m)`, all},
			{`ai.models.map(m, m.known, m)`, "4o mini claude gemini azure"},
			{`[0, 2].map(i, ai.models[i])`, "4o claude"},
			{`['azure', 'ollama'].map(p, ai.models.filter(m, m.provider_id == p)[0])`, "azure llama"},
			{`ai.models.size() == 6 ? ai.models[0] : ai.models[1]`, "4o"},
			{`size(ai.models) > 100 ? ai.models[0] : ai.models[1]`, "mini"},
			{`ai.models.exists(m, m.custom) ? ai.models.filter(m, m.custom) : []`, "llama azure"},
			{`ai.models.all(m, m.known) ? ai.models : []`, ""},
			{`ai.models.exists_one(m, m.id == 'llama3.2:1b') ? [ai.models[4]] : []`, "llama"},
			{`ai.models[0] in ai.models ? ai.models[0] : ai.models[1]`, "4o"},
			{`ai.models.filter(m, m in ai.models.onlyProviders('openai'))`, "4o mini"},
			{`ai.models.filter(m, m == ai.models[1])`, "mini"},
			{`ai.models.filter(m, m != ai.models[1])`, "4o claude gemini llama azure"},
			{`ai.models == ai.models ? ai.models[0] : ai.models[1]`, "4o"},
			{`ai.models.filter(ai, ai.custom)`, "llama azure"},
			{`ai.models // all of them`, all},
			{"ai.models\n  .filter(m, m.custom)\n  [0]", "llama"},
		},
		"fields": {
			{`ai.models.filter(m, m.id == 'gpt-4o')`, "4o azure"},
			{`ai.models.filter(m, 'gpt-4o-2024-11-20' in m.id_aliases)`, "4o"},
			{`ai.models.filter(m, m.provider_id == 'openai')`, "4o mini"},
			{`ai.models.filter(m, 'gemini' in m.provider_id_aliases)`, "gemini"},
			{`ai.models.filter(m, m.author_id == 'openai')`, "4o mini azure"},
			{`ai.models.filter(m, m.author_id_aliases.exists(a, a.startsWith('deep')))`, "gemini"},
			{`ai.models.filter(m, m.display_name == 'GPT-4o')`, "4o"},
			{`ai.models.filter(m, m.description != '')`, "4o"},
			{`ai.models.filter(m, m.known)`, "4o mini claude gemini azure"},
			{`ai.models.filter(m, m.known && !m.custom)`, "4o mini claude gemini"},
			{`ai.models.filter(m, 'image' in m.input_modalities)`, "4o claude gemini"},
			{`ai.models.filter(m, m.output_modalities == ['text'])`, all},
			{`ai.models.filter(m, 'tool-calling' in m.supported_features && 'vision' in m.supported_features)`, "4o claude gemini"},
			{`ai.models.filter(m, ['vision', 'reasoning'].all(f, f in m.supported_features))`, "claude"},
			{`ai.models.filter(m, m.supported_features.size() > 2)`, "claude"},
			{`ai.models.filter(m, m.max_context_window >= 200000)`, "claude gemini"},
			{`ai.models.filter(m, m.max_output_tokens > 16384)`, "claude gemini"},
			{`ai.models.filter(m, m.max_context_window > 1e6)`, "gemini"},
			{`ai.models.filter(m, m.parameter_count < 3000000000 && has(m.parameter_count))`, "llama"},
			{`ai.models.filter(m, m.quantization == 'q4_0')`, "llama"},
			{`ai.models.filter(m, m.data_training_policy == 'never' && m.data_retention_days <= 30 && m.data_retention_policy == 'logs')`, "claude"},
			{`ai.models.filter(m, m.datacenters.exists(d, d.country_code == 'DE'))`, "claude gemini"},
			{`ai.models.filter(m, m.datacenters[0].region == 'eu-central-1')`, "gemini"},
			{`ai.models.filter(m, has(m.datacenters))`, "4o mini claude gemini"},
			{`ai.models.filter(m, has(m.display_name))`, "4o"},
			{`ai.models.filter(m, has(m.id_aliases))`, "4o claude"},
			{`ai.models.filter(m, has(m.known))`, "4o mini claude gemini azure"},
			{`ai.models.filter(m, dyn(m).id == 'gpt-4o-mini')`, "mini"},
			{`ai.models.filter(m, dyn(m).pricing.input == 3)`, "claude"},
			{`ai.models.filter(m, has(dyn(m).pricing))`, "4o mini claude gemini azure"},
			{`ai.models.filter(m, dyn(m).datacenters[0].region == 'eu-central-1')`, "gemini"},
			{`ai.models.filter(m, m.id.startsWith('gpt') && m.id.endsWith('mini'))`, "mini"},
			{`ai.models.filter(m, m.id.matches('^(gpt|claude)-.*[0-9o]$'))`, "4o claude azure"},
			{`ai.models.filter(m, m.id.upperAscii() == 'GPT-4O')`, "4o azure"},
			{`ai.models.filter(m, m.id.split('-')[0] == 'claude')`, "claude"},
			{`ai.models.filter(m, type(m.id) == string)`, all},
		},
		"pricing": {
			{`ai.models.filter(m, m.pricing.input < 1)`, "mini gemini"},
			{`ai.models.filter(m, m.pricing.output <= 9.0)`, "mini gemini azure"},
			{`ai.models.filter(m, m.pricing.input == 0.15)`, "mini gemini"},
			{`ai.models.filter(m, m.pricing == null)`, "llama"},
			{`ai.models.filter(m, has(m.pricing))`, "4o mini claude gemini azure"},
			{`ai.models.filter(m, has(m.pricing.input))`, "4o mini claude gemini"},
			{`ai.models.filter(m, !has(m.pricing.input))`, "llama azure"},
			{`ai.models.filter(m, m.pricing != null && m.pricing.input == null)`, "azure"},
			{`ai.models.filter(m, m.pricing.input_cache_read < m.pricing.input)`, "4o claude"},
			{`ai.models.filter(m, m.pricing.input_cache_write > 3.0)`, "claude"},
			{`ai.models.filter(m, m.pricing.input_batch * 2.0 == m.pricing.input && m.pricing.output_batch == 0.3)`, "mini"},
			{`ai.models.filter(m, m.pricing.tools['web_search.per_search_call'] < 1)`, "4o"},
			{`ai.models.filter(m, 'web_search.per_search_call' in m.pricing.tools)`, "4o"},
			{`ai.models.underCost('text.input', 1.0)`, "mini gemini"},
			{`ai.models.underCost('text.input', 3)`, "4o mini gemini"},
			{`ai.models.underCost('text.output', 9.5)`, "mini gemini azure"},
			{`ai.models.underCost('text.input_cache_read', 1)`, "claude"},
			{`ai.models.underCost('text.input_cache_write', 4)`, "claude"},
			{`ai.models.underCost('text.input_batch', 1)`, "mini"},
			{`ai.models.underCost('text.output_batch', 0.3)`, ""},
			{`ai.models.underCost('tools.web_search.per_search_call', 0.02)`, "4o"},
			{`ai.models.underCost('tools.telepathy', 100)`, ""},
			{`ai.models.sortBy('price')`, "mini gemini 4o claude azure llama"},
			{`ai.models.underCost('text.input', 3).sortBy('price')[0]`, "mini"},
			{`ai.models.sortBy(m, m.pricing.output)`, "mini gemini azure 4o claude llama"},
			{`ai.models.sortBy(m, m.pricing.input + m.pricing.output)`, "mini gemini 4o claude llama azure"},
		},
		"sorting": {
			{`ai.models.sortBy(m, m.max_context_window)`, "llama azure 4o mini claude gemini"},
			{`ai.models.sortBy(m, -m.max_context_window)`, "gemini claude 4o mini llama azure"},
			{`ai.models.sortBy(m, m.id)`, "claude gemini 4o azure mini llama"},
			{`ai.models.sortBy(m, m.known)`, "llama 4o mini claude gemini azure"},
			{`ai.models.sortBy(m, m.provider_id == 'azure' ? 0 : 1)`, "azure 4o mini claude gemini llama"},
			{`ai.models.sortBy(m, m.metadata.weight)`, "claude azure llama 4o mini gemini"},
			{`ai.models.sortBy(m, m.metadata.team)`, all},
			{`ai.models.sortBy(m, double('NaN'))`, all},
			{`ai.models.sortBy(m, m.id.size()).sortBy(m, m.provider_id)`, "claude azure gemini llama 4o mini"},
			{`ai.providers.sortBy(p, p.id)[0].id == 'anthropic' ? ai.models[0] : ai.models[1]`, "4o"},
			{`[3, 1, 2].sortBy(n, n) == [1, 2, 3] ? ai.models[0] : ai.models[1]`, "4o"},
		},
		"names": {
			{`ai.models.only(['gpt-4o'])`, "4o azure"},
			{`ai.models.only('GPT-4O')`, "4o azure"},
			{`ai.models.only(['claude-sonnet-4-5-20250929', 'nobody'])`, "claude"},
			{`ai.models.only([])`, ""},
			{`ai.models.ignore(['gpt-4o', 'GPT-4o-mini'])`, "claude gemini llama"},
			{`ai.models.ignore([])`, all},
			{`ai.models.onlyProviders(['OAI', 'azure'])`, "4o mini azure"},
			{`ai.models.ignoreProviders('gemini')`, "4o mini claude llama azure"},
			{`ai.models.onlyAuthors(['meta', 'deepmind'])`, "gemini llama"},
			{`ai.models.ignoreAuthors(['openai'])`, "claude gemini llama"},
			{`ai.models.onlyProviders(['openai']).ignore(['gpt-4o'])`, "mini"},
			{`ai.models.map(m, m).only('gpt-4o-mini')`, "mini"},
			{`ai.models.only([req.headers['x-model'][0]])`, "!no such key: x-model"},
			{`ai.models.only(ai.models.map(m, m.id))`, all},
			{`ai.models.inRegion('eu-central-1')`, "claude gemini"},
			{`ai.models.inRegion(['US-WEST-2', 'eu-central-1'])`, "4o mini claude gemini"},
			{`ai.models.inRegion('mars')`, ""},
			{`ai.models.inCountryCode('us')`, "4o mini claude"},
			{`ai.models.inCountryCode(['DE', 'FR'])`, "claude gemini"},
			{`ai.models.get('openai', 'gpt-4o')`, "4o"},
			{`ai.models.get('OAI', 'gpt-4o-2024-11-20')`, "4o"},
			{`ai.models.get('azure', 'GPT-4o')`, "azure"},
			{`ai.models.getModel('gpt-4o')`, "4o"},
			{`ai.models.onlyProviders('azure').getModel('gpt-4o')`, "azure"},
			{`ai.providers.get('azure').getModel('gpt-4o')`, "azure"},
			{`ai.providers[2].getModel('gemini-2.5-flash')`, "gemini"},
		},
		"providers and authors": {
			{`ai.models.filter(m, m.provider_id in ai.providers.filter(p, p.custom).map(p, p.id))`, "llama azure"},
			{`ai.models.onlyProviders(ai.providers.only(['oai', 'google']).map(p, p.id))`, "4o mini gemini"},
			{`ai.models.onlyProviders(ai.providers.ignore('openai').filter(p, p.known).map(p, p.id))`, "claude gemini"},
			{`ai.models.onlyAuthors(ai.authors.only(['deepmind']).map(a, a.id))`, "gemini"},
			{`ai.models.onlyAuthors(ai.authors.ignore(['openai', 'google']).map(a, a.id))`, "claude llama"},
			{`ai.authors.get('openai').display_name == 'OpenAI' ? ai.models[0] : ai.models[1]`, "4o"},
			{`ai.authors.filter(a, 'deepmind' in a.id_aliases)[0].id == 'google' ? ai.models[0] : ai.models[1]`, "4o"},
			{`ai.providers.get('gemini').id_aliases == ['gemini'] ? ai.models[0] : ai.models[1]`, "4o"},
			{`ai.providers.get('openai').website.startsWith('https') && ai.providers.get('openai').display_name == 'OpenAI' ? ai.models[0] : ai.models[1]`, "4o"},
			{`ai.providers.get('ollama').description != '' ? ai.models[0] : ai.models[1]`, "4o"},
			{`ai.models.onlyProviders(ai.providers.filter(p, p.metadata.tier == 'gold').map(p, p.id))`, "4o mini"},
			{`ai.models.onlyProviders(ai.providers.filter(p, p.getMetadata('limits.rpm') == 500).map(p, p.id))`, "4o mini"},
		},
		"metadata": {
			{`ai.models.filter(m, m.metadata.tier == 'platinum')`, "4o"},
			{`ai.models.filter(m, m.metadata.tier == 'gold')`, "mini"},
			{`ai.models.filter(m, m.metadata['tier'] in ['gold', 'silver'])`, "mini gemini"},
			{`ai.models.filter(m, has(m.metadata.tier))`, "4o mini gemini azure"},
			{`ai.models.filter(m, !('tier' in m.metadata))`, "claude llama"},
			{`ai.models.filter(m, m.metadata.team.name == 'search')`, "4o"},
			{`ai.models.filter(m, m.metadata.team.size == 3)`, "4o"},
			{`ai.models.filter(m, m.metadata.size() == 4)`, "4o"},
			{`ai.models.filter(m, m.metadata.exists(k, k == 'limits'))`, "4o mini"},
			{`ai.models.filter(m, m.metadata.gpu)`, "llama"},
			{`ai.models.filter(m, m.metadata.weight > 2)`, "claude azure"},
			{`ai.models.filter(m, m.getMetadata('tier') == 'gold')`, "mini"},
			{`ai.models.filter(m, m.getMetadata('team.name') == 'search')`, "4o"},
			{`ai.models.filter(m, m.getMetadata('a.b') == 'dotted')`, "4o"},
			{`ai.models.filter(m, m.getMetadata('limits.rpm') == 500)`, "4o mini"},
			{`ai.models.filter(m, m.getMetadata('no.such.thing') == 1)`, ""},
		},
		"metrics": {
			{`ai.models.filter(m, m.metrics.global.request_count > 250)`, "claude gemini"},
			{`ai.models.filter(m, m.metrics.global.latency.upstream_ms_avg < 1000 && m.metrics.global.request_count > 0)`, "4o mini"},
			{`ai.models.filter(m, m.metrics.global.latency.upstream_ms_p95 < 1000)`, "4o llama azure"},
			{`ai.models.filter(m, m.metrics.global.error_rate.total < 0.03 && m.metrics.global.error_rate.rate_limit < 0.005)`, "4o llama azure"},
			{`ai.models.filter(m, m.metrics.endpoint.request_count == 3)`, "gemini"},
			{`ai.models.filter(m, m.metrics.region.request_count == 0 && m.metrics.account.in_flight == 0)`, all},
			{`ai.models.filter(m, m.metrics.global.in_flight >= 2)`, "claude gemini"},
			{`ai.models.filter(m, m.metrics.global.token.provider_input > 2000 && m.metrics.global.token.estimated_output < 30)`, "claude"},
			{`ai.models.filter(m, m.metrics.api_keys['k1'].quota.remaining_tokens > 1500)`, "claude gemini"},
			{`ai.models.filter(m, m.metrics.api_keys['k1'].request_count == 1)`, "mini"},
			{`ai.models.filter(m, 'k1' in m.metrics.api_keys)`, "4o mini claude gemini"},
			{`ai.models.sortBy(m, m.metrics.global.latency.time_to_first_token_ms_avg)`, "llama azure gemini claude mini 4o"},
			{`ai.models.sortBy(m, -m.metrics.global.latency.time_per_output_token_ms_p95)[0]`, "gemini"},
		},
		"random": {
			{`ai.models.random()`, "azure"},
			{`ai.models.filter(m, m.provider_id == 'openai').random()`, "mini"},
			{`ai.models.randomize()`, all}, // the fixture's Rand never swaps
			{`[ai.providers.random()].map(p, p.getModel('gpt-4o'))`, "azure"},
			{`ai.models.onlyAuthors(ai.authors.random().id)`, "llama"},
			{`[1, 2].random() == 2 ? ai.models[0] : ai.models[1]`, "4o"},
			{`[].randomize().size() == 0 ? ai.models[0] : ai.models[1]`, "4o"},
		},
		"request": {
			{`req.headers['x-team'][0] == 'search' ? ai.models[0] : ai.models[1]`, "4o"},
			{`req.headers['X-Team'][1] == 'ads' ? ai.models[0] : ai.models[1]`, "4o"},
			{`'x-tier' in req.headers ? ai.models[0] : ai.models[1]`, "4o"},
			{`'x-nothing' in req.headers ? ai.models[0] : ai.models[1]`, "mini"},
			{`req.headers.exists(h, h == 'x-tier') && req.headers.size() == 2 ? ai.models[0] : ai.models[1]`, "4o"},
			{`req.method == 'POST' && req.host == 'ai.example.com' && req.id == 'req_1' ? ai.models[0] : ai.models[1]`, "4o"},
			{`req.url.path.endsWith('/chat/completions') ? ai.models[0] : ai.models[1]`, "4o"},
			{`conn.client_ip.startsWith('192.0.2.') ? ai.models[0] : ai.models[1]`, "4o"},
			{`ai.models.filter(m, m.metadata.tier == req.headers['x-tier'][0])`, "mini"},
		},
		"nothing found": {
			{`ai.models[6]`, "?index 6 is out of range, the list has 6"},
			{`ai.models[-1]`, "?index -1 is out of range, the list has 6"},
			{`ai.models.filter(m, false)[0]`, "?index 0 is out of range, the list has 0"},
			{`ai.models.only('x').random()`, "?random() of an empty list"},
			{`ai.models.get('openai', 'x')`, "?there is no model 'x' at 'openai'"},
			{`ai.models.get('x', 'gpt-4o')`, "?there is no model 'gpt-4o' at 'x'"},
			{`ai.models.getModel('x')`, "?there is no model 'x'"},
			{`ai.providers.get('x').getModel('gpt-4o')`, "?there is no provider 'x'"},
			{`ai.models.onlyAuthors(ai.authors.get('x').id)`, "?there is no author 'x'"},
			{`[ai.models[0]][1]`, "?index 1 is out of range, the list has 1"},
			{`ai.models.map(m, m)[9]`, "?index 9 is out of range, the list has 6"},
			{`req.method == 'GET' ? ai.models[0] : null`, "?the result is null"},
		},
		"left out": {
			{`ai.models.filter(m, m.metadata.team.size > 2)`, "4o?filter: anthropic:claude-sonnet-4-5 left out: no such key: team"},
			{`ai.models.filter(m, m.metadata.gpu || m.custom)`, "llama azure?filter: openai:gpt-4o left out: no such key: gpu"},
			{`ai.models.filter(m, m.metadata.tier)`, "?filter: openai:gpt-4o left out: the predicate is string, not bool"},
			{`ai.models.filter(m, m.pricing.input > 2)`, "4o claude?filter: ollama:llama3.2:1b left out: no such value"},
			{`ai.models.filter(m, m.pricing.input > 2)`, "4o claude?filter: azure:gpt-4o left out: '>' is not defined for null or for values of these types"},
			{`ai.models.filter(m, ai.models.filter(n, n.metadata.gpu && n == m).size() == 1)`, "llama?filter: openai:gpt-4o left out: no such key: gpu"},
			{`ai.models.filter(m, 10 / (m.max_output_tokens - 16384) != 1)`, "claude gemini llama azure?filter: openai:gpt-4o left out: division by zero"},
			{`ai.models.filter(m, m.id_aliases[0] != '')`, "4o claude?filter: openai:gpt-4o-mini left out: index 0 is out of range, the list has 0"},
			{`ai.models.filter(m, m.metrics.api_keys['k9'].request_count == 0)`, "?filter: openai:gpt-4o left out: no such key: k9"},
			{`ai.models.onlyProviders(ai.providers.filter(p, p.metadata.tier == 'gold').map(p, p.id))`, "4o mini?filter: anthropic left out: no such key: tier"},
			{`ai.models.sortBy(m, m.metadata.tier)`, "azure mini 4o gemini claude llama?sortBy: anthropic:claude-sonnet-4-5 is last: no such key: tier"},
			{`ai.models.sortBy(m, m.metadata.team)`, all + "?sortBy: openai:gpt-4o is last: cannot order by map"},
		},
		"errors": {
			{`1 / 0 == 1 ? ai.models : ai.models`, "!division by zero"},
			{`ai.models[0].metadata.nope == 1 ? ai.models : []`, "!no such key: nope"},
			{`req.headers['x-none'][0] == '' ? ai.models : []`, "!no such key: x-none"},
			{`ai.models.map(m, m.metadata.gpu ? m : m)`, "!no such key: gpu"},
			{`ai.models.underCost(req.method, 1)`, "!unknown price type 'POST'"},
			{`ai.models.sortBy(req.method)`, "!unknown order 'POST'"},
			{`ai.models.filter(m, true).exists(m, m.metadata.nope) ? ai.models : []`, "!no such key: nope"},
			{`dyn(ai.models[0]).nope == 1 ? ai.models : []`, "!model has no field 'nope'"},
			{`ai.models.only(dyn([1])) `, "!'only' is not defined for null or for values of these types"},
		},
	}
	for group, rows := range groups {
		t.Run(group, func(t *testing.T) {
			for _, row := range rows {
				s, problems := CompileStrategy(row.expr)
				if !assert.Empty(t, problems, row.expr) {
					continue
				}
				f := newFixture()
				got, err := s.Eval(t.Context(), f.input())
				if message, fails := strings.CutPrefix(row.want, "!"); fails {
					var evalErr *EvalError
					require.ErrorAs(t, err, &evalErr, row.expr)
					assert.Equal(t, row.expr, evalErr.Source)
					assert.EqualError(t, evalErr.Err, message, row.expr)
					assert.Empty(t, got.Models, row.expr)
					continue
				}
				want, note, noted := strings.Cut(row.want, "?")
				require.NoError(t, err, row.expr)
				assert.Equal(t, want, strings.Join(f.names(t, got.Models), " "), row.expr)
				if noted {
					assert.Contains(t, got.Notes, note, row.expr)
				}
			}
		})
	}
}

func TestKeyStrategies(t *testing.T) {
	for _, row := range []struct{ expr, want string }{
		{`ai.keys`, "k1 k2 k3"},
		{`ai.keys[1]`, "k2"},
		{`ai.keys[3]`, ""},
		{`ai.keys.only('K2')`, "k2"},
		{`ai.keys.ignore(['k1'])`, "k2 k3"},
		{`ai.keys.get('k3')`, "k3"},
		{`ai.keys.get('k9')`, ""},
		{`ai.keys.random()`, "k3"},
		{`ai.keys.randomize()`, "k1 k2 k3"},
		{`ai.keys.random(k, k.id == 'k2' ? 1 : 0)`, "k2"},
		{`ai.keys.randomize(k, k.id == 'k3' ? 1 : 0)`, "k3 k1 k2"},
		{`ai.keys.leastBusy()`, "k2 k3 k1"},
		{`ai.keys.sticky('')`, "k1 k2 k3"},
		{`req.ai.stream || req.session != '' || req.caller != '' ? ai.keys[0] : ai.keys[1]`, "k2"},
		{`ai.keys.filter(k, k.quota.remaining_requests > 100)`, "k2"},
		{`ai.keys.filter(k, k.quota.remaining_requests == null)`, "k3"},
		{`ai.keys.filter(k, k.quota.remaining_requests == null || k.quota.remaining_requests > 100)`, "k2 k3"},
		{`ai.keys.filter(k, has(k.quota.remaining_tokens) && !has(k.quota.limit_tokens))`, "k1"},
		{`ai.keys.filter(k, k.quota.remaining_requests * 10 > k.quota.limit_requests)`, "k2"},
		{`ai.keys.filter(k, k.error_rate.rate_limit < 0.1)`, "k2 k3"},
		{`ai.keys.sortBy(k, k.error_rate.total)`, "k2 k3 k1"},
		{`ai.keys.sortBy(k, k.quota.remaining_requests)`, "k1 k2 k3"},
		{`ai.keys.sortBy(k, -k.quota.remaining_requests)`, "k2 k1 k3"},
		{`ai.keys.filter(k, k.metrics.request_count == 10 && k.metrics.in_flight == 2 && k.metrics.latency.upstream_ms_avg == 100.0 && k.metrics.token.provider_input == 7)`, "k1"},
		{`ai.keys.filter(k, k.metrics.quota.limit_requests == 1000 && k.metrics.error_rate.total == 0.0)`, "k2"},
		{`req.headers['x-tier'][0] == 'gold' ? ai.keys[0] : ai.keys[1]`, "k1"},
		{`ai.keys + ai.keys`, "k1 k2 k3"},
		{`1 / 0 == 1 ? ai.keys : ai.keys`, "!division by zero"},
	} {
		s, problems := CompileKeyStrategy(row.expr)
		if !assert.Empty(t, problems, row.expr) {
			continue
		}
		got, err := s.Eval(t.Context(), &KeyInput{Keys: newKeys(), Request: newRequest(), Rand: func(n int) int { return n - 1 }, InFlight: func(i int) int64 { return []int64{2, 0, 1}[i] }})
		if message, fails := strings.CutPrefix(row.want, "!"); fails {
			assert.EqualError(t, errors.Unwrap(err), message, row.expr)
			continue
		}
		require.NoError(t, err, row.expr)
		ids := []string{}
		for _, k := range got.Keys {
			ids = append(ids, k.ID)
		}
		assert.Equal(t, row.want, strings.Join(ids, " "), row.expr)
	}
}

func TestUses(t *testing.T) {
	for _, row := range []struct {
		expr string
		want Uses
	}{
		{`ai.models.filter(m, m.known).sortBy('price')`, Uses{}},
		{`ai.models.filter(m, m.metadata.tier == 'a' && m.metadata['x'].y == 1)`, Uses{}},
		{`ai.models.filter(m, m.metrics.global.request_count > 0)`, Uses{Metrics: true}},
		{`ai.models.filter(m, dyn(m).metrics.global.request_count > 0)`, Uses{Metrics: true}},
		{`ai.models.filter(m, dyn(m)['met' + 'rics'].global.request_count > 0)`, Uses{Metrics: true, Estimates: true}},
		{`ai.models.filter(m, m.metrics.global.token.provider_input > 0)`, Uses{Metrics: true}},
		{`ai.models.sortBy(m, m.metrics.global.token.estimated_input)`, Uses{Metrics: true, Estimates: true}},
		{`ai.models.sortBy(m, m.metrics.api_keys['x'].token.estimated_output)`, Uses{Metrics: true, Estimates: true}},
		{`ai.models.sortBy(m, dyn(m.metrics).global.token['estimated_output'])`, Uses{Metrics: true, Estimates: true}},
		{`ai.models.filter(m, m.metadata.x['y'] == 1)`, Uses{}},
		{`ai.models.random()`, Uses{Random: true}},
		{`ai.models.filter(m, m.known).randomize()`, Uses{Random: true}},
		{`req.method == 'GET' ? ai.models : [ai.models.random()]`, Uses{Random: true, Request: true}},
		{`ai.models.filter(m, m.id == conn.client_ip)`, Uses{Request: true}},
	} {
		s, problems := CompileStrategy(row.expr)
		require.Empty(t, problems, row.expr)
		assert.Equal(t, row.want, s.Uses(), row.expr)
	}
	k, problems := CompileKeyStrategy(`ai.keys.filter(k, k.quota.remaining_requests > 1)`)
	require.Empty(t, problems)
	assert.Equal(t, Uses{Metrics: true}, k.Uses())
	k, problems = CompileKeyStrategy(`ai.keys`)
	require.Empty(t, problems)
	assert.Equal(t, Uses{}, k.Uses())
}

// A zero input has no models, and nothing in it is dereferenced.
func TestZeroInput(t *testing.T) {
	for _, src := range []string{`ai.models`, `ai.models.random()`, `ai.models.filter(m, m.metrics.global.request_count == 0)`, `req.headers.size() == 0 && req.url.path == '' ? ai.models : ai.models`} {
		s, problems := CompileStrategy(src)
		require.Empty(t, problems)
		got, err := s.Eval(t.Context(), &Input{})
		require.NoError(t, err, src)
		assert.Empty(t, got.Models)
	}
	s, _ := CompileStrategy(`ai.models.filter(m, m.provider_id == '' && m.metrics.global.latency.upstream_ms_avg == 0.0 && m.metadata.size() == 0).random()`)
	m := &Model{ID: "lonely"}
	got, err := s.Eval(t.Context(), &Input{Models: []*Model{m}})
	require.NoError(t, err)
	assert.Equal(t, []*Model{m}, got.Models)
}

func TestMetricsAreReadOncePerModel(t *testing.T) {
	s, problems := CompileStrategy(`ai.models.filter(m, m.metrics.global.in_flight == 0 && m.metrics.endpoint.in_flight == 0).sortBy(m, m.metrics.global.in_flight)`)
	require.Empty(t, problems)
	f := newFixture()
	in, calls := f.input(), map[*Model]int{}
	in.Metrics = func(m *Model) *ModelMetrics { calls[m]++; return nil }
	got, err := s.Eval(t.Context(), in)
	require.NoError(t, err)
	assert.Len(t, got.Models, 6)
	for m, n := range calls {
		assert.Equal(t, 1, n, m.ID)
	}
}

func TestNotesAreBounded(t *testing.T) {
	s, problems := CompileStrategy(`ai.models.filter(m, m.metadata.x)`)
	require.Empty(t, problems)
	in := &Input{}
	for i := range 500 {
		in.Models = append(in.Models, &Model{ID: fmt.Sprint("m", i)})
	}
	got, err := s.Eval(t.Context(), in)
	require.NoError(t, err)
	require.Len(t, got.Notes, maxNotes+1)
	assert.Equal(t, "and 484 more", got.Notes[maxNotes])
}

// A look for a model in a list is cheap, but not for each of 10,000 models.
func TestCostOfIn(t *testing.T) {
	s, problems := CompileStrategy(`ai.models.filter(m, m in ai.models)`)
	require.Empty(t, problems)
	in := &Input{}
	for i := range 10_000 {
		in.Models = append(in.Models, &Model{ID: fmt.Sprint("m", i)})
		if len(in.Models) == 1000 {
			got, err := s.Eval(t.Context(), in)
			require.NoError(t, err)
			assert.Len(t, got.Models, 1000)
		}
	}
	_, err := s.Eval(t.Context(), in)
	assert.ErrorIs(t, err, ErrTooCostly)
}

// Neither nested macros, nor expensive functions inside of one, nor values that
// double in each step may hold a request.
func TestCostLimit(t *testing.T) {
	in := &Input{Providers: []*Provider{{ID: "p"}}}
	for i := range 1000 {
		in.Models = append(in.Models, &Model{ID: fmt.Sprint("m", i), Provider: in.Providers[0], Pricing: &Pricing{Input: ptr(float64(i % 7))}})
	}
	for _, src := range []string{
		`ai.models.filter(a, ai.models.exists(b, ai.models.exists(c, a.id == b.id && b.id == c.id)))`,
		`ai.models.filter(a, ai.models.filter(b, ai.models.filter(c, a.id == c.id).size() > 2).size() > 2)`,
		`ai.models.filter(a, ai.models.sortBy('price').size() == ai.models.filter(b, ai.models.randomize().size() == 0).size())`,
		`ai.models.filter(a, ai.models.all(b, ai.models.underCost('text.input', 3).ignore(a.id + b.id).size() > 0))`,
		`ai.models.filter(a, ai.models.all(b, ai.providers[0].getModel('m999') == ai.models.get(a.provider_id, 'm998') && b.id != ''))`,
		`ai.models.map(a, ai.models.map(b, ai.models.map(c, c))).size() > 0 ? ai.models : ai.models`,
		`[ai.models]` + strings.Repeat(`.map(a, a + a)`, 40) + `[0]`,
		`[req.method + 'x']` + strings.Repeat(`.map(a, a + a)`, 60) + `.size() == 0 ? ai.models : ai.models`,
		`ai.models.filter(a, ai.models.filter(b, b.id != a.id && ai.models == ai.models).size() > 0 || true)`,
	} {
		s, problems := CompileStrategy(src)
		require.Empty(t, problems, src)
		got, err := s.Eval(t.Context(), in)
		require.ErrorIs(t, err, ErrTooCostly, src)
		assert.Empty(t, got.Models)
	}
	// What an operator would write is far from the limit.
	s, problems := CompileStrategy(`ai.models.filter(m, m.provider_id in ai.providers.filter(p, p.id.startsWith('p')).map(p, p.id) && m.metrics.global.error_rate.total < 0.1).sortBy('price')`)
	require.Empty(t, problems)
	got, err := s.Eval(t.Context(), in)
	require.NoError(t, err)
	assert.Len(t, got.Models, 1000)
}

func TestCancellation(t *testing.T) {
	why := errors.New("client gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	in := &Input{Models: make([]*Model, 1000)}
	for i := range in.Models {
		in.Models[i] = &Model{}
	}
	calls := 0
	in.Metrics = func(*Model) *ModelMetrics {
		if calls++; calls == 300 {
			cancel(why)
		}
		return nil
	}
	s, problems := CompileStrategy(`ai.models.filter(m, [1, 2, 3].filter(n, m.metrics.global.in_flight == n).size() == 0)`)
	require.Empty(t, problems)
	got, err := s.Eval(ctx, in)
	require.ErrorIs(t, err, why)
	assert.Empty(t, got.Models)
	assert.Empty(t, got.Notes, "a cancellation is not the fault of a predicate")
	assert.Less(t, calls, 500)
}

func TestConcurrentEval(t *testing.T) {
	s, problems := CompileStrategy(`ai.models.filter(m, m.metadata.tier != 'x' && m.metrics.global.error_rate.total < 0.5).sortBy(m, m.id).randomize()`)
	require.Empty(t, problems)
	f := newFixture()
	in := f.input()
	in.Rand = nil
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for range 20 {
				got, err := s.Eval(context.Background(), in)
				assert.NoError(t, err)
				assert.Len(t, got.Models, 4)
			}
		})
	}
	wg.Wait()
}

// Each order of three models is about equally likely.
func TestRandomizeIsEven(t *testing.T) {
	s, problems := CompileStrategy(`ai.models.randomize()`)
	require.Empty(t, problems)
	in := &Input{Models: []*Model{{ID: "a"}, {ID: "b"}, {ID: "c"}}}
	counts := map[string]int{}
	const rounds = 6000
	for range rounds {
		got, err := s.Eval(t.Context(), in)
		require.NoError(t, err)
		counts[got.Models[0].ID+got.Models[1].ID+got.Models[2].ID]++
	}
	chi := 0.0
	for _, n := range counts {
		d := float64(n) - rounds/6
		chi += d * d / (rounds / 6)
	}
	assert.Len(t, counts, 6)
	assert.Less(t, chi, 40.0, "five degrees of freedom: chance exceeds this once in ten million")
}

func BenchmarkStrategy(b *testing.B) {
	for name, src := range map[string]string{
		"filter":  `ai.models.filter(m, m.provider_id == 'p')`,
		"only":    `ai.models.onlyProviders(['p'])`,
		"metrics": `ai.models.filter(m, m.metrics.global.error_rate.total < 0.1 && m.metrics.global.latency.upstream_ms_avg < 1000)`,
	} {
		for _, n := range []int{10, 100, 1000} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				s, problems := CompileStrategy(src)
				require.Empty(b, problems)
				in, p := &Input{}, &Provider{ID: "p"}
				for i := range n {
					in.Models = append(in.Models, &Model{ID: fmt.Sprint("m", i), Provider: p})
				}
				snapshot := &ModelMetrics{}
				in.Metrics = func(*Model) *ModelMetrics { return snapshot }
				b.ReportAllocs()
				for b.Loop() {
					if got, err := s.Eval(context.Background(), in); err != nil || len(got.Models) != n {
						b.Fatal(err, len(got.Models))
					}
				}
			})
		}
	}
}
