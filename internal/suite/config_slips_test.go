package suite_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
)

// slip is a config with one slip in it, and the problem or warning that New has for it:
// "path: reason". Without one the config has no slip.
type slip struct{ name, doc, want string }

// slipsOf reads a config, and returns the problem or the warnings, in one text.
func slipsOf(t *testing.T, doc string) (said string, refused bool) {
	t.Helper()
	cfg, err := aigateway.ParseConfig([]byte(doc))
	require.NoError(t, err)
	g, err := aigateway.New(cfg)
	if err != nil {
		return err.Error(), true
	}
	var all []string
	for _, w := range g.Warnings() {
		all = append(all, w.Error())
	}
	return strings.Join(all, "\n"), false
}

// Slips that leave a config valid are warnings. The names around them, which only look
// like slips, are not.
func TestConfigSlips(t *testing.T) {
	const rack = "providers:\n- id: rack\n  base_url: https://rack.example.com\n  models:\n  - id: llama3\n"
	model := func(fields string) string { return rack + "    " + fields + "\n" }
	provider := func(fields string) string { return rack + "  " + fields + "\n" }
	openai := func(models string) string {
		return "providers:\n- {id: openai, api_keys: [{value: kk-0123456789}], models: [" + models + "]}\n"
	}
	for _, s := range []slip{
		{"alias, misspelt", rack + "aliases: {chat: ['rack:lama3']}", `aliases.chat[0]: "rack:lama3": provider "rack" lists no such model, did you mean "rack:llama3"?`},
		{"alias, a model of its own", rack + "aliases: {chat: ['rack:mistral']}", ""},
		{"alias, no provider allowed", rack + "only_allow_configured_providers: true\naliases: {chat: ['openai:gpt-4o']}", "aliases.chat[0]: \"openai:gpt-4o\": is never tried: only_allow_configured_providers"},
		{"alias, no model allowed", rack + "only_allow_configured_models: true\naliases: {chat: ['rack:mistral']}", "aliases.chat[0]: \"rack:mistral\": is never tried: only_allow_configured_models"},
		{"alias, no key", rack + "aliases: {chat: ['openai:gpt-4o']}", `is never tried: provider "openai" needs an API key and has none`},
		{"alias, no key, by name alone", rack + "aliases: {chat: [gpt-4o]}", `is never tried: provider "openai" needs an API key and has none`},
		{"alias, no key is needed", "aliases: {chat: [gpt-4o, 'openai:gpt-4o-mini']}", ""},
		{"alias, one of two providers will do", openai("") + "- {id: rack, base_url: 'https://rack.example.com', models: [{id: claude-haiku-4-5}]}\naliases: {chat: [claude-haiku-4-5]}", ""},
		{"fallback, no provider allowed", model("fallbacks: ['openai:gpt-4o']") + "only_allow_configured_providers: true", "fallbacks[0]: \"openai:gpt-4o\": is never tried: only_allow_configured_providers"},
		{"fallback, no key", model("fallbacks: ['openai:gpt-4o']"), `is never tried: provider "openai" needs an API key and has none`},
		{"fallback, itself", model("fallbacks: ['RACK:Llama3']"), "is the model itself"},

		{"header, foreign", provider("headers: {Authorization: 'Bearer os.environ/RACK_KEY'}"), "providers[0].headers.Authorization: looks like LiteLLM's notation"},
		{"header, a placeholder", provider("headers: {X-Api-Key: '<your-api-key>'}"), "providers[0].headers.X-Api-Key: looks like a placeholder"},
		{"header of all providers", rack + "headers: {Api-Key: '{{KEY}}'}", "headers.Api-Key: looks like another tool's template"},
		{"header with a scheme", provider("headers: {Authorization: 'Bearer kk-0123456789'}"), ""},
		{"header, no credential", provider("headers: {X-Team: secret}"), ""},
		{"parameter, foreign", provider("query_params: {api_key: env.KEY}"), "providers[0].query_params.api_key: looks like another tool's notation"},
		{"key, a space", provider("api_keys: [{value: ' kk-0123456789'}]"), "providers[0].api_keys[0].value: has spaces around it"},
		{"key, an expression without its signs", provider(`api_keys: [{value: "secrets.get('rack', 'api-key')"}]`), "providers[0].api_keys[0].value: looks like an expression without ${…}"},
		{"key, a dash of typography", provider("api_keys: [{value: 'kk-0123\u20144567'}]"), "providers[0].api_keys[0].value: looks like a text with characters beside ASCII's"},
		{"key, an invisible character", provider(`api_keys: [{value: "kk-01234567\u200b"}]`), "providers[0].api_keys[0].value: looks like a text with characters beside ASCII's"},

		{"/v1 twice", "providers: [{id: a, base_url: 'https://a.example.com/v1/v1', models: [{id: m}]}]", "providers[0].base_url: \"https://a.example.com/v1/v1\": has /v1 twice"},
		{"half a request's path", "providers: [{id: a, base_url: 'https://a.example.com/v1/chat/', models: [{id: m}]}]", "leave /chat out"},
		{"the format's own path", "providers: [{id: a, base_url: 'https://a.example.com/anthropic', models: [{id: m}]}]", "ends in /anthropic"},
		{"a path of its own", "providers: [{id: a, base_url: 'https://a.example.com/chat/v1', models: [{id: m}]}]", ""},

		{"an attempt longer than all", rack + "per_request_timeout: 10m", `per_request_timeout: "10m": is longer than total_timeout, which ends a request after 6m0s: raise both`},
		{"a provider's attempt longer than all", provider("per_request_timeout: 2m") + "total_timeout: 90s", `providers[0].per_request_timeout: "2m": is longer than total_timeout`},
		{"a model's attempt longer than all", model("per_request_timeout: 7m"), `providers[0].models[0].per_request_timeout: "7m": is longer`},
		{"a total shorter than the default of an attempt", rack + "total_timeout: 30s", ""},
		{"both", rack + "total_timeout: 20m\nper_request_timeout: 20m", ""},

		{"a pattern for models", rack + "  - id: gpt-*\n", `providers[0].models[1].id: "gpt-*": is not a pattern, and is asked for as it is: clients reach unlisted models as "rack:NAME"`},
		{"Azure without a path", "providers: [{id: az, base_url: 'https://r.openai.azure.com', models: [{id: m}]}]", "providers[0].base_url: \"https://r.openai.azure.com\": is not an API of Azure"},
		{"Azure with half a path", "providers: [{id: az, base_url: 'https://r.openai.azure.com/openai', models: [{id: m}]}]", "is not an API of Azure: most are at /openai/v1"},
		{"Azure with its path", "providers: [{id: az, base_url: 'https://r.openai.azure.com/openai/v1', models: [{id: m}]}]", ""},
		{"Azure's deployment without a version", "providers: [{id: az, base_url: 'https://r.openai.azure.com/openai/deployments/d', models: [{id: m}]}]", "lacks the api-version"},
		{"Azure's deployment with a version", "providers: [{id: az, base_url: 'https://r.openai.azure.com/openai/deployments/d?api-version=1', models: [{id: m}]}]", ""},
		{"Azure's deployment with a version of its own", "providers: [{id: az, base_url: 'https://r.openai.azure.com/openai/deployments/d', query_params: {api-version: '1'}, models: [{id: m}]}]", ""},
		{"Azure's deployment with the config's version", "query_params: {api-version: '1'}\nproviders: [{id: az, base_url: 'https://r.openai.azure.com/openai/deployments/d', models: [{id: m}]}]", ""},
		{"Azure's models", "providers: [{id: az, base_url: 'https://r.services.ai.azure.com/models', models: [{id: m}]}]", ""},

		{"model of the catalog, misspelt", openai("{id: gpt-4oo}"), `providers[0].models[0].id: "gpt-4oo": is not a known model of provider "openai", did you mean "gpt-4o"?`},
		{"model of the catalog, without its hyphen", openai("{id: gpt4o}"), `did you mean "gpt-4o"?`},
		{"model newer than the catalog", openai("{id: gpt-9}, {id: gpt-4.9-mini}, {id: gpt-4o-2031-01-01}, {id: o9-pro}, {id: my-tune}"), ""},
		{"model of a compatible server", "providers: [{id: openai, base_url: 'https://own.example.com', models: [{id: gpt-4oo}]}]", ""},
		{"alias like a prefix", openai("") + "- {id: rack, base_url: 'https://rack.example.com', models: [{id: m, id_aliases: ['openai:fast']}]}", `providers[1].models[0].id_aliases[0]: "openai:fast": is hidden`},
		{"a model called auto", rack + "  - id: Auto\n", `clients reach this model as "rack:Auto"`},
		{"a modality", model("input_modalities: [text, images]"), `input_modalities[1]: "images": is not a known word, did you mean "image"?`},
		{"a modality in capitals", model("output_modalities: [Text]"), `did you mean "text"?`},
		{"a feature", model("supported_features: [tool_calling]"), `did you mean "tool-calling"?`},
		{"several keys", provider("api_keys: [{value: 'kk-0123456789,kk-9876543210'}]"), "providers[0].api_keys[0].value: looks like several keys, and is sent as one"},
		{"several keys with spaces", provider("api_keys: [{value: 'kk-0123456789 ; kk-9876543210'}]"), "looks like several keys"},
		{"a key with a comma", provider("api_keys: [{value: 'kk-0123456789,x'}]"), ""},
		{"a key of JSON", provider(`api_keys: [{value: '{"client_id":"0123456789","private":"0123456789"}'}]`), ""},
		{"no key at a provider that needs one", rack + "- {id: openai}\n", `providers[1].api_keys: are missing: provider "openai" needs a key, and none of its models is tried without one`},
		{"a disabled provider without a key", rack + "- {id: openai, disabled: true}\n", ""},
		{"a provider with a header of its own in place of a key", rack + "- {id: openai, headers: {Authorization: 'Bearer kk-0123456789'}}\n", ""},
		{"a compatible server without a key", rack + "- {id: openai, base_url: 'https://own.example.com/v1'}\n", ""},

		{"a first token later than its attempt", rack + "first_token_timeout: 5m", `first_token_timeout: "5m": is longer than per_request_timeout, which ends an attempt without content after 3m0s: raise both`},
		{"a model's first token later than its attempt", model("first_token_timeout: 50s\n    per_request_timeout: 40s"), `providers[0].models[0].first_token_timeout: "50s": is longer than per_request_timeout`},
		{"a model's first token later than its provider's attempt", provider("per_request_timeout: 40s") + "- {id: b, base_url: 'https://b.example.com', per_request_timeout: 20s, models: [{id: m, first_token_timeout: 30s}]}", `providers[1].models[0].first_token_timeout: "30s": is longer than per_request_timeout, which ends an attempt without content after 20s`},
		{"a first token within its attempt", rack + "first_token_timeout: 3m", ""},
		{"a provider's attempt shorter than the first token", provider("per_request_timeout: 10s") + "first_token_timeout: 20s", ""},
		{"a wait longer than all", provider("limits: {in_flight: 1, wait: 10m}"), `providers[0].limits.wait: "10m": is longer than total_timeout, which ends a request after 6m0s: raise both`},
		{"a key's wait longer than all", provider("api_keys: [{value: kk-0123456789, limits: {in_flight: 1, wait: 10m}}]"), "providers[0].api_keys[0].limits.wait"},
		{"a model's wait longer than all", model("limits: {in_flight: 1, wait: 1m}") + "total_timeout: 30s", "providers[0].models[0].limits.wait"},

		{"the price of a token", model("pricing: {input: 0.000001, output: 2}"), `providers[0].models[0].pricing.input: "1e-06": looks like the price of one token: prices are in USD per million tokens`},
		{"a low price", model("pricing: {input: 0.001, output: 0.002}"), ""},
		{"no price", model("pricing: {input: 0, output: 0}"), ""},
		{"a stream for all", rack + "body: {stream: true}", `body.stream: "true": is in place of what the client asked for`},
		{"a stream for a provider", provider("body: {stream: false}"), `providers[0].body.stream: "false"`},

		{"a pattern for headers", rack + "forward_headers: ['X-Team', 'x-*']", `forward_headers[1]: "x-*": is not a pattern, and stands for this very name`},
		{"a pattern for an alias", rack + "aliases: {'*': ['rack:llama3']}", `aliases["*"]: "*": is not a pattern`},
		{"a pattern in an alias", rack + "aliases: {chat: ['rack:llama*']}", `aliases.chat[0]: "rack:llama*": is not a pattern`},
		{"a pattern for a fallback", model("fallbacks: ['rack:*']"), `providers[0].models[0].fallbacks[0]: "rack:*": is not a pattern`},
		{"a pattern in a strategy", rack + "model_selection: {strategy: ['ai.models.only(\"llama*\")']}", `model_selection.strategy[0]: "llama*": 1:16: is not a pattern, and stands for this very name: compare a part of an id by startsWith`},
		{"a pattern for providers", rack + "model_selection: {strategy: ['ai.models.filter(m, m.provider_id == \"r*\")']}", `"r*": 1:38: is not a pattern`},

		{"metadata, misspelt", model("metadata: {gpu: A100}") + "model_selection: {strategy: ['ai.models.filter(m, m.metadata.gpuu == 1)']}", `model_selection.strategy[0]: "gpuu": 1:32: no model and no provider has this metadata, did you mean "gpu"?`},
		{"metadata by an index", model("metadata: {team: a}") + "model_selection: {strategy: ['ai.models.filter(m, m.metadata[\"taem\"] == 1)']}", `"taem": 1:32: no model and no provider has this metadata, did you mean "team"?`},
		{"metadata by a path", provider("metadata: {limits: {rpm: 1}}") + "model_selection: {strategy: ['ai.models.filter(m, m.getMetadata(\"limit.rpm\") > 1)']}", `"limit": 1:35: no model and no provider has this metadata, did you mean "limits"?`},
		{"metadata that is asked for", provider("metadata: {tenants: [a]}") + "model_selection: {strategy: ['ai.models.filter(m, \"tennants\" in m.metadata)']}", `did you mean "tenants"?`},
		{"metadata of providers", provider("metadata: {tier: a}") + "model_selection: {strategy: ['ai.models.onlyProviders(ai.providers.filter(p, p.metadata.tire == 1).map(p, p.id))']}", `did you mean "tier"?`},
		{"metadata of nobody", model("metadata: {gpu: A100, limits: {rpm: 1}}") + "model_selection: {strategy: ['ai.models.filter(m, has(m.metadata.region) || m.metadata.limits.rpn > 1)']}", ""},
		{"a feature in a strategy", rack + "model_selection: {strategy: ['ai.models.filter(m, \"tool_calling\" in m.supported_features)']}", `"tool_calling": 1:21: no model has this feature, did you mean "tool-calling"?`},
		{"a feature of one's own in a strategy", model("supported_features: [fast]") + "model_selection: {strategy: ['ai.models.filter(m, \"fast\" in m.supported_features || \"search\" in m.supported_features)']}", ""},
		{"a modality in a strategy", rack + "model_selection: {strategy: ['ai.models.filter(m, \"images\" in m.input_modalities || m.output_modalities == [\"text\"])']}", `"images": 1:21: no model has this modality, did you mean "image"?`},
		{"a country in a strategy", rack + "model_selection: {strategy: ['ai.models.inCountryCode([\"DE\", \"France\"])']}", `"France": 1:32: is not the code of a country, such as DE`},
		{"a country of a datacenter", rack + "model_selection: {strategy: ['ai.models.filter(m, m.datacenters.exists(d, d.country_code == \"USA\"))']}", `"USA": 1:63: is not the code of a country`},
		{"a surface in a strategy", rack + "model_selection: {strategy: ['req.ai.surface == \"chat/completions\" ? ai.models : ai.models']}", `"chat/completions": 1:19: no request has this surface, did you mean "chat-completions"?`},
		{"surfaces in a strategy", rack + "model_selection: {strategy: ['req.ai.surface in [\"responses\", \"messages\", \"embeddings\", \"messages-count-tokens\", \"realtime\"] ? ai.models : ai.models']}", ""},
		{"words of one's own", model("input_modalities: [text, point-cloud]\n    supported_features: [fast, search]"), ""},
		{"a country", model("datacenters: [{country_code: Germany}, {country_code: de}]"), `datacenters[0].country_code: "Germany": is not the code of a country`},
		{"a surface twice", provider("supported_api_surfaces: [{format: openai, supported_params: [{name: a}]}, {format: openai, supported_params: [{name: b}]}]"), "supported_api_surfaces[1]: has no effect"},
		{"a surface beside its format", provider("supported_api_surfaces: [{format: openai}, {format: openai, surface: embeddings}, {format: anthropic}]"), ""},
	} {
		t.Run(s.name, func(t *testing.T) {
			said, refused := slipsOf(t, s.doc)
			require.False(t, refused, said)
			if s.want == "" {
				assert.Empty(t, said)
				return
			}
			assert.Contains(t, said, s.want)
			assert.Equal(t, 1, strings.Count(said, "\n")+1, said)
		})
	}
}

