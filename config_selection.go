package aigateway

// ModelSelection is the list of strategies that choose the models of a request.
// Each is a CEL expression whose result is a model or a list of models, in the
// order in which they are tried:
//
//	ai.models.filter(m, 'vision' in m.supported_features).sortBy('price')
//
// The first strategy that returns at least one model wins; one that returns none
// goes on to the next. Where the client named models, the list runs once for each
// name, over the models that this name can mean: the client's order comes first, and a
// strategy adds no model that was not asked for. Without strategies the models
// are tried in the order of the client's names and of the config.
//
// [New] and [Gateway.Reload] check every name and type, and refuse a strategy that is
// wrong, with line, column and the nearest name, or too costly for the catalog.
// At run time an error inside the predicate of a filter leaves that element out. An
// index out of range, and a function that finds nothing, make the result empty.
// Both are noted in the [Result]. Any other error, such as a header that is missing
// outside of a filter, fails the request with [CodeModelSelectionFailed], and empty
// results of all strategies with [CodeModelSelectionEmpty]. [Gateway.Explain] shows
// what a strategy makes of a request.
//
// What follows is the whole language: the name, its type and its meaning, and
// below an example with, behind the arrow, what it comes to for the config in
// testdata/selection/reference.yaml.
//
// # Variables
//
// A strategy sees them as they are for its request.
//
//	ai.models  list of models: what this request may use, in the order in which it would be tried
//	    ai.models[0]  → openai:gpt-4o
//	ai.providers  list of providers: all of the config and the registry, configured ones first
//	    ai.providers.filter(p, p.custom).map(p, p.id)  → ['rack-a', 'rack-b']
//	ai.authors  list of authors: all who made a model of the config or the registry
//	    ai.authors[0].id  → 'openai'
//	req.method  string: as the client sent it
//	    req.method  → 'POST'
//	req.host  string: the host that the client asked for
//	    req.host  → 'ai.example.com'
//	req.id  string: the client's X-Request-Id, or one that the gateway made
//	    req.id  → 'req_1'
//	req.url  url: the address; only its path is known
//	    req.url.path.startsWith('/v1/')  → true
//	req.url.path  string: decoded, without the query
//	    req.url.path  → '/v1/chat/completions'
//	req.headers  map: lists of values by name, in any letter case; a missing one is an error
//	    req.headers['X-Tier'][0]  → 'gold'
//	conn.client_ip  string: the address that the connection comes from, without the port
//	    conn.client_ip.startsWith('192.0.2.')  → true
//
// # Functions of lists of models
//
// A parameter of the type strings takes a string or a list of strings, and number
// an int or a double. Ids compare without letter case, and so do regions and codes.
// A name that nobody has is no error: it selects nothing.
//
// The types of underCost are text.input, text.output, text.input_cache_read,
// text.input_cache_write, text.input_batch and text.output_batch, in USD per million
// tokens, and tools. with the name of a tool, in USD per call.
//
//	models.only(ids strings)  list of models: those with one of these ids or aliases
//	    ai.models.only(['gpt-4o', 'GPT-Mini'])  → openai:gpt-4o, openai:gpt-4o-mini
//	models.ignore(ids strings)  list of models: those with none of these ids and aliases
//	    ai.models.ignore('llama3').onlyAuthors('meta')  → groq:llama-3.3-70b-versatile
//	models.onlyProviders(ids strings)  list of models: those at one of these providers, by id or alias
//	    ai.models.onlyProviders(['ra', 'rack-b'])  → rack-a:llama3, rack-b:llama3
//	models.ignoreProviders(ids strings)  list of models: those at none of these providers
//	    ai.models.ignoreProviders(['openai', 'rack-a', 'rack-b'])  → anthropic:claude-sonnet-4-5, groq:llama-3.3-70b-versatile
//	models.onlyAuthors(ids strings)  list of models: those that one of these made, by id or alias
//	    ai.models.onlyAuthors('anthropic')  → anthropic:claude-sonnet-4-5
//	models.ignoreAuthors(ids strings)  list of models: those that none of these made
//	    ai.models.ignoreAuthors(['openai', 'meta'])  → anthropic:claude-sonnet-4-5
//	models.inRegion(regions strings)  list of models: those with a datacenter in one of these regions
//	    ai.models.inRegion(['cellar', 'eu-central-1'])  → anthropic:claude-sonnet-4-5, rack-a:llama3, rack-b:llama3
//	models.inCountryCode(codes strings)  list of models: those with a datacenter in one of these countries, in ISO 3166-1 alpha-2
//	    ai.models.inCountryCode('DE')  → anthropic:claude-sonnet-4-5, rack-a:llama3, rack-b:llama3
//	models.underCost(type string, max number)  list of models: those whose price of that type is known and below max, in USD
//	    ai.models.underCost('text.input', 1)  → openai:gpt-4o-mini, groq:llama-3.3-70b-versatile
//	models.sortBy(order string)  list of models: 'price', the only order: cheapest input first, then output; unknown last
//	    ai.models.sortBy('price')[0]  → openai:gpt-4o-mini
//	models.get(provider string, model string)  model: that one, by ids or aliases; an empty result where it is not there
//	    ai.models.get('ra', 'llama3')  → rack-a:llama3
//	models.getModel(model string)  model: the first of that id or alias; an empty result where there is none
//	    ai.models.getModel('llama3')  → rack-a:llama3
//
// # Functions of any list
//
// The variable x is any name; it stands for each element in turn.
//
//	list.filter(x, predicate)  list: those for which it is true; one for which it fails is left out and noted
//	    ai.models.filter(m, m.metadata.gpu == 'A100')  → rack-a:llama3
//	list.sortBy(x, key)  list: ascending by a number, string or bool, stable; where it fails or is null: last
//	    ai.models.sortBy(m, -m.pricing.output)[0]  → anthropic:claude-sonnet-4-5
//	list.random()  element: one of them, all equally likely; an empty result of an empty list
//	    ai.models.only('llama3').random()
//	list.randomize()  list: all of them, in any order equally likely
//	    ai.models.only('llama3').randomize()
//	list.map(x, value)  list: the value for each element
//	    ai.models.map(m, m.provider_id)[0]  → 'openai'
//	list.map(x, predicate, value)  list: the value for each element for which the predicate is true
//	    ai.models.map(m, m.custom, m.provider_id)  → ['rack-a', 'rack-b']
//	list.exists(x, predicate)  bool: true for at least one
//	    ai.models.exists(m, m.provider_id == 'groq')  → true
//	list.exists_one/existsOne(x, predicate)  bool: true for exactly one
//	    ai.models.exists_one(m, m.custom)  → false
//	list.all(x, predicate)  bool: true for all, and of an empty list
//	    ai.models.all(m, m.known)  → false
//	has(field)  bool: the field is there, and not zero, empty or null
//	    ai.models.filter(m, has(m.pricing.input_batch))  → openai:gpt-4o-mini
//
// # A model, m
//
// The examples are predicates of ai.models.filter(m, …).
//
//	m.id  string: what its provider calls it
//	    m.id == 'gpt-4o'  → openai:gpt-4o
//	m.id_aliases  list of strings: further names
//	    'gpt-mini' in m.id_aliases  → openai:gpt-4o-mini
//	m.provider_id  string: where it is
//	    m.provider_id == 'rack-b'  → rack-b:llama3
//	m.provider_id_aliases  list of strings: further names of that provider
//	    'ra' in m.provider_id_aliases  → rack-a:llama3
//	m.author_id  string: who made it; the provider where nothing else is known
//	    m.author_id == 'anthropic'  → anthropic:claude-sonnet-4-5
//	m.author_id_aliases  list of strings: further names of the author, where it is a provider
//	    m.author_id_aliases.size() == 0
//	m.display_name  string: its name for people
//	    m.display_name == 'Llama 3'  → rack-a:llama3
//	m.description  string: what is said about it; '' is nothing
//	    m.description.contains('tickets')  → rack-a:llama3
//	m.known  bool: it is in the registry
//	    m.known && m.author_id == 'meta'  → groq:llama-3.3-70b-versatile
//	m.custom  bool: it is in the config and not in the registry
//	    m.custom  → rack-a:llama3, rack-b:llama3
//	m.metadata  map: its own, and key by key its provider's; a missing key is an error
//	    m.metadata.team.name == 'search'  → rack-a:llama3
//	m.getMetadata(path string)  any value: metadata by a path with dots; a missing one is an error
//	    m.getMetadata('limits.rpm') == 500  → openai:gpt-4o, openai:gpt-4o-mini
//	m.input_modalities  list of strings: what it reads: text, image, audio, video, pdf; empty is unknown
//	    'pdf' in m.input_modalities  → anthropic:claude-sonnet-4-5
//	m.output_modalities  list of strings: what it puts out; empty is unknown
//	    m.output_modalities == ['text'] && m.custom  → rack-a:llama3
//	m.supported_features  list of strings: such as tool-calling, structured-output, reasoning, vision
//	    ['vision', 'reasoning'].all(f, f in m.supported_features)  → anthropic:claude-sonnet-4-5
//	m.max_context_window  int: tokens of prompt and answer together; 0 is unknown
//	    m.custom && m.max_context_window >= 100000  → rack-a:llama3
//	m.max_output_tokens  int: tokens of an answer at most; 0 is unknown
//	    m.custom && m.max_output_tokens > 1024  → rack-b:llama3
//	m.parameter_count  int: weights; 0 is unknown
//	    m.parameter_count > 10000000000  → rack-a:llama3
//	m.quantization  string: of the weights, such as 'q4_0'; '' is unknown
//	    m.quantization == 'q8_0'  → rack-a:llama3
//	m.data_training_policy  string: whether prompts are trained on; '' is unknown
//	    m.data_training_policy in ['', 'never']
//	m.data_retention_days  int: days for which prompts are kept; 0 is unknown
//	    m.data_retention_days <= 30
//	m.data_retention_policy  string: what they are kept for; '' is unknown
//	    m.data_retention_policy == ''
//	m.pricing  pricing: null where no price is known
//	    m.pricing == null  → rack-a:llama3, rack-b:llama3
//	m.pricing.input/output  double: USD per million tokens; null is unknown, as are the next four
//	    m.pricing.output < 1  → openai:gpt-4o-mini, groq:llama-3.3-70b-versatile
//	m.pricing.input_cache_read  double: tokens of the prompt that were cached
//	    m.pricing.input_cache_read == 0.3  → anthropic:claude-sonnet-4-5
//	m.pricing.input_cache_write  double: tokens of the prompt that get cached
//	    m.pricing.input_cache_write > 3  → anthropic:claude-sonnet-4-5
//	m.pricing.input_batch/output_batch  double: in a batch
//	    m.pricing.input_batch * 2.0 == m.pricing.input  → openai:gpt-4o-mini
//	m.pricing.tools  map: USD per call by the tool's name; a missing one is an error
//	    m.pricing.tools['web_search'] < 0.02  → openai:gpt-4o
//	m.datacenters  list of datacenters: where it runs; empty is unknown
//	    m.datacenters.size() > 1  → anthropic:claude-sonnet-4-5
//	m.datacenters[0].country_code  string: ISO 3166-1 alpha-2
//	    m.datacenters.all(d, d.country_code == 'DE') && has(m.datacenters)  → rack-a:llama3, rack-b:llama3
//	m.datacenters[0].region  string: the provider's own name for the region
//	    m.datacenters.exists(d, d.region.startsWith('eu-'))  → anthropic:claude-sonnet-4-5
//	m.metrics  model metrics: how it did in the last 5 minutes, see below
//	    m.metrics.endpoint.request_count == 0
//
// # A provider, p, and an author, a
//
//	providers/authors.only(ids strings)  list of providers/list of authors: those with one of these ids or aliases
//	    ai.providers.only(['ra', 'groq']).size()  → 2
//	providers/authors.ignore(ids strings)  list of providers/list of authors: those with none of these ids and aliases
//	    ai.providers.ignore('ra').exists(p, p.id == 'rack-a')  → false
//	providers/authors.get(id string)  provider/author: that one, by id or alias; an empty result where it is not there
//	    ai.authors.get('meta').id  → 'meta'
//	p.getModel(model string)  model: its model of that id or alias in ai.models; else an empty result
//	    ai.providers.get('rack-b').getModel('llama3')  → rack-b:llama3
//	p.getMetadata(path string)  any value: metadata by a path with dots; a missing one is an error
//	    ai.providers.get('openai').getMetadata('limits.rpm')  → 500
//	p.id  string: its id
//	    ai.providers[0].id  → 'openai'
//	p.id_aliases  list of strings: further names
//	    ai.providers.get('rack-a').id_aliases  → ['ra']
//	p.display_name  string: its name for people
//	    ai.providers.get('ra').display_name  → 'Rack A'
//	p.description  string: what is said about it
//	    ai.providers.get('ra').description  → 'Under the desk'
//	p.website  string: its home page
//	    ai.providers.get('ra').website  → 'https://racks.example.com'
//	p.metadata  map: a missing key is an error
//	    ai.providers.filter(p, p.metadata.tier == 'gold')[0].id  → 'openai'
//	p.known  bool: it is in the registry
//	    ai.providers.get('openai').known  → true
//	p.custom  bool: it is in the config and not in the registry
//	    ai.providers.get('openai').custom  → false
//	a.id  string: its id
//	    ai.authors.exists(a, a.id == 'meta')  → true
//	a.id_aliases  list of strings: further names, where it is a provider
//	    ai.authors.get('meta').id_aliases.size()  → 0
//	a.display_name  string: its name for people
//	    ai.authors.get('openai').display_name  → 'OpenAI'
//
// # Metrics, m.metrics
//
// They cover the last 5 minutes, as of at most 100 ms ago, and are zero where nothing
// was measured: a model that nobody used looks fast and free of errors, and so gets
// requests that show how it is. Below, endpoint stands for any of the four scopes.
// The examples are predicates of ai.models.filter(m, …).
//
//	m.metrics.endpoint/region/account/global  metrics: of this gateway, or of all in this process with its Region, its Account, at all
//	    m.metrics.global.request_count == 0
//	m.metrics.api_keys  map: of each key of the provider, by the key's id
//	    m.metrics.api_keys.size() == 2  → openai:gpt-4o, openai:gpt-4o-mini
//	m.metrics.endpoint.request_count  int: upstream requests that have ended
//	    m.metrics.endpoint.request_count < 1000
//	m.metrics.endpoint.in_flight  int: upstream requests under way
//	    m.metrics.endpoint.in_flight < 20
//	m.metrics.endpoint.latency  latency: in milliseconds, of answers and, where it fits, of timeouts
//	    has(m.metrics.endpoint.latency)
//	m.metrics.endpoint.latency.upstream_ms_avg/upstream_ms_p95  double: of a whole attempt
//	    m.metrics.endpoint.latency.upstream_ms_p95 < 2000
//	m.metrics.endpoint.latency.gateway_ms_avg/gateway_ms_p95  double: what the gateway added
//	    m.metrics.endpoint.latency.gateway_ms_avg < 10
//	m.metrics.endpoint.latency.time_to_first_token_ms_avg/time_to_first_token_ms_p95  double: from the start of an attempt to its first content
//	    m.metrics.endpoint.latency.time_to_first_token_ms_avg < 800
//	m.metrics.endpoint.latency.time_per_output_token_ms_avg/time_per_output_token_ms_p95  double: between the tokens after the first
//	    m.metrics.endpoint.latency.time_per_output_token_ms_p95 < 50
//	m.metrics.endpoint.error_rate  error rate: fractions of all requests, 0 to 1
//	    m.metrics.endpoint.error_rate.total < 0.05
//	m.metrics.endpoint.error_rate.total/timeout/rate_limit/client/server  double: all; no answer in time; 429; the client's fault; all else
//	    m.metrics.endpoint.error_rate.rate_limit < 0.01
//	m.metrics.endpoint.token  token: sums of tokens
//	    m.metrics.endpoint.token.provider_input < 1000000
//	m.metrics.endpoint.token.provider_input/provider_output  int: as the provider reported them
//	    m.metrics.endpoint.token.provider_output < 1000000
//	m.metrics.endpoint.token.estimated_input/estimated_output  int: estimated by the gateway, where one of its strategies asks for them
//	    m.metrics.endpoint.token.estimated_input < 1000000
//	m.metrics.api_keys[id].request_count/in_flight/latency/error_rate/token  int/int/latency/error rate/token: as above, with one key
//	    m.metrics.api_keys.all(id, m.metrics.api_keys[id].error_rate.total < 0.05)
//	m.metrics.api_keys[id].quota  quota: what the provider last said of the key's limits
//	    m.metrics.api_keys.exists(id, !has(m.metrics.api_keys[id].quota.limit_tokens))
//	m.metrics.api_keys[id].quota.remaining_requests/limit_requests  int: requests left, and allowed, in the provider's window; null is unknown
//	    m.metrics.api_keys.all(id, m.metrics.api_keys[id].quota.remaining_requests != 0)
//	m.metrics.api_keys[id].quota.remaining_tokens/limit_tokens  int: tokens, likewise
//	    m.metrics.api_keys.all(id, m.metrics.api_keys[id].quota.remaining_tokens != 0)
//
// # CEL's own
//
// The operators are == != < <= > >= && || ! + - * / %, the choice a ? b : c, and the
// index list[i] or map[key]: an index out of range is an empty result, a missing key
// an error. Numbers of different types compare. There are literals for lists, [a, b],
// and maps, {'a': b}; r'…' is a string without escapes, and // begins a comment.
//
//	value in list/map  bool: an element, or a key, is equal to it
//	    'vision' in ['vision', 'reasoning']  → true
//	list/map.size()  int: how many elements or entries
//	    ai.models.size()  → 6
//	size(value string/bytes/list/map)  int: how many characters, bytes, elements or entries
//	    size('gpt-4o')  → 6
//	string/bytes.size()  int: how many characters or bytes
//	    'gpt-4o'.size()  → 6
//	string.startsWith/endsWith/contains(part string)  bool: letter case counts
//	    'gpt-4o'.startsWith('gpt-')  → true
//	string.matches(pattern string)  bool: RE2 anywhere in the string; a wrong constant one is refused at the start
//	    'gpt-4o'.matches('^gpt-[0-9]')  → true
//	matches(text string, pattern string)  bool: the same
//	    matches('gpt-4o', 'o$')  → true
//	string.indexOf/lastIndexOf(part string[, from int])  int: the place in characters from 0, or -1
//	    'llama3.2:1b'.indexOf(':')  → 8
//	string.charAt(i int)  string: one character; an error past the end
//	    'gpt-4o'.charAt(4)  → '4'
//	string.substring(from int[, to int])  string: characters; an error past the end
//	    'gpt-4o'.substring(4)  → '4o'
//	string.split(separator string[, limit int])  list of strings: the parts
//	    'gpt-4o-mini'.split('-')  → ['gpt', '4o', 'mini']
//	strings.join([separator string])  string: the parts in one
//	    ['gpt', '4o'].join('-')  → 'gpt-4o'
//	string.replace(old string, new string[, limit int])  string: all of them, or the first few
//	    'gpt-4o'.replace('-', '_')  → 'gpt_4o'
//	string.lowerAscii/upperAscii()  string: only A to Z change
//	    'GPT-4o'.lowerAscii()  → 'gpt-4o'
//	string.trim/reverse()  string: without outer white space; backwards
//	    ' gpt '.trim()  → 'gpt'
//	string.format(values list)  string: %s %d %f %e %x %b %o, in this order
//	    '%s:%d'.format(['a', 1])  → 'a:1'
//	strings.quote(text string)  string: in double quotes, escaped
//	    strings.quote('a')  → '"a"'
//	bool(value bool/string)  bool: an error for other words
//	    bool('true')  → true
//	int(value double/int/uint/string/timestamp/duration)  int: cut off towards zero; seconds since 1970 of a timestamp, nanoseconds of a duration
//	    int('8192')  → 8192
//	uint(value double/int/string/uint)  uint: an error below zero
//	    uint(7)  → 7u
//	double(value double/int/string/uint)  double: an error for a text that is no number
//	    double('0.5')  → 0.5
//	string(value bool/bytes/double/duration/timestamp/int/string/uint)  string: as text
//	    string(8192)  → '8192'
//	bytes(value bytes/string)  bytes: in UTF-8
//	    bytes('abc').size()  → 3
//	duration(value duration/string)  duration: such as '90s', '1h30m'
//	    duration('90s') > duration('1m')  → true
//	timestamp(value timestamp/int/string)  timestamp: from RFC 3339 or the seconds since 1970; there is no present time
//	    timestamp('2026-01-02T03:04:05Z').getFullYear()  → 2026
//	duration.getHours/getMinutes/getSeconds/getMilliseconds()  int: all of it in that unit
//	    duration('90s').getMinutes()  → 1
//	timestamp.getFullYear/getMonth/getDate/getDayOfMonth/getDayOfWeek/getDayOfYear([zone string])  int: from 0 but getFullYear and getDate; in UTC without a zone
//	    timestamp('2026-01-02T03:04:05Z').getMonth()  → 0
//	timestamp.getHours/getMinutes/getSeconds/getMilliseconds([zone string])  int: the time of day
//	    timestamp('2026-01-02T03:04:05Z').getHours('Europe/Berlin')  → 4
//	type(value any)  type: its type, to compare
//	    type(1) == int  → true
//	dyn(value any)  any value: leaves the type to be checked when the expression runs
//	    dyn('a') == 'a'  → true
type ModelSelection struct {
	// Strategy holds the expressions in the order of their turn.
	Strategy []string `json:"strategy,omitempty"`
}

