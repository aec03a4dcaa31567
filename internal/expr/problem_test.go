package expr

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestProblems lists expressions that do not compile, and all that is said
// about each.
func TestProblems(t *testing.T) {
	type row struct{ expr, want string }
	languages := map[string]struct {
		compile func(string) []Problem
		rows    []row
	}{
		"strategy": {
			func(src string) []Problem { _, p := CompileStrategy(src); return p },
			[]row{
				{`ai.model`, "1:4: undeclared reference to 'ai.model'; did you mean 'ai.models'?"},
				{`ai.modles.filter(m, true)`, "1:4: undeclared reference to 'ai.modles'; did you mean 'ai.models'?"},
				{`models.filter(m, m.known)`, "1:1: undeclared reference to 'models'; did you mean 'ai.models'?"},
				{`a.models`, "1:1: undeclared reference to 'a'; did you mean 'ai'?"},
				{`m.id == 'x'`, "1:1: undeclared reference to 'm'"},
				{`model`, "1:1: undeclared reference to 'model'"},
				{`req.heders['x'][0] == 'a' ? ai.models : ai.models`, "1:5: undeclared reference to 'req.heders'; did you mean 'req.headers'?"},
				{`req.path == '/' ? ai.models : ai.models`, "1:5: undeclared reference to 'req.path'; did you mean 'req.url.path'?"},
				{`conn.client == '' ? ai.models : ai.models`, "1:6: undeclared reference to 'conn.client'; did you mean 'conn.client_ip'?"},
				{`secrets.get('a', 'b') == '' ? ai.models : ai.models`, "1:1: secrets are not visible to a strategy, only to ${…} in keys, headers, query_params and body"},
				{`ai.keys`, "1:4: 'ai.keys' is visible in api_key_selection alone"},

				{`ai.models.filter(m, m.provider == 'x')`, "1:23: model has no field 'provider'; did you mean 'provider_id'?"},
				{`ai.models.filter(m, 'x' in m.supportd_features)`, "1:30: model has no field 'supportd_features'; did you mean 'supported_features'?"},
				{`ai.models.filter(m, m.metrics.globl.request_count > 0)`, "1:31: model metrics has no field 'globl'; did you mean 'global'?"},
				{`ai.models.filter(m, m.metrics.global.latency.upstream_avg > 0)`, "1:46: latency has no field 'upstream_avg'; did you mean 'upstream_ms_avg'?"},
				{`ai.models.filter(m, m.Known)`, "1:23: model has no field 'Known'; did you mean 'known'?"},
				{`ai.models.filter(m, has(m.pricng))`, "1:27: model has no field 'pricng'; did you mean 'pricing'?"},
				{`ai.models.id`, "1:11: list of models has no field 'id'"},
				{`ai.models.random`, "1:11: list of models has no field 'random'; did you mean 'random()'?"},
				{`ai.models.filter(m, m.id.x)`, "1:26: string has no field 'x'"},
				{"ai.models\n  .filter(m,\n    m.idd == 'é' && m.nown)", "3:7: model has no field 'idd'; did you mean 'id'?\n3:23: model has no field 'nown'; did you mean 'known'?"},

				{`ai.models.fliter(m, m.known)`, "1:11: undeclared function 'fliter'; did you mean 'filter'?"},
				{`ai.models.filter(m, m.idd == 1).onlyProvider('x').underCost(1)`, "1:23: model has no field 'idd'; did you mean 'id'?\n1:33: undeclared function 'onlyProvider'; did you mean 'onlyProviders'?"},
				{`ai.models.filter(m, m.idd == 1).underCost(1)`, "1:23: model has no field 'idd'; did you mean 'id'?\n1:33: underCost(int) does not exist: it is underCost(string, double) or underCost(string, int)"},
				{`ai.models.randon()`, "1:11: undeclared function 'randon'; did you mean 'random'?"},
				{`ai.models.onlyProvider(['x'])`, "1:11: undeclared function 'onlyProvider'; did you mean 'onlyProviders'?"},
				{`ai.models.filter(m, m.getMetadta('a.b') == 1)`, "1:23: undeclared function 'getMetadta'; did you mean 'getMetadata'?"},
				{`ai.models.filter(m, m.id.startWith('gpt'))`, "1:26: undeclared function 'startWith'; did you mean 'startsWith'?"},
				{`siz(ai.models) > 1 ? ai.models : ai.models`, "1:1: undeclared function 'siz'; did you mean 'size'?"},
				{`contains('a', 'b') ? ai.models : []`, "1:1: 'contains' is called on a value: it is for string"},
				{`ai.models.take (3)`, "1:11: undeclared function 'take'"},
				{`random()`, "1:1: 'random' is called on a list: ai.models.random() or random(variable, weight)"},
				{`ai.models.random(2)`, "1:11: wrong number of arguments: it is random() or random(variable, weight)"},
				{`ai.models.filter(m.known)`, "1:11: 'filter' takes a name for the element first: write filter(m, m.known)"},
				{`ai.models.filter(true)`, "1:11: wrong number of arguments: it is filter(variable, predicate)"},
				{`ai.models.sortBy(m.pricing.input)`, "1:11: 'sortBy' takes a name for the element first: write sortBy(m, m.pricing.input)"},
				{`ai.models.sortBy( -m.pricing.input ).only('x')`, "1:11: 'sortBy' takes a name for the element first: write sortBy(m, -m.pricing.input)"},
				{`ai.models.sortBy(m.id.indexOf(')'))[0]`, "1:11: 'sortBy' takes a name for the element first: write sortBy(m, m.id.indexOf(')'))"},
				{`ai.models.random(m.metadata.weight)`, "1:11: 'random' takes a name for the element first: write random(m, m.metadata.weight)"},
				{`ai.models.random(m, m.id)`, "1:21: a weight must be a number, is string"},
				{`ai.models.sticky(3)`, "1:11: sticky(int) does not exist: it is sticky(string) or sticky(string, number)"},
				{`ai.models.sticky(req.session, 0.5)`, "1:31: the bound of sticky must be 1 or more, is 0.5"},
				{`ai.models.sticky(req.session, 0)`, "1:31: the bound of sticky must be 1 or more, is 0"},
				{`ai.models.sticky(req.sesion)`, "1:22: undeclared reference to 'req.sesion'; did you mean 'req.session'?"},
				{`ai.providers.sticky('a')`, "1:14: 'sticky' needs a list of models, not list of providers"},
				{`ai.providers.able()`, "1:14: 'able' needs a list of models, not list of providers"},
				{`ai.models.leastbusy()`, "1:11: undeclared function 'leastbusy'; did you mean 'leastBusy'?"},
				{`ai.models.leastBusy(2)`, "1:11: wrong number of arguments: it is leastBusy()"},
				{`req.ai.image > 0 ? ai.models : []`, "1:8: undeclared reference to 'req.ai.image'; did you mean 'req.ai.images'?"},
				{`ai.models.filter(m.id, true)`, "1:19: the first argument of filter(variable, predicate) must be a plain name"},
				{`ai.filter(m, true)`, "1:4: 'filter' needs a list, not ai"},
				{`ai.models[0].random()`, "1:14: 'random' needs a list, not model"},
				{`ai.models.only([1])`, "1:11: only(list of ints) does not exist: it is only(list of strings) or only(string)"},
				{`ai.models.get('gpt-4o')`, "1:11: get(string) does not exist: it is get(string, string)"},
				{`ai.models[0].only('x')`, "1:14: 'only' is for list of models, list of providers, list of authors, not for model"},
				{`ai.providers.underCost('text.input', 1)`, "1:14: 'underCost' is for list of models, not for list of providers"},
				{`ai.models.underCost('text.input', '1')`, "1:11: underCost(string, string) does not exist: it is underCost(string, double) or underCost(string, int)"},
				{`ai.models.underCost('txt.input', 1)`, "1:21: unknown price type 'txt.input'; did you mean 'text.input'?"},
				{`ai.models.underCost('x', 1)`, "1:21: unknown price type 'x', known: text.input, text.input_batch, text.input_cache_read, text.input_cache_write, text.output, text.output_batch, tools.*"},
				{`ai.models.underCost('tools.', 1)`, "1:21: unknown price type 'tools.', known: text.input, text.input_batch, text.input_cache_read, text.input_cache_write, text.output, text.output_batch, tools.*"},
				{`ai.models.sortBy('cost')`, "1:18: unknown order 'cost', known: price"},
				{`ai.models.sortBy('prices')`, "1:18: unknown order 'prices'; did you mean 'price'?"},
				{`ai.models.sortBy(3)`, "1:11: sortBy(int) does not exist: it is sortBy(string) or sortBy(variable, expression)"},
				{`ai.models.sortBy(m, m.id_aliases)`, "1:21: cannot sort by list of strings, only by a number, string or bool"},
				{`ai.models.sortBy(m, m.pricing)`, "1:21: cannot sort by pricing, only by a number, string or bool"},

				{`'gpt-4o'`, "1:1: the result must be a model or a list of models, is string"},
				{`  ai.providers`, "1:3: the result must be a model or a list of models, is list of providers"},
				{`ai.providers.get('openai')`, "1:1: the result must be a model or a list of models, is provider"},
				{`[]`, "1:1: the result must be a model or a list of models, is list"},
				{`dyn(ai.models)`, "1:1: the result must be a model or a list of models, is of a type that only an evaluation shows"},
				{`ai.models.filter(m, m.id)`, "1:21: the predicate must be bool, is string"},
				{`ai.models.filter(m, ai.models.filter(n, n.pricing.input) == [])`, "1:41: the predicate must be bool, is double"},
				{`ai.models.filter(m, m.known && m.id)`, "1:32: must be bool, is string"},
				{`ai.models.all(m, m.id) ? ai.models : []`, "1:18: must be bool, is string"},
				{`ai.models.filter(m, m.id == 3)`, "1:26: '==' is not defined for string and int"},
				{`ai.models.filter(m, m.pricing.input == 1)`, "1:37: '==' is not defined for double and int; write numbers as 1.0, or convert them with double(…)"},
				{`ai.models['x']`, "1:10: list of models cannot be indexed with string"},
				{`ai.models + ai.providers`, "1:11: '+' is not defined for list of models and list of providers"},
				{`req.method ? ai.models : ai.models`, "1:1: the condition must be bool, is string"},
				{`true ? ai.models : ai.models[0]`, "1:6: both results must have one type, they are list of models and model; a list of one is written [x]"},
				{`ai.models.filter(m, m.id.matches('['))`, "1:34: error parsing regexp: missing closing ]: `[`"},
				{`ai.models.filter(m, timestamp(m.metadata.since).getHours('Berlin') > 8)`, "1:58: unknown time zone Berlin: write its name, such as 'Europe/Berlin', or an offset, such as '+01:00'; the names need the tzdata of the system"},
				{`ai.models.filter(m, timestamp(m.metadata.since).getDate('CEST') > 8)`, "1:57: unknown time zone CEST: write its name, such as 'Europe/Berlin', or an offset, such as '+01:00'; the names need the tzdata of the system"},
				{`Model{id: 'x'}`, "1:1: 'Model' cannot be constructed"},
				{`google.protobuf.Struct{}`, "1:1: 'google.protobuf.Struct' cannot be constructed"},

				{``, "1:1: the expression is empty"},
				{" \n", "1:1: the expression is empty"},
				{`ai.models.filter(m,`, "1:20: the expression ends too early"},
				{`ai.models)`, "1:10: unexpected ')'"},
				{`ai..models`, "1:4: unexpected '.'"},
				{`ai.models ai.models`, "1:11: unexpected 'ai'"},
				{`ai.models.filter(m, m.id = 'x')`, "1:26: unexpected '=': compare with =="},
				{`ai.models.filter(m, m.id === 'x')`, "1:28: unexpected '=': compare with =="},
				{`ai.models.filter(m, m.known and m.custom)`, "1:29: unexpected 'and': write &&"},
				{`ai.models # all`, "1:11: unexpected '#': a comment begins with //"},
				{`${ai.models}`, "1:1: unexpected '$': an expression stands here by itself: leave out ${ and }"},
				{`$ai.models`, "1:1: unexpected '$'"},
				{`ai.models.filter(m, m.id == 'gpt`, "1:29: the string has no end"},
				{`ai.models.filter(m, m.id == 'a' 'b')`, "1:33: unexpected string"},
				{`break`, "1:1: reserved identifier: break"},
				{strings.Repeat(" ", maxSource) + "ai.models", "1:1: the expression has 8201 bytes, at most 8192 are allowed"},
			},
		},
		"key strategy": {
			func(src string) []Problem { _, p := CompileKeyStrategy(src); return p },
			[]row{
				{`ai.models`, "1:4: 'ai.models' is visible in model_selection alone; here is 'ai.keys'"},
				{`ai.kyes`, "1:4: undeclared reference to 'ai.kyes'; did you mean 'ai.keys'?"},
				{`ai.keys.filter(k, k.value == 'x')`, "1:21: key has no field 'value'"},
				{`ai.keys.sortBy(k, k.error_rate.totl)`, "1:32: error rate has no field 'totl'; did you mean 'total'?"},
				{`ai.keys.underCost('text.input', 1)`, "1:9: undeclared function 'underCost'"},
				{`ai.keys[0].id`, "1:1: the result must be a key or a list of keys, is string"},
				{`secrets.get('a', 'b')`, "1:1: secrets are not visible to a strategy, only to ${…} in keys, headers, query_params and body"},
			},
		},
		"identity": {
			func(src string) []Problem { _, p := CompileIdentity(src); return p },
			[]row{
				{`req.headers['x-tenant']`, "1:1: the result must be a string, is list of strings: choose one of it, such as the first by [0]"},
				{`ai.models[0].id`, "1:1: 'ai' is visible to strategies alone; here are 'req' and 'conn'"},
				{`secrets.get('a', 'b')`, "1:1: 'secrets' is visible in ${…} alone; here are 'req' and 'conn'"},
				{`req.header['x'][0]`, "1:5: undeclared reference to 'req.header'; did you mean 'req.headers'?"},
				{`req.caller.sticky('a')`, "1:12: undeclared function 'sticky'"},
			},
		},
		"template": {
			func(src string) []Problem { _, p := CompileTemplate(src); return p },
			[]row{
				{`${secret.get('a', 'b')}`, "1:3: undeclared reference to 'secret'; did you mean 'secrets'?"},
				{`a ${{ secrets.KEY }}`, "1:19: unexpected '}': ${{…}} is the notation of another tool: write ${…}"},
				{`a ${secrets.gt('a', 'b')}`, "1:13: undeclared function 'gt'; did you mean 'get'?"},
				{"one\ntwo ${secrets.get('a')}", "2:15: get(string) does not exist: it is get(string, string)"},
				{`é ${ai.models}`, "1:5: 'ai' is not visible in ${…}, only to strategies"},
				{`${req}`, "1:3: the result must be a plain value, is request"},
				{`${b'abc'}`, "1:3: the result must be a plain value, is bytes"},
				{`${type(1)}`, "1:3: the result must be a plain value, is type"},
				{`${}`, "1:3: the expression is empty"},
				{`a ${req.method`, "1:3: '${' has no '}'; a literal '${' is written '$${'"},
				{`${'}`, "1:1: '${' has no '}'; a literal '${' is written '$${'"},
				{`${req.metod} and ${1 +}`, "1:7: undeclared reference to 'req.metod'; did you mean 'req.method'?\n1:23: the expression ends too early"},
			},
		},
	}
	for name, l := range languages {
		t.Run(name, func(t *testing.T) {
			for _, row := range l.rows {
				lines := []string{}
				for _, p := range l.compile(row.expr) {
					lines = append(lines, p.Error())
				}
				assert.Equal(t, row.want, strings.Join(lines, "\n"), row.expr)
			}
		})
	}
}

