package redact_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/aigateway-go/aigateway/internal/redact"
)

func TestForeign(t *testing.T) {
	const reads = "write ${secrets.get('openai', 'api-key')}, which reads OPENAI_API_KEY"
	for literal, want := range map[string]struct{ looks, remedy string }{
		"os.environ/OPENAI_API_KEY":                   {"LiteLLM's", reads},
		`os.environ["OPENAI_API_KEY"]`:                {"Python's", reads},
		`os.getenv('OPENAI_API_KEY', '')`:             {"Python's", reads},
		"process.env.OPENAI_API_KEY":                  {"JavaScript's", reads},
		"env.OPENAI_API_KEY":                          {"environment variable", reads},
		"env:OPENAI_API_KEY":                          {"environment variable", reads},
		"env://OPENAI_API_KEY":                        {"environment variable", reads},
		"ENV/OPENAI_API_KEY":                          {"environment variable", reads},
		"{{env.OPENAI_API_KEY}}":                      {"a template's", reads},
		`{{ env "OPENAI_API_KEY" }}`:                  {"a template's", reads},
		"{{OPENAI_API_KEY}}":                          {"another tool's template", "secrets.get"},
		"{{ .Values.key }}":                           {"another tool's template", "secrets.get"},
		"$OPENAI_API_KEY":                             {"a shell's", reads},
		"$(OPENAI_API_KEY)":                           {"a shell's", reads},
		"$(cat key)":                                  {"a command", "secrets.get"},
		"%OPENAI_API_KEY%":                            {"Windows'", reads},
		"OPENAI_API_KEY":                              {"name of an environment variable", reads},
		"OPENAI_API_KEY=sk-0123456789abcdef":          {"variable with its value", "value only"},
		"env.KEY":                                     {"environment variable", "MY_PROVIDER_API_KEY"},
		"env.openai_key":                              {"environment variable", "MY_PROVIDER_API_KEY"},
		"file:///run/secrets/key":                     {"a file", "DirSecrets"},
		"file:key":                                    {"a file", "DirSecrets"},
		"op://vault/item/field":                       {"secret store", "SecretResolver"},
		"vault:secret/data/openai#key":                {"secret store", "SecretResolver"},
		"arn:aws:secretsmanager:eu-1:1:secret:openai": {"secret store", "SecretResolver"},
		"projects/p/secrets/openai/versions/latest":   {"secret store", "SecretResolver"},
		"Bearer sk-0123456789abcdef":                  {"with its scheme", "leave the scheme out"},
		"bearer ey.0123456789abcdef":                  {"with its scheme", "leave the scheme out"},
		"Authorization: Bearer sk-0123456789abcdef":   {"with its name", "value only"},
		"x-api-key: sk-0123456789abcdef":              {"with its name", "value only"},
		"<your-api-key>":                              {"a placeholder", "the key itself"},
		"[API KEY]":                                   {"a placeholder", "the key itself"},
		"sk-...":                                      {"a placeholder", "the key itself"},
		"sk-proj-...":                                 {"a placeholder", "the key itself"},
		"sk-…":                                        {"a placeholder", "the key itself"},
		"sk-ant-api03-...":                            {"a placeholder", "the key itself"},
		"sk-xxxxxxxxxxxx":                             {"a placeholder", "the key itself"},
		"sk-***":                                      {"a placeholder", "the key itself"},
		"YOUR_API_KEY":                                {"a placeholder", "the key itself"},
		"your-api-key-here":                           {"a placeholder", "the key itself"},
		"sk-your-key":                                 {"a placeholder", "the key itself"},
		"changeme":                                    {"a placeholder", "the key itself"},
		" os.environ/OPENAI_API_KEY ":                 {"LiteLLM's", reads},
		`os.Getenv("OPENAI_API_KEY")`:                 {"a program's", reads},
		`System.getenv("OPENAI_API_KEY")`:             {"a program's", reads},
		`Deno.env.get('OPENAI_API_KEY')`:              {"a program's", reads},
		`ENV["OPENAI_API_KEY"]`:                       {"a program's", reads},
		"import.meta.env.OPENAI_API_KEY":              {"JavaScript's", reads},
		"{env.OPENAI_API_KEY}":                        {"Caddy's", reads},
		"{$OPENAI_API_KEY}":                           {"Caddy's", reads},
		"%env(OPENAI_API_KEY)%":                       {"Symfony's", reads},
		"$Env:OPENAI_API_KEY":                         {"PowerShell's", reads},
		"!env OPENAI_API_KEY":                         {"a YAML tag", reads},
		"{file./run/secrets/key}":                     {"a file", "DirSecrets"},
		"/run/secrets/openai":                         {"a file", "DirSecrets"},
		"@/etc/keys/openai":                           {"a file", "DirSecrets"},
		"./openai.key":                                {"a file", "DirSecrets"},
		"~/.openai":                                   {"a file", "DirSecrets"},
		"secret://openai/key":                         {"secret store", "SecretResolver"},
		"ENC[AES256_GCM,data:0123456789]":             {"an encrypted value", "decrypt"},
		`"sk-0123456789abcdef"`:                       {"in quotes", "leave the quotes out"},
		`'sk-0123456789abcdef'`:                       {"in quotes", "leave the quotes out"},
		"secrets.get('openai', 'api-key')":            {"without ${", "${"},
		"{secrets.get('openai', 'api-key')}":          {"without ${", "${"},
		"sk-0123456789\u2014abcdef":                   {"ASCII", "copy the key anew"},
		"sk-0123456789abcdef\u200b":                   {"ASCII", "copy the key anew"},
		"\u201csk-0123456789abcdef\u201d":             {"ASCII", "copy the key anew"},

		"": {}, "sk-proj-0123456789abcdef2315": {}, "sk-ant-api03-abc_DEF-123": {}, "AIzaSyA0123456789": {}, "gsk_abc123": {},
		"0123456789abcdef0123456789abcdef": {}, "ollama": {}, "none": {}, "dummy": {}, "EMPTY": {}, "lm-studio": {}, "token-abc123": {},
		"a:b": {}, "hf_abcDEF": {}, "xai-abc": {}, "eyJhbGciOi.eyJzdWIi.abc": {}, "environmental": {}, "key/with/slashes": {}, "p@ss$word": {},
		"/8jZk0123456789abcdef==": {}, "+/abc": {}, "@team-key": {}, "ENCrypted": {}, "'": {}, `"`: {},
	} {
		looks, remedy := redact.Foreign(literal)
		if want.looks == "" {
			assert.Empty(t, looks, literal)
			assert.Empty(t, remedy, literal)
			continue
		}
		assert.Contains(t, looks, want.looks, literal)
		assert.Contains(t, remedy, want.remedy, literal)
		assert.NotContains(t, looks+remedy, "0123456789")
	}
}
