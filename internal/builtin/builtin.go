// Package builtin holds facts as data files: the catalog of built-in providers and models, and the families of model names.
//
// models.tsv and providers.tsv are edited by hand. To add a model, add one line and run `go generate ./internal/builtin`,
// which makes catalog.json. The rules for the tables:
//
//   - Facts are published by the provider, and each row names its source. An unknown price or limit stays empty; 0 means
//     free of charge.
//   - An ordinary key can call the model today. A model leaves the catalog after its shutdown date: a dead name is better
//     refused than sent.
//   - Aliases name the very same model: the dated snapshot of an undated id, a redirect of the provider, or the plain name
//     of a model with a host's path ("gpt-oss-120b"). One plain name reaches the model at every host.
//   - The author stays empty if it is the provider.
//
// Openrouter and hyperbolic list no models: their models are reached by prefix.
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

// usageSenders holds the ids of the providers that send usage in every stream. It is
// never changed.
var usageSenders = parseUsageSenders(providersTSV)

// parseUsageSenders reads the column stream_usage of the table.
func parseUsageSenders(table string) map[string]bool {
	out := map[string]bool{}
	for _, row := range rows(table) {
		if row["stream_usage"] == "unasked" {
			out[row["id"]] = true
		}
	}
	return out
}

// AlwaysSendsUsage reports whether a built-in provider sends usage in chat streams without being asked by stream_options.
// False means no, or unknown. The id is the catalog's own, not an alias.
func AlwaysSendsUsage(providerID string) bool { return usageSenders[strings.ToLower(providerID)] }

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
