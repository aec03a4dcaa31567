package expr

import (
	"fmt"
	"strings"
)

// Row is one entry of the reference of the language: a variable, field or
// function. A slash in a signature stands for two rows, and brackets for an
// optional parameter.
type Row struct {
	Signature string `json:"signature"`
	Type      string `json:"type"`
	Doc       string `json:"doc"`
	Example   string `json:"example"`

	// Want is the value of the example for testdata/selection/reference.yaml.
	// Empty is any.
	Want string `json:"want,omitempty"`
}

// Section is a part of the reference.
type Section struct {
	Title    string `json:"title"`
	Language string `json:"language"` // strategy, key strategy or template
	Text     string `json:"text,omitempty"`
	Rows     []Row  `json:"rows"`
}

// Reference returns the whole reference. The documents are made from it, and
// tests hold it to the vocabulary: a name without a row fails, and so does a row
// without a name. Rows of metrics and of facts come from their own tables.
//
// A row's example runs in a test against one catalog of six models, and Want is
// its result there.
func Reference() []Section {
	const predicates = "The examples are predicates of `ai.models.filter(m, …)`."
	return []Section{
		{"Variables", "strategy", "", append([]Row{
			{`ai.models`, `list of models`, `the models that this request may use, in the order of the client and the config`, `ai.models[0]`, `openai:gpt-4o`},
			{`ai.providers`, `list of providers`, `all providers of the config and the registry, configured ones first`, `ai.providers.filter(p, p.custom).map(p, p.id)`, `['rack-a', 'rack-b']`},
			{`ai.authors`, `list of authors`, `all authors of the models in the config and the registry`, `ai.authors[0].id`, `'openai'`},
			{`req.method`, `string`, `the method, as the client sent it`, `req.method`, `'POST'`},
			{`req.host`, `string`, `the host that the client asked for`, `req.host`, `'ai.example.com'`},
			{`req.id`, `string`, `the client's X-Request-Id, or one that the gateway made`, `req.id`, `'req_1'`},
			{`req.url`, `url`, `the address; it holds the path alone`, `req.url.path.startsWith('/v1/')`, `true`},
			{`req.url.path`, `string`, `the decoded path, without the query`, `req.url.path`, `'/v1/chat/completions'`},
			{`req.headers`, `map`, `lists of values by name, in any letter case; a missing name is an error`, `req.headers['X-Tier'][0]`, `'gold'`},
			{`conn.client_ip`, `string`, `the address of the connection, without the port`, `conn.client_ip.startsWith('192.0.2.')`, `true`},
			{`req.caller`, `string`, `the sender of the request, see caller in the config; '' where callers are not told apart`, `req.caller == ''`, `true`},
			{`req.session`, `string`, `a hash that stays the same in one conversation; '' where the request shows none`, `ai.models.sticky(req.session).size()`, `6`},
			{`req.ai`, `request facts`, `facts of the body, read where an expression mentions them`, `req.ai.tools > 0`, `false`},
		}, factRows()...)},
		{"Lists of models", "strategy", "A parameter of the type *strings* takes a string or a list of strings, and *number* an int or a double. Ids, regions and codes compare without letter case. A name that nobody has selects nothing. The types of `underCost` are `text.input`, `text.output`, `text.input_cache_read`, `text.input_cache_write`, `text.input_batch` and `text.output_batch`, in USD per million tokens, and `tools.` with the name of a tool, in USD per call.", []Row{
			{`models.only(ids strings)`, `list of models`, `the models with one of these ids or aliases`, `ai.models.only(['gpt-4o', 'GPT-Mini'])`, `openai:gpt-4o, openai:gpt-4o-mini`},
			{`models.ignore(ids strings)`, `list of models`, `the models with other ids and aliases than these`, `ai.models.ignore('llama3').onlyAuthors('meta')`, `groq:llama-3.3-70b-versatile`},
			{`models.onlyProviders(ids strings)`, `list of models`, `the models at one of these providers, by id or alias`, `ai.models.onlyProviders(['ra', 'rack-b'])`, `rack-a:llama3, rack-b:llama3`},
			{`models.ignoreProviders(ids strings)`, `list of models`, `the models at other providers`, `ai.models.ignoreProviders(['openai', 'rack-a', 'rack-b'])`, `anthropic:claude-sonnet-4-5, groq:llama-3.3-70b-versatile`},
			{`models.onlyAuthors(ids strings)`, `list of models`, `the models of one of these authors, by id or alias`, `ai.models.onlyAuthors('anthropic')`, `anthropic:claude-sonnet-4-5`},
			{`models.ignoreAuthors(ids strings)`, `list of models`, `the models of other authors`, `ai.models.ignoreAuthors(['openai', 'meta'])`, `anthropic:claude-sonnet-4-5`},
			{`models.inRegion(regions strings)`, `list of models`, `the models with a datacenter in one of these regions`, `ai.models.inRegion(['cellar', 'eu-central-1'])`, `anthropic:claude-sonnet-4-5, rack-a:llama3, rack-b:llama3`},
			{`models.inCountryCode(codes strings)`, `list of models`, `the models with a datacenter in one of these countries, in ISO 3166-1 alpha-2`, `ai.models.inCountryCode('DE')`, `anthropic:claude-sonnet-4-5, rack-a:llama3, rack-b:llama3`},
			{`models.underCost(type string, max number)`, `list of models`, `the models with a known price of that type below max, in USD`, `ai.models.underCost('text.input', 1)`, `openai:gpt-4o-mini, groq:llama-3.3-70b-versatile`},
			{`models.sortBy(order string)`, `list of models`, `the one order is 'price': cheapest input first, then output; unknown last`, `ai.models.sortBy('price')[0]`, `openai:gpt-4o-mini`},
			{`models.get(provider string, model string)`, `model`, `the model of these ids or aliases; an empty result if it is not there`, `ai.models.get('ra', 'llama3')`, `rack-a:llama3`},
			{`models.getModel(model string)`, `model`, `the first model of that id or alias; an empty result if it is not there`, `ai.models.getModel('llama3')`, `rack-a:llama3`},
			{`models/keys.sticky(key[, bound])`, `list of models/list of keys`, `the order that the key hashes to, the same on every replica; the element that served the key last is first; with a bound, elements with more than bound × the mean in flight, and at least two, are last; an empty key changes nothing`, `ai.models.only('llama3').sticky('session-3')[0]`, `rack-a:llama3`},
			{`models/keys.leastBusy()`, `list of models/list of keys`, `the fewest requests in flight at this moment first, ties by chance`, `ai.models.only('llama3').leastBusy()`, ``},
			{`models.able()`, `list of models`, `the models whose known facts fit the request: context window, output limit, modalities, tool-calling, structured-output; unknown facts fit`, `ai.models.able().size()`, `6`},
		}},
		{"Lists of any kind", "strategy", "The variable x is any name. It stands for each element in turn.", []Row{
			{`list.filter(x, predicate)`, `list`, `the elements that fulfil the predicate; an element for which it fails is left out and noted`, `ai.models.filter(m, m.metadata.gpu == 'A100')`, `rack-a:llama3`},
			{`list.sortBy(x, key)`, `list`, `all elements, ascending by a number, string or bool; stable; a key that fails or is null comes last`, `ai.models.sortBy(m, -m.pricing.output)[0]`, `anthropic:claude-sonnet-4-5`},
			{`list.random()`, `element`, `one element, all equally likely; an empty result of an empty list`, `ai.models.only('llama3').random()`, ``},
			{`list.randomize()`, `list`, `all elements, each order equally likely`, `ai.models.only('llama3').randomize()`, ``},
			{`list.random(x, weight)`, `element`, `one element; its chance is its weight among all weights; a weight that fails or is not above 0 makes it last`, `ai.models.only('llama3').random(m, m.provider_id == 'rack-a' ? 90 : 0)`, `rack-a:llama3`},
			{`list.randomize(x, weight)`, `list`, `all elements, drawn one after the other with these chances`, `ai.models.only('llama3').randomize(m, m.provider_id == 'rack-a' ? 90 : 10)`, ``},
			{`list.map(x, value)`, `list`, `the value for each element`, `ai.models.map(m, m.provider_id)[0]`, `'openai'`},
			{`list.map(x, predicate, value)`, `list`, `the value for each element that fulfils the predicate`, `ai.models.map(m, m.custom, m.provider_id)`, `['rack-a', 'rack-b']`},
			{`list.exists(x, predicate)`, `bool`, `at least one element fulfils the predicate`, `ai.models.exists(m, m.provider_id == 'groq')`, `true`},
			{`list.exists_one/existsOne(x, predicate)`, `bool`, `exactly one element fulfils the predicate`, `ai.models.exists_one(m, m.custom)`, `false`},
			{`list.all(x, predicate)`, `bool`, `every element fulfils the predicate; true for an empty list`, `ai.models.all(m, m.known)`, `false`},
			{`has(field)`, `bool`, `the field is there, and not zero, empty or null; of a map, such as m.metadata: the key is there`, `ai.models.filter(m, has(m.pricing.input_batch))`, `openai:gpt-4o-mini`},
		}},
		{"A model, m", "strategy", predicates, []Row{
			{`m.id`, `string`, `the name of the model at its provider`, `m.id == 'gpt-4o'`, `openai:gpt-4o`},
			{`m.id_aliases`, `list of strings`, `further names`, `'gpt-mini' in m.id_aliases`, `openai:gpt-4o-mini`},
			{`m.provider_id`, `string`, `the id of its provider`, `m.provider_id == 'rack-b'`, `rack-b:llama3`},
			{`m.provider_id_aliases`, `list of strings`, `further names of that provider`, `'ra' in m.provider_id_aliases`, `rack-a:llama3`},
			{`m.author_id`, `string`, `the author of the model; the provider where nothing else is known`, `m.author_id == 'anthropic'`, `anthropic:claude-sonnet-4-5`},
			{`m.author_id_aliases`, `list of strings`, `further names of the author, where it is a provider`, `m.author_id_aliases.size() == 0`, ``},
			{`m.display_name`, `string`, `its name for people`, `m.display_name == 'Llama 3'`, `rack-a:llama3`},
			{`m.description`, `string`, `a description; '' if there is not one`, `m.description.contains('tickets')`, `rack-a:llama3`},
			{`m.known`, `bool`, `the model is in the registry`, `m.known && m.author_id == 'meta'`, `groq:llama-3.3-70b-versatile`},
			{`m.custom`, `bool`, `the model is in the config and not in the registry`, `m.custom`, `rack-a:llama3, rack-b:llama3`},
			{`m.metadata`, `map`, `its own metadata, and key by key its provider's; a missing key is an error`, `m.metadata.team.name == 'search'`, `rack-a:llama3`},
			{`m.getMetadata(path string)`, `any value`, `metadata by a path with dots; a missing path is an error`, `m.getMetadata('limits.rpm') == 500`, `openai:gpt-4o, openai:gpt-4o-mini`},
			{`m.input_modalities`, `list of strings`, `the inputs that it reads: text, image, audio, video, pdf; empty is unknown`, `'pdf' in m.input_modalities`, `anthropic:claude-sonnet-4-5`},
			{`m.output_modalities`, `list of strings`, `the outputs that it makes; empty is unknown`, `m.output_modalities == ['text'] && m.custom`, `rack-a:llama3`},
			{`m.supported_features`, `list of strings`, `such as tool-calling, structured-output, reasoning, vision`, `['vision', 'reasoning'].all(f, f in m.supported_features)`, `anthropic:claude-sonnet-4-5`},
			{`m.max_context_window`, `int`, `tokens of prompt and answer together; 0 is unknown`, `m.custom && m.max_context_window >= 100000`, `rack-a:llama3`},
			{`m.max_output_tokens`, `int`, `tokens of an answer at most; 0 is unknown`, `m.custom && m.max_output_tokens > 1024`, `rack-b:llama3`},
			{`m.parameter_count`, `int`, `weights; 0 is unknown`, `m.parameter_count > 10000000000`, `rack-a:llama3`},
			{`m.quantization`, `string`, `the quantization of the weights, such as 'q4_0'; '' is unknown`, `m.quantization == 'q8_0'`, `rack-a:llama3`},
			{`m.data_training_policy`, `string`, `the provider's policy on training with prompts; '' is unknown`, `m.data_training_policy in ['', 'never']`, ``},
			{`m.data_retention_days`, `int`, `days for which prompts are kept; 0 is unknown`, `m.data_retention_days <= 30`, ``},
			{`m.data_retention_policy`, `string`, `the purpose for which prompts are kept; '' is unknown`, `m.data_retention_policy == ''`, ``},
			{`m.pricing`, `pricing`, `null where no price is known`, `m.pricing == null`, `rack-a:llama3, rack-b:llama3`},
			{`m.pricing.input/output`, `double`, `USD per million tokens; null is unknown, here and in the next four`, `m.pricing.output < 1`, `openai:gpt-4o-mini, groq:llama-3.3-70b-versatile`},
			{`m.pricing.input_cache_read`, `double`, `cached tokens of the prompt`, `m.pricing.input_cache_read == 0.3`, `anthropic:claude-sonnet-4-5`},
			{`m.pricing.input_cache_write`, `double`, `tokens of the prompt that get cached`, `m.pricing.input_cache_write > 3`, `anthropic:claude-sonnet-4-5`},
			{`m.pricing.input_batch/output_batch`, `double`, `in a batch`, `m.pricing.input_batch * 2.0 == m.pricing.input`, `openai:gpt-4o-mini`},
			{`m.pricing.tools`, `map`, `USD per call by the tool's name; a missing name is an error`, `m.pricing.tools['web_search'] < 0.02`, `openai:gpt-4o`},
			{`m.datacenters`, `list of datacenters`, `the places where it runs; empty is unknown`, `m.datacenters.size() > 1`, `anthropic:claude-sonnet-4-5`},
			{`m.datacenters[0].country_code`, `string`, `ISO 3166-1 alpha-2`, `m.datacenters.all(d, d.country_code == 'DE') && has(m.datacenters)`, `rack-a:llama3, rack-b:llama3`},
			{`m.datacenters[0].region`, `string`, `the provider's own name for the region`, `m.datacenters.exists(d, d.region.startsWith('eu-'))`, `anthropic:claude-sonnet-4-5`},
			{`m.metrics`, `model metrics`, `figures of the last 5 minutes, see below`, `m.metrics.endpoint.request_count == 0`, ``},
		}},
		{"A provider, p, and an author, a", "strategy", "", []Row{
			{`providers/authors.only(ids strings)`, `list of providers/list of authors`, `the elements with one of these ids or aliases`, `ai.providers.only(['ra', 'groq']).size()`, `2`},
			{`providers/authors.ignore(ids strings)`, `list of providers/list of authors`, `the elements with other ids and aliases than these`, `ai.providers.ignore('ra').exists(p, p.id == 'rack-a')`, `false`},
			{`providers/authors.get(id string)`, `provider/author`, `the element of that id or alias; an empty result if it is not there`, `ai.authors.get('meta').id`, `'meta'`},
			{`p.getModel(model string)`, `model`, `its model of that id or alias in ai.models; else an empty result`, `ai.providers.get('rack-b').getModel('llama3')`, `rack-b:llama3`},
			{`p.getMetadata(path string)`, `any value`, `metadata by a path with dots; a missing path is an error`, `ai.providers.get('openai').getMetadata('limits.rpm')`, `500`},
			{`p.id`, `string`, `its id`, `ai.providers[0].id`, `'openai'`},
			{`p.id_aliases`, `list of strings`, `further names`, `ai.providers.get('rack-a').id_aliases`, `['ra']`},
			{`p.display_name`, `string`, `its name for people`, `ai.providers.get('ra').display_name`, `'Rack A'`},
			{`p.description`, `string`, `a description`, `ai.providers.get('ra').description`, `'Under the desk'`},
			{`p.website`, `string`, `its home page`, `ai.providers.get('ra').website`, `'https://racks.example.com'`},
			{`p.metadata`, `map`, `a missing key is an error`, `ai.providers.filter(p, p.metadata.tier == 'gold')[0].id`, `'openai'`},
			{`p.known`, `bool`, `the provider is in the registry`, `ai.providers.get('openai').known`, `true`},
			{`p.custom`, `bool`, `the provider is in the config and not in the registry`, `ai.providers.get('openai').custom`, `false`},
			{`a.id`, `string`, `its id`, `ai.authors.exists(a, a.id == 'meta')`, `true`},
			{`a.id_aliases`, `list of strings`, `further names, where the author is a provider`, `ai.authors.get('meta').id_aliases.size()`, `0`},
			{`a.display_name`, `string`, `its name for people`, `ai.authors.get('openai').display_name`, `'OpenAI'`},
		}},
		{"Metrics, m.metrics", "strategy", "They cover the last 5 minutes, as of at most 100 ms ago. They are zero where nothing was measured: a model without requests looks fast and free of errors, and so gets requests that show its figures. Below, *endpoint* stands for any of the four scopes. " + predicates, metricRows()},
		// These rows are ours, and not copied from CEL: a new version of cel-go with
		// another function fails the test of the vocabulary.
		{"CEL's own", "strategy", "The operators are `== != < <= > >= && || ! + - * / %`, the choice `a ? b : c`, and the index `list[i]` or `map[key]`. An index out of range is an empty result, and a missing key an error. Numbers of different types compare. Lists are written `[a, b]`, and maps `{'a': b}`. `r'…'` is a string without escapes, and `//` begins a comment.", []Row{
			{`value in list/map`, `bool`, `an element, or a key, is equal to it`, `'vision' in ['vision', 'reasoning']`, `true`},
			{`list/map.size()`, `int`, `the number of elements or entries`, `ai.models.size()`, `6`},
			{`size(value string/bytes/list/map)`, `int`, `the number of characters, bytes, elements or entries`, `size('gpt-4o')`, `6`},
			{`string/bytes.size()`, `int`, `the number of characters or bytes`, `'gpt-4o'.size()`, `6`},
			{`string.startsWith/endsWith/contains(part string)`, `bool`, `letter case counts`, `'gpt-4o'.startsWith('gpt-')`, `true`},
			{`string.matches(pattern string)`, `bool`, `RE2 anywhere in the string; a wrong constant pattern is refused at the start`, `'gpt-4o'.matches('^gpt-[0-9]')`, `true`},
			{`matches(text string, pattern string)`, `bool`, `the same as a function`, `matches('gpt-4o', 'o$')`, `true`},
			{`string.indexOf/lastIndexOf(part string[, from int])`, `int`, `the place in characters from 0, or -1`, `'llama3.2:1b'.indexOf(':')`, `8`},
			{`string.charAt(i int)`, `string`, `one character; an error past the end`, `'gpt-4o'.charAt(4)`, `'4'`},
			{`string.substring(from int[, to int])`, `string`, `characters; an error past the end`, `'gpt-4o'.substring(4)`, `'4o'`},
			{`string.split(separator string[, limit int])`, `list of strings`, `the parts`, `'gpt-4o-mini'.split('-')`, `['gpt', '4o', 'mini']`},
			{`strings.join([separator string])`, `string`, `the parts in one`, `['gpt', '4o'].join('-')`, `'gpt-4o'`},
			{`string.replace(old string, new string[, limit int])`, `string`, `all occurrences, or the first few`, `'gpt-4o'.replace('-', '_')`, `'gpt_4o'`},
			{`hash(text string)`, `int`, `a number from the text, never negative, the same in every version and on every machine`, `hash('gpt-4o') % 100`, `87`},
			{`string.lowerAscii/upperAscii()`, `string`, `A to Z change, other letters stay`, `'GPT-4o'.lowerAscii()`, `'gpt-4o'`},
			{`string.trim/reverse()`, `string`, `without outer white space; backwards`, `' gpt '.trim()`, `'gpt'`},
			{`string.format(values list)`, `string`, `%s %d %f %e %x %b %o, in this order`, `'%s:%d'.format(['a', 1])`, `'a:1'`},
			{`strings.quote(text string)`, `string`, `in double quotes, escaped`, `strings.quote('a')`, `'"a"'`},
			{`bool(value bool/string)`, `bool`, `an error for other words`, `bool('true')`, `true`},
			{`int(value double/int/uint/string/timestamp/duration)`, `int`, `cut off towards zero; seconds since 1970 of a timestamp, nanoseconds of a duration`, `int('8192')`, `8192`},
			{`uint(value double/int/string/uint)`, `uint`, `an error below zero`, `uint(7)`, `7u`},
			{`double(value double/int/string/uint)`, `double`, `an error for a text that is not a number`, `double('0.5')`, `0.5`},
			{`string(value bool/bytes/double/duration/timestamp/int/string/uint)`, `string`, `as text`, `string(8192)`, `'8192'`},
			{`bytes(value bytes/string)`, `bytes`, `in UTF-8`, `bytes('abc').size()`, `3`},
			{`duration(value duration/string)`, `duration`, `such as '90s', '1h30m'`, `duration('90s') > duration('1m')`, `true`},
			{`timestamp(value timestamp/int/string)`, `timestamp`, `from RFC 3339 or the seconds since 1970; there is no present time`, `timestamp('2026-01-02T03:04:05Z').getFullYear()`, `2026`},
			{`duration.getHours/getMinutes/getSeconds/getMilliseconds()`, `int`, `the whole duration in that unit`, `duration('90s').getMinutes()`, `1`},
			{`timestamp.getFullYear/getMonth/getDate/getDayOfMonth/getDayOfWeek/getDayOfYear([zone string])`, `int`, `from 0, but getFullYear and getDate from 1; in UTC without a zone`, `timestamp('2026-01-02T03:04:05Z').getMonth()`, `0`},
			{`timestamp.getHours/getMinutes/getSeconds/getMilliseconds([zone string])`, `int`, `the time of day`, `timestamp('2026-01-02T03:04:05Z').getHours('Europe/Berlin')`, `4`},
			{`type(value any)`, `type`, `its type, to compare`, `type(1) == int`, `true`},
			{`dyn(value any)`, `any value`, `the value, with its type checked when the expression runs`, `dyn('a') == 'a'`, `true`},
		}},
		{"Keys, k", "key strategy", "`api_key_selection` sees `ai.keys` in place of `ai.models`, `ai.providers` and `ai.authors`. The rest of the language is the same. A key's value is not visible.", []Row{
			{`ai.keys`, `list of keys`, `the provider's keys, in listed order`, `ai.keys[1]`, `key 2`},
			{`keys.only(ids strings)`, `list of keys`, `the keys with one of these ids`, `ai.keys.only(ai.keys[1].id)`, `key 2`},
			{`keys.ignore(ids strings)`, `list of keys`, `the keys with other ids`, `ai.keys.ignore([ai.keys[0].id])`, `key 2`},
			{`keys.get(id string)`, `key`, `the key of that id; an empty result if it is not there`, `ai.keys.get(ai.keys[1].id)`, `key 2`},
			{`k.id`, `string`, `a hash of the key's text in the config, as the Result shows it`, `ai.keys.sortBy(k, k.id)`, ``},
			{`k.quota`, `quota`, `the provider's latest word on its limits`, `ai.keys.filter(k, !has(k.quota.limit_requests))`, `key 1, key 2`},
			{`k.quota.remaining_requests/limit_requests`, `int`, `requests left, and allowed, in the provider's window; null is unknown`, `ai.keys.filter(k, k.quota.remaining_requests != 0)`, `key 1, key 2`},
			{`k.quota.remaining_tokens/limit_tokens`, `int`, `tokens left, and allowed; null is unknown`, `ai.keys.sortBy(k, -k.quota.remaining_tokens)`, `key 1, key 2`},
			{`k.error_rate`, `error rate`, `fractions of all requests, 0 to 1`, `ai.keys.filter(k, k.error_rate.total < 0.05)`, `key 1, key 2`},
			{`k.error_rate.total/timeout/rate_limit/client/server`, `double`, `as for models`, `ai.keys.sortBy(k, k.error_rate.rate_limit)`, `key 1, key 2`},
			{`k.metrics`, `key metrics`, `as m.metrics.api_keys[k.id]`, `ai.keys.sortBy(k, k.metrics.in_flight)`, `key 1, key 2`},
		}},
		{"Secrets", "template", "`${…}` sees `req`, `conn` and the secrets.", []Row{
			{`secrets.get(vault string, name string)`, `string`, `the secret; where it does not resolve, the next key has its turn`, `${secrets.get('openai', 'api-key')}`, ``},
		}},
	}
}

