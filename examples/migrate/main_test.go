package main

import (
	"bytes"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
)

var update = flag.Bool("update", false, "write the golden file")

const golden = "testdata/gateway.golden.yaml"

// migrated converts a file, and builds a gateway of the result.
func migrated(t *testing.T, file string) (string, *aigateway.Gateway) {
	var out bytes.Buffer
	require.NoError(t, run(nil, strings.NewReader(file), &out))
	cfg, err := aigateway.ParseConfig(out.Bytes())
	require.NoError(t, err, out.String())
	gateway, err := aigateway.New(cfg)
	require.NoError(t, err, out.String())
	return out.String(), gateway
}

// TestMigrate converts a whole file. Every field of it is in the result, or in a comment.
func TestMigrate(t *testing.T) {
	file, err := os.ReadFile("testdata/litellm.yaml")
	require.NoError(t, err)
	out, _ := migrated(t, string(file))
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(out), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	assert.Equal(t, string(want), out, "go test ./examples/migrate -update writes it")
	assert.NotContains(t, out, "not-to-be-copied")
}

// TestCommand runs the command that the documents show, and finds the golden file.
func TestCommand(t *testing.T) {
	const command = "go run ./examples/migrate"
	for _, file := range []string{"../../docs/migrating.md", "README.md"} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.True(t, strings.Contains(string(text), "\n"+command+" config.yaml > gateway.yaml\n"), "%s does not show it", file)
	}
	words := strings.Fields(command + " examples/migrate/testdata/litellm.yaml")[1:]
	run := exec.CommandContext(t.Context(), "go", words...)
	run.Dir = "../.." // as in a clone
	out, err := run.Output()
	require.NoError(t, err)
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	assert.Equal(t, string(want), string(out))
}

