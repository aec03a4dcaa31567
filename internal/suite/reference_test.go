package suite_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

// referenceRow is one entry of the reference of the selection language. In the Go
// comments it is
//
//	signature  type: meaning
//	    example  → value
//
// and in the README a row of a table.
type referenceRow struct {
	Signature, Type, Meaning, Example, Value string
}

// TestReferenceIsTheSame holds the comments and the README to the same words.
func TestReferenceIsTheSame(t *testing.T) {
	code := slices.Concat(referenceOf(t, "ModelSelection"), referenceOf(t, "APIKeySelection"), referenceOf(t, "Template"))
	readme := referenceOfREADME(t)
	seen := map[string]bool{}
	for i, row := range code {
		require.Less(t, i, len(readme), "the README lacks %s", row.Signature)
		require.Equal(t, row, readme[i])
		assert.NotEmpty(t, row.Meaning, row.Signature)
		assert.NotEmpty(t, row.Example, row.Signature)
		assert.False(t, seen[row.Signature], "%s is there twice", row.Signature)
		seen[row.Signature] = true
	}
	assert.Len(t, readme, len(code))
}

// TestReferenceIsComplete compares the reference with the frozen vocabulary, name
// by name and type by type: nothing is missing, and nothing is made up.
func TestReferenceIsComplete(t *testing.T) {
	vocabulary := referenceVocabulary(t)
	models := referenceOf(t, "ModelSelection")
	for language, own := range map[string][]referenceRow{
		"strategy": nil, "key strategy": referenceOf(t, "APIKeySelection"), "template": referenceOf(t, "Template"),
	} {
		if language == "strategy" {
			own = models
		}
		names := vocabulary[language]
		require.NotEmpty(t, names, language)
		said := map[string]bool{}
		for _, row := range own {
			for _, name := range row.names(t, names) {
				assert.Contains(t, names, name, "%s: %s is not in the vocabulary of a %s", row.Signature, name, language)
			}
		}
		for _, row := range slices.Concat(models, own) {
			// A key strategy and a template have most names of a strategy.
			for _, name := range row.names(t, slices.Concat(vocabulary["strategy"], names)) {
				said[name] = true
			}
			root, _, _ := strings.Cut(row.Signature, ".")
			said["variable "+root] = true
		}
		for _, name := range names {
			if variable, _, ok := strings.Cut(name, ":"); ok && strings.HasPrefix(name, "variable ") {
				name = variable
			}
			assert.True(t, said[name], "the reference lacks, for a %s: %s", language, name)
		}
	}
}

// TestReferenceExamples evaluates each example, as a whole strategy or as a part
// of one, and compares the value with the reference.
func TestReferenceExamples(t *testing.T) {
	models := regexp.MustCompile(`^[a-z-]+:[^ ,]+(, [a-z-]+:[^ ,]+)*$`)
	for _, row := range referenceOf(t, "ModelSelection") {
		t.Run(row.Signature, func(t *testing.T) {
			strategy := row.Example
			if strings.HasPrefix(row.Signature, "m.") {
				strategy = "ai.models.filter(m, " + strategy + ")"
			}
			chosen := row.Value == "" || models.MatchString(row.Value)
			if !chosen {
				strategy = "(" + strategy + ") == (" + row.Value + ") ? ai.models : []"
			}
			cfg := referenceConfig(t)
			cfg.ModelSelection.Strategy = []string{strategy}
			res := referenceExplain(t, cfg, "auto")
			if row.Value != "" && chosen {
				assert.Equal(t, row.Value, strings.Join(testbed.Tried(res), ", "))
			}
			if row.Value == "" {
				require.Len(t, res.ModelSelection, 1)
				assert.Empty(t, res.ModelSelection[0].Notes)
			}
		})
	}
	for _, row := range referenceOf(t, "APIKeySelection") {
		t.Run(row.Signature, func(t *testing.T) {
			cfg := referenceConfig(t)
			number := map[string]string{}
			for i, key := range referenceExplain(t, cfg, "openai:gpt-4o").ModelsTried[0].APIKeySelection {
				number[key.ID] = "key " + string(rune('1'+i))
			}
			require.Len(t, number, 2)
			cfg.APIKeySelection.Strategy = []string{row.Example}
			var keys []string
			for _, key := range referenceExplain(t, cfg, "openai:gpt-4o").ModelsTried[0].APIKeySelection {
				keys = append(keys, number[key.ID])
			}
			if row.Value == "" {
				assert.Len(t, keys, 2)
				return
			}
			assert.Equal(t, row.Value, strings.Join(keys, ", "))
		})
	}
	for _, row := range referenceOf(t, "Template") {
		t.Run(row.Signature, func(t *testing.T) {
			cfg := referenceConfig(t)
			cfg.Secrets = aigateway.MapSecrets(map[string]map[string]string{"openai": {"api-key": "the-secret"}})
			cfg.Providers[0].APIKeys = []aigateway.APIKey{{Value: aigateway.Template(row.Example)}}
			var sent []string
			cfg.Transport = gatewaytest.TransportFunc(func(r *http.Request) (*http.Response, error) {
				sent = append(sent, r.Header.Get("Authorization"))
				w := httptest.NewRecorder()
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.WriteString(`{"choices":[]}`)
				return w.Result(), nil
			})
			g, err := aigateway.New(cfg)
			require.NoError(t, err)
			w := httptest.NewRecorder()
			g.ServeHTTP(w, referenceRequest("openai:gpt-4o"))
			assert.Equal(t, http.StatusOK, w.Code, w.Body.String())
			assert.Equal(t, []string{"Bearer the-secret"}, sent)
		})
	}
}

