package redact

import (
	"regexp"
	"strings"
)

// Foreign recognises a placeholder, or a key in the notation of another tool. Nothing
// expands such a text: it would travel as the key. Foreign returns the name of the
// notation, and the remedy. Of the text itself, they contain only the name of a
// variable. Both are empty for a plausible key.
//
// New asks it for each literal key of a config. A request is never looked at.
func Foreign(literal string) (looks, remedy string) {
	literal = strings.TrimSpace(literal)
	for _, n := range notations {
		m := n.pattern.FindStringSubmatch(literal)
		if m == nil {
			continue
		}
		if n.remedy != "" {
			return n.looks, n.remedy
		}
		return n.looks, fromVariable(m[1])
	}
	return "", ""
}

// notation is one way to write a key that is not a key. If it has no remedy, the first
// group of the pattern is the name of an environment variable.
type notation struct {
	looks, remedy string
	pattern       *regexp.Regexp
}

const (
	useSecret = "write ${secrets.get('my-provider', 'api-key')}, which reads MY_PROVIDER_API_KEY"
	useFile   = "mount the file as DIR/my-provider/api-key, and write ${secrets.get('my-provider', 'api-key')} with DirSecrets"
	realKey   = "put the key itself here, or better ${secrets.get('my-provider', 'api-key')}, which reads MY_PROVIDER_API_KEY"
)

// notations are tried in order.
// The narrow patterns stand before the broad ones: "$(cat key)" is a command, and
// "$(OPENAI_API_KEY)" a variable.
var notations = []notation{
	{"LiteLLM's notation for an environment variable", "", regexp.MustCompile(`^os\.environ/(\w+)$`)},
	{"Python's notation for an environment variable", "", regexp.MustCompile(`^os\.(?:environ\[|environ\.get\(|getenv\()["'](\w+)["'].*[\])]$`)},
	{"JavaScript's notation for an environment variable", "", regexp.MustCompile(`^(?:process|import\.meta)\.env\.(\w+)$`)},
	{"a program's notation for an environment variable", "", regexp.MustCompile(`^(?:(?:os|System|Deno\.env)\.(?i:getenv|get)\(|ENV\[)["'](\w+)["'][\])]$`)},
	{"Caddy's notation for an environment variable", "", regexp.MustCompile(`^\{(?:\$|env\.)(\w+)\}$`)},
	{"Symfony's notation for an environment variable", "", regexp.MustCompile(`^%env\((\w+)\)%$`)},
	{"PowerShell's notation for an environment variable", "", regexp.MustCompile(`^\$(?i:env):(\w+)$`)},
	{"a YAML tag for an environment variable", "", regexp.MustCompile(`^!(?i:env)\s+(\w+)$`)},
	{"another tool's notation for an environment variable", "", regexp.MustCompile(`^(?i:env|environment)(?:[.:/]|://)(\w+)$`)},
	{"a template's notation for an environment variable", "", regexp.MustCompile(`^\{\{-?\s*(?:[.$]?(?i:env)(?:\.|\s+|\(\s*)["']?)(\w+)["']?\s*\)?\s*-?\}\}$`)},
	{"a shell's notation for an environment variable", "", regexp.MustCompile(`^\$\(?([A-Z_][A-Z0-9_]*)\)?$`)},
	{"Windows' notation for an environment variable", "", regexp.MustCompile(`^%([A-Za-z_][A-Za-z0-9_]*)%$`)},
	{"another tool's template", useSecret, regexp.MustCompile(`^\{\{.*\}\}$`)},
	{"a command of a shell", useSecret, regexp.MustCompile("^(?:\\$\\(.*\\)|`.*`)$")},
	{"the URL of a file", useFile, regexp.MustCompile(`^(?i:file:)|^\{file\..*\}$`)},
	{"the path of a file", useFile, regexp.MustCompile(`^@?(?:~|\.{1,2}|/(?:run|etc|var|home|root|secrets|mnt|opt|usr|tmp))/`)},
	{"an encrypted value", "decrypt it, or write ${secrets.get('vault', 'name')}", regexp.MustCompile(`^ENC\[.*\]$`)},
	{"a text in quotes, which belong to the text", "leave the quotes out", regexp.MustCompile(`^"[^"]+"$|^'[^']+'$`)},
	{"a reference to another secret store", "write ${secrets.get('vault', 'name')}, and give a SecretResolver that asks that store", regexp.MustCompile(`^(?i:op|secret|vault|aws-sm|awssm|gcp-sm|azkv|akv|akeyless|doppler|infisical|sm|ssm|secretref|keyvault)(?:://|:[^/]).*/.*|^(?i:hvs\.|arn:aws:(?:secretsmanager|ssm):|projects/[^/]+/secrets/).*[:/]`)},
	{"a header with its scheme", "leave the scheme out: Bearer is added, and another one is given by auth.scheme", regexp.MustCompile(`^(?i:bearer|basic|token)\s`)},
	{"a header with its name", "give the value only: the header is named by auth.header", regexp.MustCompile(`^(?i:authorization|x-api-key|api-key)\s*[:=]`)},
	{"the name of a variable with its value", "give the value only", regexp.MustCompile(`^[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+=`)},
	{"a placeholder", realKey, regexp.MustCompile(`^<.*>$|^\[.*\]$`)},
	{"a placeholder", realKey, regexp.MustCompile(`(?:\.\.\.|…)$|^(?:\.\.\.|…)|^[A-Za-z-]{2,12}-(?:\*{3,}|\.{3})|^\*+$`)},
	{"a placeholder", realKey, regexp.MustCompile(`(?i)^(?:[a-z]{2,4}-)?(?:proj-)?x{3,}(?:-x+)*$`)},
	{"a placeholder", realKey, regexp.MustCompile(`(?i)^(?:[a-z]{2,4}[-_])?(?:your|my|insert|enter|add|paste|put|replace)[-_ ].*(?:key|token|secret|here|me)\b.*$`)},
	{"a placeholder", realKey, regexp.MustCompile(`(?i)^(?:change[-_]?me|replace[-_]?me|todo|fixme|api[-_]?key|secret|token|your[-_]?key)$`)},
	{"the name of an environment variable", "", regexp.MustCompile(`^([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*_(?:KEY|TOKEN|SECRET|PAT|PASSWORD))$`)},
}

// fromVariable is the remedy for a variable: the secret of the same name.
//
// OPENAI_API_KEY is the secret api-key of openai. Another form of name gets the
// general remedy.
func fromVariable(name string) string {
	vault, rest, ok := strings.Cut(strings.Trim(name, "_"), "_")
	if !ok || rest == "" || strings.ToUpper(name) != name || strings.HasPrefix(name, "_") {
		return useSecret
	}
	secret := func(s string) string { return strings.ToLower(strings.ReplaceAll(s, "_", "-")) }
	return "write ${secrets.get('" + secret(vault) + "', '" + secret(rest) + "')}, which reads " + name
}

// IsShellVariable reports whether a key is $NAME. Nothing expands it, so it would be sent as
// it is.
func IsShellVariable(key string) bool {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ_"
	name, ok := strings.CutPrefix(key, "$")
	return ok && name != "" && strings.IndexByte(letters, name[0]) >= 0 && strings.Trim(name, letters+"0123456789") == ""
}
