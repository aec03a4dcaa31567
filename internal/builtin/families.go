package builtin

import (
	_ "embed"
	"strings"
)

//go:embed families.tsv
var familiesTSV string

// family is a row of families.tsv.
type family struct {
	prefix string
	// word wants the prefix to be the whole name, or to stand before a hyphen or a digit.
	word     bool
	provider string
}

// families is read from the table at the start, and never changed.
var families = parseFamilies(familiesTSV)

// parseFamilies reads the table. Its order does not matter.
func parseFamilies(table string) (out []family) {
	for _, row := range rows(table) {
		out = append(out, family{prefix: row["prefix"], word: row["rule"] == "word", provider: row["provider"]})
	}
	return out
}

// Family returns the built-in provider of a model's family: openai for "gpt-9". It is false for names without a family, and
// for families of open models, served by many hosts. Letter case does not count. The longest fitting row decides:
// "gpt-oss-120b" is an exception from "gpt-".
//
// Names with a colon are tags of Ollama ("deepseek-r1:8b") and have no family, except for fine-tuned models.
func Family(name string) (provider string, ok bool) {
	name = strings.ToLower(name)
	longest := 0
	for i := range families {
		if f := &families[i]; len(f.prefix) > longest && f.has(name) {
			longest, provider = len(f.prefix), f.provider
		}
	}
	return provider, provider != ""
}

// has reports whether a name in lower case belongs to the family. A prefix that ends in a hyphen or slash needs more behind it.
func (f *family) has(name string) bool {
	rest, ok := strings.CutPrefix(name, f.prefix)
	if !ok || strings.Contains(rest, ":") && !strings.Contains(f.prefix, ":") {
		return false
	}
	if f.word {
		return rest == "" || rest[0] == '-' || rest[0] >= '0' && rest[0] <= '9'
	}
	return rest != "" || !strings.HasSuffix(f.prefix, "-") && !strings.HasSuffix(f.prefix, "/")
}