// Slips that can have no meaning are refused, with their place.
func TestConfigSlipsRefused(t *testing.T) {
	const rack = "providers:\n- id: rack\n  base_url: https://rack.example.com\n  models:\n  - id: llama3\n"
	for _, s := range []slip{
		{"template for a model", rack + "  - id: ${MODEL}", "providers[0].models[1].id: \"${MODEL}\": ${…} is evaluated only in"},
		{"template for a model's alias", rack + "    id_aliases: ['${req.host}']", "providers[0].models[0].id_aliases[0]"},
		{"template in an alias", rack + "aliases: {chat: ['rack:${MODEL}']}", "aliases.chat[0]: \"rack:${MODEL}\": ${…} is evaluated only in"},
		{"template for an alias", rack + "aliases: {'${NAME}': ['rack:llama3']}", "${…} is evaluated only in"},
		{"template in a fallback", rack + "    fallbacks: ['rack:${MODEL}']", "providers[0].models[0].fallbacks[0]"},
		{"space in an alias", rack + "aliases: {chat: ['rack: llama3']}", "aliases.chat[0]: \"rack: llama3\": must not have spaces"},
		{"space in a fallback", rack + "    fallbacks: ['rack:big ']", "providers[0].models[0].fallbacks[0]: \"rack:big \": must not have spaces"},
		{"price out of range", rack + "    pricing: {output: 1e300}", "providers[0].models[0].pricing.output: \"1e+300\": is too high"},
		{"price of a tool for a thousand calls", rack + "    pricing: {tools: {web_search: 10}}", "providers[0].models[0].pricing.tools.web_search: \"10\": is too high"},
		{"price of a tier", rack + "    pricing: {tiers: [{above_input_tokens: 1, input: 9300000}]}", "providers[0].models[0].pricing.tiers[0].input: \"9.3e+06\": is too high"},
		{"template for a caller", rack + "caller: ${req.headers['x-tenant'][0]}", "caller: \"${req.headers['x-tenant'][0]}\": 1:1: unexpected '$': an expression stands here by itself"},
		{"GitHub's notation", rack + "  api_keys: [{value: '${{ secrets.KEY }}'}]", "${{…}} is the notation of another tool"},
	} {
		t.Run(s.name, func(t *testing.T) {
			said, refused := slipsOf(t, s.doc)
			assert.True(t, refused)
			assert.Contains(t, said, s.want)
			assert.Len(t, strings.Split(strings.TrimSpace(said), "\n"), 2, fmt.Sprintf("one problem in %s", said))
		})
	}
}