func referenceConfig(t *testing.T) aigateway.Config {
	t.Helper()
	cfg, err := aigateway.LoadConfig("../../testdata/selection/reference.yaml")
	require.NoError(t, err)
	return cfg
}

// referenceRequest is the request of the examples on req and conn.
func referenceRequest(model string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "http://ai.example.com/v1/chat/completions", strings.NewReader(`{"model":"`+model+`"}`))
	r.RemoteAddr = "192.0.2.7:49152"
	r.Header.Set("X-Tier", "gold")
	r.Header.Set("X-Request-Id", "req_1")
	return r
}

func referenceExplain(t *testing.T, cfg aigateway.Config, model string) *aigateway.Result {
	t.Helper()
	g, err := aigateway.New(cfg)
	require.NoError(t, err)
	res, err := g.Explain(referenceRequest(model))
	require.NoError(t, err)
	return res
}

// referenceOf reads the reference in the comment of a type.
func referenceOf(t *testing.T, name string) []referenceRow {
	t.Helper()
	var rows []referenceRow
	for _, file := range []string{"../../config_selection.go", "../../secrets_redact.go"} {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		require.NoError(t, err)
		for _, decl := range f.Decls {
			d, ok := decl.(*ast.GenDecl)
			if !ok || d.Tok != token.TYPE || d.Specs[0].(*ast.TypeSpec).Name.Name != name {
				continue
			}
			for line := range strings.Lines(d.Doc.Text()) {
				line, isCode := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "\t")
				if example, ok := strings.CutPrefix(line, "    "); isCode && ok {
					require.NotEmpty(t, rows, line)
					last := &rows[len(rows)-1]
					last.Example, last.Value, _ = strings.Cut(example, "  → ")
				} else if signature, rest, ok := strings.Cut(line, "  "); isCode && ok {
					typ, meaning, _ := strings.Cut(rest, ": ")
					rows = append(rows, referenceRow{Signature: signature, Type: typ, Meaning: meaning})
				}
			}
		}
	}
	require.NotEmpty(t, rows, name)
	return rows
}

// referenceOfREADME reads the reference in the README's tables.
func referenceOfREADME(t *testing.T) (rows []referenceRow) {
	t.Helper()
	text, err := os.ReadFile("../../docs/selection.md")
	require.NoError(t, err)
	_, section, ok := strings.Cut(string(text), "\n<!-- reference:begin -->\n")
	require.True(t, ok)
	section, _, _ = strings.Cut(section, "\n<!-- reference:end -->\n")
	row := regexp.MustCompile("(?m)^\\| `(.+?)` \\| (.+?) \\| (.+?) \\| `(.+?)`(?: → `(.+)`)? \\|$")
	for _, m := range row.FindAllStringSubmatch(section, -1) {
		rows = append(rows, referenceRow{m[1], m[2], m[3], m[4], m[5]})
	}
	return rows
}

// referenceVocabulary is the frozen list of all names, by language.
func referenceVocabulary(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("../expr/testdata/vocabulary.txt")
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

// names lists the names of a row, in the words of the vocabulary. In a signature
// a/b is two of them, and [, x] is one with x and one without.
func (row referenceRow) names(t *testing.T, vocabulary []string) (names []string) {
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

// referenceParams expands a list of parameters into its overloads. "?" stands
// for the type of a macro's parameter.
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

// referenceReceiver is the vocabulary's word for the receiver of a function.
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

// referenceStruct returns the type at the end of a path, such as
// m.metrics.endpoint.
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