// Hidden names cannot be spelled.
func TestHiddenNames(t *testing.T) {
	for _, src := range []string{`@run`, "`@run`", `@keep(1, 2, 3)`, `@model{}`, `@result`, `ai.models.@random()`} {
		_, problems := CompileStrategy(src)
		assert.NotEmpty(t, problems, src)
	}
}

func TestNearest(t *testing.T) {
	fields := []string{"id", "id_aliases", "provider_id", "provider_id_aliases", "max_output_tokens", "known"}
	for _, row := range []struct {
		name  string
		known []string
		want  string
	}{
		{"provider", fields, "provider_id"},
		{"Known", fields, "known"},
		{"konwn", fields, "known"},
		{"max_output", fields, "max_output_tokens"},
		{"maxOutputTokens", fields, "max_output_tokens"},
		{"x", fields, ""},
		{"ix", fields, "id"},
		{"weather", fields, ""},
		{"known", fields, ""},
		{"", fields, ""},
		{"fliter", []string{"filter"}, "filter"},
		{"gpt-4o-mni", []string{"gpt-4o", "gpt-4o-mini"}, "gpt-4o-mini"},
		{"ÜBER", []string{"über"}, "über"},
		{"bat", []string{"cat", "hat"}, "cat"},
		{"anything", nil, ""},
	} {
		assert.Equal(t, row.want, Nearest(row.name, row.known), row.name)

		// The index gives the same answer where the names stand among many.
		crowd := slices.Clone(row.known)
		for i := range 2 * smallNames {
			crowd = append(crowd, strings.Repeat("(", 40)+strings.Repeat(")", i))
		}
		assert.Equal(t, row.want, NewNames(crowd).Nearest(row.name), "%s, among many", row.name)
	}
}

