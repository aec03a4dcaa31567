// Package builtin holds the catalog of providers and models that the gateway
// knows without configuration, as one data file.
//
// catalog.json is a JSON array of providers in the words of the configuration,
// with one model a line, so that a change of one model is a change of one line.
// It is edited by hand. What belongs in it:
//
//   - Facts that the provider publishes. A price or a limit that is not known is
//     left out; 0 stands only where nothing is charged.
//   - Models that an ordinary key can call today. A retired model is removed:
//     a name that no provider answers to is better refused than sent.
//   - As aliases, names that people send for the very same model: the dated
//     snapshot that an undated id stands for, a name that the provider itself
//     redirects, and a plain name ("gpt-oss-120b") where a host adds a path to
//     it, so that one name reaches the model at every host.
//   - No author_id where the author is the provider.
//
// Openrouter and hyperbolic list no models: theirs are reached by prefix.
package builtin

import _ "embed"

//go:embed catalog.json
var catalog string

// Catalog returns the catalog as JSON. The caller owns the bytes.
func Catalog() []byte { return []byte(catalog) }
