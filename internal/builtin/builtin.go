// Package builtin holds facts as data files: the catalog of providers and models that the gateway knows without
// configuration, and the families of model names.
//
// models.tsv and providers.tsv are edited by hand, and catalog.json is made of them: adding a model is one line and
// `go generate ./internal/builtin`. What belongs in them:
//
//   - Facts that the provider publishes, each row with its source. A price or a limit that is not known is left out; 0
//     stands only where nothing is charged.
//   - Models that an ordinary key can call today. One with a shutdown date leaves the catalog on that day: a name that no
//     provider answers to is better refused than sent.
//   - As aliases, names that people send for the very same model: the dated snapshot of an undated id, a name that the
//     provider itself redirects, and a plain name ("gpt-oss-120b") where a host adds a path to it, so that one name reaches
//     the model at every host.
//   - No author where the author is the provider.
//
// Openrouter and hyperbolic list no models: theirs are reached by prefix.
package builtin

import (
	_ "embed"
	"strings"
)

//go:generate go run ./gen

//go:embed catalog.json
var catalog string

//go:embed providers.tsv
var providersTSV string

// Catalog returns the catalog as JSON, in the words of the configuration. The caller owns the bytes.
func Catalog() []byte { return []byte(catalog) }

var unasked = parseUnasked(providersTSV)

func parseUnasked(table string) map[string]bool {
	out := map[string]bool{}
	for _, row := range rows(table) {
		if row["stream_usage"] == "unasked" {
			out[row["id"]] = true
		}
	}
	return out
}

// StreamUsageUnasked reports whether a built-in provider sends usage in chat streams without stream_options asking for it.
// False means that it does not, or that it is not known. The id is the catalog's own, not an alias.
func StreamUsageUnasked(providerID string) bool { return unasked[strings.ToLower(providerID)] }

// rows yields the cells of each row of a table, by the names of the columns.
func rows(table string) (out []map[string]string) {
	var names []string
	for line := range strings.Lines(table) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		cells := strings.Split(line, "\t")
		if names == nil {
			names = cells
			continue
		}
		row := map[string]string{}
		for i, name := range names {
			row[name] = cells[i]
		}
		out = append(out, row)
	}
	return out
}