func FuzzCompileStrategy(f *testing.F) {
	for _, seed := range []string{`ai.models.filter(m, m.id == 'x')[0]`, `ai.models.sortBy(m, m.pricing.input)`, `ai.modles`, `ai..`, `'`, `fliter(m.x, 'a')`, "a\n.b(", `ai.models.exists(m, m)`, `{1: ai}[1].x`, `x{y: z}`, `ai.filter(a, b)`, `"\`} {
		f.Add(seed)
	}
	in := newFixture().input()
	f.Fuzz(func(t *testing.T, src string) {
		s, problems := CompileStrategy(src)
		require.Equal(t, s == nil, len(problems) > 0)
		for _, p := range problems {
			require.Positive(t, p.Line)
			require.Positive(t, p.Column)
			require.NotEmpty(t, p.Message)
		}
		if s != nil {
			got, err := s.Eval(t.Context(), in)
			want, wantErr := s.evalCEL(t.Context(), in)
			if errors.Is(err, ErrTooCostly) || errors.Is(wantErr, ErrTooCostly) {
				return // a plan takes fewer steps
			}
			if wantErr != nil {
				require.EqualError(t, err, wantErr.Error())
				require.Empty(t, got.Models)
				return
			}
			require.NoError(t, err)
			require.Equal(t, want.Order, got.Order)
		}
	})
}