// APIKeySelection is the list of strategies that choose the keys of a provider.
// Each is a CEL expression whose result is a key or a list of keys, in the order
// in which they are tried:
//
//	ai.keys.filter(k, k.error_rate.rate_limit < 0.1)
//
// The first strategy that returns at least one key wins. A key that rests after a
// refusal is tried last all the same. Where all come back empty, or one fails, that
// model is given up for [CodeNoAPIKey] or [CodeAPIKeySelectionFailed], and the next one
// has its turn. Without strategies the keys are tried in listed order.
//
// The language is that of [ModelSelection], with ai.keys in place of ai.models,
// ai.providers and ai.authors, and their functions. A key's value is not visible.
//
//	ai.keys  list of keys: the provider's, in listed order
//	    ai.keys[1]  → key 2
//	keys.only(ids strings)  list of keys: those with one of these ids
//	    ai.keys.only(ai.keys[1].id)  → key 2
//	keys.ignore(ids strings)  list of keys: those with none of these ids
//	    ai.keys.ignore([ai.keys[0].id])  → key 2
//	keys.get(id string)  key: that one; an empty result where it is not there
//	    ai.keys.get(ai.keys[1].id)  → key 2
//	k.id  string: a hash of the key's text in the config, as the Result shows it
//	    ai.keys.sortBy(k, k.id)
//	k.quota  quota: what the provider last said of its limits
//	    ai.keys.filter(k, !has(k.quota.limit_requests))  → key 1, key 2
//	k.quota.remaining_requests/limit_requests  int: requests left, and allowed, in the provider's window; null is unknown
//	    ai.keys.filter(k, k.quota.remaining_requests != 0)  → key 1, key 2
//	k.quota.remaining_tokens/limit_tokens  int: tokens, likewise
//	    ai.keys.sortBy(k, -k.quota.remaining_tokens)  → key 1, key 2
//	k.error_rate  error rate: fractions of all requests, 0 to 1
//	    ai.keys.filter(k, k.error_rate.total < 0.05)  → key 1, key 2
//	k.error_rate.total/timeout/rate_limit/client/server  double: as for models
//	    ai.keys.sortBy(k, k.error_rate.rate_limit)  → key 1, key 2
//	k.metrics  key metrics: as m.metrics.api_keys[k.id]
//	    ai.keys.sortBy(k, k.metrics.in_flight)  → key 1, key 2
type APIKeySelection struct {
	// Strategy holds the expressions in the order of their turn.
	Strategy []string `json:"strategy,omitempty"`
}