// factRows are the rows of req.ai.
// Their examples are all false for the request of the test.
func factRows() []Row {
	var rows []Row
	for _, f := range factTable() {
		rows = append(rows, Row{"req.ai." + f.name, plainType(f.celType()), f.doc, f.example, "false"})
	}
	return rows
}

// metricRows are the rows of one scope of the metrics, and of one key.
//
// The four scopes have the same figures, so that the rows of one stand for all.
// The names of one key are joined in a single row.
func metricRows() []Row {
	const scope, key = "m.metrics.endpoint.", "m.metrics.api_keys[id]."
	rows := []Row{
		{`m.metrics.endpoint/region/account/global`, `metrics`, `the requests of this gateway; of all gateways with its Region; with its Account; of all`, `m.metrics.global.request_count == 0`, ``},
		{`m.metrics.api_keys`, `map`, `the same for each key of the provider, by the key's id`, `m.metrics.api_keys.size() == 2`, `openai:gpt-4o, openai:gpt-4o-mini`},
	}
	var names, kinds []string
	for _, m := range metricTable() {
		example := scope + m.name + " < " + m.example
		if m.isGroup() {
			example = "has(" + scope + m.name + ")"
		}
		rows = append(rows, Row{scope + m.name, plainType(m.celType()), m.doc, example, ""})
		if !strings.Contains(m.name, ".") {
			names, kinds = append(names, m.name), append(kinds, plainType(m.celType()))
		}
	}
	return append(rows,
		Row{key + strings.Join(names, "/"), strings.Join(kinds, "/"), "as above, of one key", "m.metrics.api_keys.all(id, m.metrics.api_keys[id].error_rate.total < 0.05)", ""},
		Row{`m.metrics.api_keys[id].quota`, `quota`, `the provider's latest word on the key's limits`, `m.metrics.api_keys.exists(id, !has(m.metrics.api_keys[id].quota.limit_tokens))`, ``},
		Row{`m.metrics.api_keys[id].quota.remaining_requests/limit_requests`, `int`, `requests left, and allowed, in the provider's window; null is unknown`, `m.metrics.api_keys.all(id, m.metrics.api_keys[id].quota.remaining_requests != 0)`, ``},
		Row{`m.metrics.api_keys[id].quota.remaining_tokens/limit_tokens`, `int`, `tokens left, and allowed; null is unknown`, `m.metrics.api_keys.all(id, m.metrics.api_keys[id].quota.remaining_tokens != 0)`, ``},
	)
}

// ReferenceMarkdown is the reference as a part of a document.
// A bar in a cell would end it, and is escaped.
func ReferenceMarkdown() string {
	var b strings.Builder
	cell := func(s string) string { return strings.ReplaceAll(s, "|", "\\|") }
	for _, s := range Reference() {
		fmt.Fprintf(&b, "### %s\n\n", s.Title)
		if s.Text != "" {
			fmt.Fprintf(&b, "%s\n\n", s.Text)
		}
		b.WriteString("| name | type | meaning | example |\n|---|---|---|---|\n")
		for _, r := range s.Rows {
			fmt.Fprintf(&b, "| `%s` | %s | %s | `%s`", cell(r.Signature), r.Type, cell(r.Doc), cell(r.Example))
			if r.Want != "" {
				fmt.Fprintf(&b, " → `%s`", cell(r.Want))
			}
			b.WriteString(" |\n")
		}
		b.WriteString("\n")
	}
	return b.String()
}
