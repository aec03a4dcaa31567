package expr

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func referenceRows(language string) (rows []Row) {
	for _, s := range Reference() {
		if s.Language == language {
			rows = append(rows, s.Rows...)
		}
	}
	return rows
}

// TestReferenceIsComplete compares the reference with the frozen vocabulary, name
// by name and type by type.
func TestReferenceIsComplete(t *testing.T) {
	vocabulary := referenceVocabulary(t)
	models := referenceRows("strategy")
	for _, language := range []string{"strategy", "key strategy", "template", "identity"} {
		own := referenceRows(language)
		names := vocabulary[language]
		require.NotEmpty(t, names, language)
		documented := map[string]bool{}
		for _, row := range own {
			for _, name := range rowNames(t, row, slices.Concat(names, vocabulary["key strategy"])) {
				if !strings.HasPrefix(row.Signature, "models/keys.") {
					assert.Contains(t, names, name, "%s: %s is not in the vocabulary of a %s", row.Signature, name, language)
				}
			}
		}
		for _, row := range slices.Concat(models, own) {
			// The other languages have most of a strategy's.
			for _, name := range rowNames(t, row, slices.Concat(vocabulary["strategy"], names)) {
				documented[name] = true
			}
			root, _, _ := strings.Cut(row.Signature, ".")
			documented["variable "+root] = true
		}
		for _, name := range names {
			if variable, _, ok := strings.Cut(name, ":"); ok && strings.HasPrefix(name, "variable ") {
				name = variable
			}
			assert.True(t, documented[name], "the reference lacks, for a %s: %s", language, name)
		}
	}
	seen := map[string]bool{}
	for _, section := range Reference() {
		for _, row := range section.Rows {
			assert.NotEmpty(t, row.Doc, row.Signature)
			assert.NotEmpty(t, row.Example, row.Signature)
			assert.False(t, seen[row.Signature], "%s is there twice", row.Signature)
			seen[row.Signature] = true
		}
	}
}

// referenceVocabulary is the frozen list of all names, by language.
func referenceVocabulary(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("testdata/vocabulary.txt")
	require.NoError(t, err)
	names, language := map[string][]string{}, ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if heading, ok := strings.CutPrefix(line, "# "); ok {
			language = heading
		} else if line != "" {
			names[language] = append(names[language], line)
		}
	}
	return names
}

// rowNames lists the names that a row stands for, in the words of the vocabulary: a/b in a
// signature is two of them, [, x] one with x and one without.
func rowNames(t *testing.T, row Row, vocabulary []string) (names []string) {
	t.Helper()
	head, params, isFunction := strings.Cut(row.Signature, "(")
	if of, ok := strings.CutPrefix(row.Signature, "value in "); ok {
		for _, typ := range strings.Split(of, "/") {
			names = append(names, "function in(any value, "+typ+"): "+row.Type)
		}
		return names
	}
	receiver, last := "", head
	if i := strings.LastIndexByte(head, '.'); i >= 0 {
		receiver, last = head[:i], head[i+1:]
	}
	results := strings.Split(row.Type, "/")
	result := func(i int) string {
		if len(results) == 1 {
			return referenceType(results[0]) // of all
		}
		require.Less(t, i, len(results), row.Signature)
		return referenceType(results[i])
	}
	if !isFunction {
		for i, field := range strings.Split(last, "/") {
			names = append(names, "field "+referenceStruct(t, receiver, vocabulary)+"."+field+": "+result(i))
		}
		return names
	}
	variants := referenceParams(t, strings.TrimSuffix(params, ")"))
	for _, name := range strings.Split(last, "/") {
		for i, r := range strings.Split(receiver, "/") {
			for _, params := range variants {
				macro := "macro " + name + "/" + string(rune('0'+len(params)))
				untyped := !strings.Contains(strings.Join(params, ""), "?")
				switch text := strings.ReplaceAll(strings.Join(params, ", "), "?", ""); {
				case untyped && slices.Contains(vocabulary, macro):
					names = append(names, macro)
				case r == "" || head == "strings.quote":
					names = append(names, "function "+head[:len(head)-len(last)]+name+"("+text+"): "+result(i))
				default:
					names = append(names, "function ("+referenceReceiver(r)+")."+name+"("+text+"): "+result(i))
				}
			}
		}
	}
	return names
}

// referenceParams expands a list of parameters into the overloads that it stands
// for. A type is marked by "?", as a macro lacks one.
func referenceParams(t *testing.T, params string) [][]string {
	t.Helper()
	if before, rest, ok := strings.Cut(params, "["); ok {
		optional, after, ok := strings.Cut(rest, "]")
		require.True(t, ok, params)
		return append(referenceParams(t, before+after), referenceParams(t, before+optional+after)...)
	}
	variants := [][]string{{}}
	if params == "" {
		return variants
	}
	for _, param := range strings.Split(params, ", ") {
		_, typ, typed := strings.Cut(param, " ")
		var more [][]string
		for _, one := range strings.Split(typ, "/") {
			types := []string{one}
			switch one {
			case "strings":
				types = []string{"string", "list of strings"}
			case "number":
				types = []string{"int", "double"}
			}
			for _, typ := range types {
				if typed {
					typ = "?" + referenceType(typ)
				}
				for _, v := range variants {
					more = append(more, append(slices.Clone(v), typ))
				}
			}
		}
		variants = more
	}
	return variants
}

// referenceType is the vocabulary's word for a type of the reference.
func referenceType(typ string) string {
	switch typ {
	case "timestamp":
		return "google.protobuf.Timestamp"
	case "duration":
		return "google.protobuf.Duration"
	case "any":
		return "any value"
	}
	return typ
}

// referenceReceiver is the vocabulary's word for what a function is called on.
func referenceReceiver(word string) string {
	switch word {
	case "models", "providers", "authors", "keys", "strings":
		return "list of " + word
	case "m":
		return "model"
	case "p":
		return "provider"
	}
	return referenceType(word)
}

// referenceStruct walks a path, such as m.metrics.endpoint, to the type that it
// ends at.
func referenceStruct(t *testing.T, path string, vocabulary []string) string {
	t.Helper()
	words := strings.Split(path, ".")
	at := map[string]string{
		"ai": "ai", "req": "request", "conn": "connection", "m": "model", "p": "provider", "a": "author", "k": "key",
	}[words[0]]
	for _, word := range words[1:] {
		word, _, _ = strings.Cut(word, "[")
		i := slices.IndexFunc(vocabulary, func(name string) bool {
			return strings.HasPrefix(name, "field "+at+"."+word+": ")
		})
		require.NotEqual(t, -1, i, "%s: %s has no %s", path, at, word)
		_, typ, _ := strings.Cut(vocabulary[i], ": ")
		switch typ {
		case "list of datacenters":
			typ = "datacenter"
		case "map":
			typ = "key metrics" // of the maps that are walked on into, all are of these
		}
		at = strings.ReplaceAll(typ, " ", "_")
	}
	return at
}