// TestSelection asks the gateway of the whole file for each name of the old one.
func TestSelection(t *testing.T) {
	file, err := os.ReadFile("testdata/litellm.yaml")
	require.NoError(t, err)
	_, gateway := migrated(t, string(file))
	for name, want := range map[string][]string{
		"gpt-4o": {"azure:gpt-4o-eu", "openai:gpt-4o"}, "claude": {"anthropic:claude-sonnet-4-5"},
		"llama3": {"vllm:llama3", "vllm-2:llama3"}, "fast": {"vllm:llama3", "vllm-2:llama3"},
	} {
		r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"`+name+`","messages":[]}`))
		result, err := gateway.Explain(r)
		require.NoError(t, err)
		var got []string
		for _, m := range result.ModelsTried {
			got = append(got, m.Provider+":"+m.Model)
		}
		require.GreaterOrEqual(t, len(got), len(want), name)
		assert.ElementsMatch(t, want, got[:len(want)], name)
		if name == "llama3" || name == "fast" {
			assert.ElementsMatch(t, []string{"azure:gpt-4o-eu", "openai:gpt-4o"}, got[len(want):], "the fallbacks come last")
		} else {
			assert.Empty(t, got[len(want):], name)
		}
	}
}

// deployment is a file with one deployment of a model.
func deployment(params string) string {
	return "model_list:\n- model_name: m\n  litellm_params: {model: openai/gpt-4o, " + params + "}\n"
}

// TestFields converts one field at a time.
func TestFields(t *testing.T) {
	two := "model_list:\n- {model_name: a, litellm_params: {model: groq/a, api_key: os.environ/GROQ_ONE}}\n- {model_name: a, litellm_params: {model: groq/a, api_key: os.environ/GROQ_TWO}}\n- {model_name: b, litellm_params: {model: groq/b, api_key: os.environ/GROQ_ONE}}\n"
	for _, row := range []struct {
		name, file string
		want       []string
	}{
		{"a variable", deployment("api_key: os.environ/TEAM_A_KEY"), []string{"${secrets.get('team', 'a-key')}"}},
		{"a variable without an underscore", deployment("api_key: os.environ/mykey"), []string{"${secrets.get('mykey', 'api-key')}", "api_key: is read from another variable: set MYKEY_API_KEY"}},
		{"a variable to break out of a template", deployment(`api_key: "os.environ/A_')} # ${secrets.get('b', 'c"`), []string{"value: \"${secrets.get('a', 'secrets-get-b-c')}\"", "set A_SECRETS_GET_B_C"}},
		{"no key", deployment(""), []string{"${secrets.get('openai', 'api-key')}"}},
		{"a price", deployment("input_cost_per_token: 0.0000025, output_cost_per_token: 1e-5"), []string{"input: 2.5\n", "output: 10\n"}},
		{"limits", deployment("rpm: 5, tpm: 700, max_parallel_requests: 3"), []string{"in_flight: 3\n", "requests_per_minute: 5\n", "tokens_per_minute: 700\n"}},
		{"a header with a template", deployment(`extra_headers: {X-A: "${secrets.get('a', 'b')}", X-B: os.environ/B_C}`), []string{`"X-A": "$${secrets.get('a', 'b')}"`, `"X-B": "${secrets.get('b', 'c')}"`}},
		{"a server like OpenAI's", deployment("api_base: https://models.example.com/v1"), []string{`id: "openai-compatible"`, `base_url: "https://models.example.com/v1"`}},
		{"OpenAI's own address", deployment("api_base: https://api.openai.com/v1"), []string{`id: "openai"`}},
		{"a server like Anthropic's", "model_list: [{model_name: m, litellm_params: {model: anthropic/c, api_base: 'https://a.example.com'}}]", []string{`id: "anthropic-compatible"`, `format: "anthropic"`}},
		{"Ollama's default", "model_list: [{model_name: m, litellm_params: {model: ollama/llama3}}]", []string{`ollama.internal: "http://localhost:11434"`}},
		{"a name without a provider", "model_list: [{model_name: m, litellm_params: {model: claude-sonnet-4-5}}]", []string{`id: "anthropic"`}},
		{"a wildcard", "model_list: [{model_name: 'groq/*', litellm_params: {model: 'groq/*'}}]", []string{`id: "groq"`, "# model_list[0]: a wildcard"}},
		{"a provider without a counterpart", two + "- {model_name: c, litellm_params: {model: sagemaker/c}}\n", []string{"# model_list[3]: left out"}},
		{"two keys", two, []string{`id: "groq"`, `id: "groq-2"`, "'groq', 'one'", "'groq', 'two'", "ai.models.randomize()", `id: "b"`}},
		{"the same again", two + "- {model_name: c, litellm_params: {model: groq/b, api_key: os.environ/GROQ_ONE, rpm: 9}}\n", []string{`id_aliases: ["c"]`, "# model_list[3]: the same model behind the same key"}},
		{"fallbacks by an alias", two + "router_settings: {model_group_alias: {x: a}, fallbacks: [{b: [x]}]}\n", []string{`fallbacks: ["groq:a", "groq-2:a"]`, `"x": ["a"]`}},
		{"fallbacks of all", two + "litellm_settings: {default_fallbacks: [b]}\n", []string{`fallbacks: ["groq:b"]`}},
		{"fallbacks that are not there", two + "litellm_settings: {fallbacks: [{b: [z]}]}\n", []string{"# litellm_settings.fallbacks[0]: names a model that is not in model_list"}},
		{"many retries", two + "litellm_settings: {num_retries: 9}\n", []string{"max_retries: 5\n", "is at most 5"}},
		{"least busy", two + "router_settings: {routing_strategy: least-busy}\n", []string{"ai.models.leastBusy()"}},
		{"latency", two + "router_settings: {routing_strategy: latency-based-routing}\n", []string{"upstream_ms_avg"}},
		{"cost", two + "router_settings: {routing_strategy: cost-based-routing}\n", []string{"sortBy('price')"}},
		{"usage", two + "router_settings: {routing_strategy: usage-based-routing-v2}\n", []string{"# router_settings.routing_strategy: has no counterpart"}},
		{"an anchor", "x: &p {model: groq/a}\nmodel_list: [{model_name: a, litellm_params: *p}, {model_name: b, litellm_params: *p}]", []string{`id_aliases: ["b"]`, "# x: has no counterpart"}},
		{"a name with a line break", two + "\"a\\nproviders\": 1\n", []string{`# "a\nproviders": has no counterpart`}},
		{"a model with a quote", `{"model_list":[{"model_name":"m","litellm_params":{"model":"groq/a\", providers: [], b: \"#"}}]}`, []string{`id: "a\", providers: [], b: \"#"`}},
	} {
		t.Run(row.name, func(t *testing.T) {
			out, _ := migrated(t, row.file)
			for _, want := range row.want {
				assert.Contains(t, out, want)
			}
		})
	}
}

// TestVariables resolves a key as the file's variable has it.
func TestVariables(t *testing.T) {
	for _, variable := range []string{"OPENAI_API_KEY", "A_B", "TEAM_A_KEY_2", "X1_2"} {
		t.Setenv(variable, "value of "+variable)
		template, note := secret("os.environ/"+variable, upstream{})
		assert.Empty(t, note)
		vault, name, ok := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(template, "${secrets.get('"), "')}"), "', '")
		require.True(t, ok, template)
		value, err := aigateway.EnvSecrets().ResolveSecret(t.Context(), vault, name)
		require.NoError(t, err)
		assert.Equal(t, "value of "+variable, value)
	}
}

// TestHostile gives a clear error, and no result.
func TestHostile(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'k'; c++ {
		bomb += string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+string(c-1)+",", 9) + "]\n"
	}
	for _, row := range []struct{ name, file, want string }{
		{"nothing", "", "the file is empty"},
		{"not YAML", "a: [", "the file is not YAML"},
		{"aliases of aliases", bomb, "excessive aliasing"},
		{"an alias in itself", "model_list: &a [*a]", "contains itself"},
		{"very deep", strings.Repeat("[", 20000), "not YAML"},
		{"two documents", "a: 1\n---\nb: 2\n", "more than one document"},
		{"a list", "- a", "config: is not a mapping"},
		{"names that are numbers", "1: 2", "config: is not a mapping of names"},
		{"too large", strings.Repeat("#", maxFile+1), "more than 1048576 bytes"},
		{"no deployment", "general_settings: {}", "model_list: holds no deployment"},
		{"none with a counterpart", "model_list: [{model_name: a, litellm_params: {model: sagemaker/a}}]", "model_list[0]: left out"},
		{"a list that is not one", "model_list: {}", "model_list: is not a list"},
		{"an entry that is not one", "model_list: [7]", "model_list[0]: is not a mapping"},
		{"no model", "model_list: [{model_name: a}]", "model_list[0]: needs model_name and litellm_params.model"},
		{"a negative number", deployment("rpm: -1"), "model_list[0].litellm_params.rpm: is not a number"},
		{"not a number", deployment("timeout: .nan"), "model_list[0].litellm_params.timeout: is not a number"},
		{"a text for a number", deployment("tpm: many"), "model_list[0].litellm_params.tpm: is not a number"},
		{"a number for a text", deployment("api_key: 7"), "model_list[0].litellm_params.api_key: is not a text"},
		{"a number for a header", deployment("extra_headers: {X-A: 7}"), "model_list[0].litellm_params.extra_headers.X-A: is not a text"},
		{"a user in an address", deployment("api_base: 'https://u:secret@example.com'"), "api_base: is not an http or https address"},
		{"another scheme", deployment("api_base: 'file:///etc/passwd'"), "api_base: is not an http or https address"},
		{"no address", "model_list: [{model_name: m, litellm_params: {model: hosted_vllm/m}}]", "api_base: is missing"},
		{"an address in a variable", deployment("api_base: os.environ/BASE"), "base_url cannot come from a variable"},
		{"fallbacks that are not lists", deployment("") + "router_settings: {fallbacks: [{m: 7}]}", "router_settings.fallbacks[0].m: is not a list of names"},
		{"fallbacks that are not names", deployment("") + "router_settings: {fallbacks: [{m: [7]}]}", "router_settings.fallbacks[0].m[0]: is not a name"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var out bytes.Buffer
			err := run(nil, strings.NewReader(row.file), &out)
			require.ErrorContains(t, err, row.want)
			assert.Empty(t, out.String())
			assert.NotContains(t, err.Error(), "secret")
		})
	}
	// All faults of a file come at once.
	err := run(nil, strings.NewReader(deployment("rpm: x, tpm: y")), io.Discard)
	require.ErrorContains(t, err, "rpm")
	require.ErrorContains(t, err, "tpm")
	require.ErrorContains(t, run([]string{"a", "b"}, nil, io.Discard), "takes one file")
	require.ErrorIs(t, run([]string{"testdata/nothing.yaml"}, nil, io.Discard), os.ErrNotExist)

	// A result that New refuses is printed for its reader to mend.
	var out bytes.Buffer
	err = run(nil, strings.NewReader(deployment("timeout: 1e12")), &out)
	require.ErrorContains(t, err, "the result needs your hand")
	assert.Contains(t, out.String(), "providers:")
}
