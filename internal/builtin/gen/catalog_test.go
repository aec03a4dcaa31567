package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func read(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile("../" + name)
	require.NoError(t, err)
	return string(raw)
}

func TestCatalogIsFresh(t *testing.T) {
	got, err := generate(read(t, "models.tsv"), read(t, "providers.tsv"))
	require.NoError(t, err)
	assert.Equal(t, read(t, "catalog.json"), string(got), "run go generate ./internal/builtin")
}

// table makes a table of rows from their cells by name, over those of a good row.
func table(columns []string, base map[string]string, changed ...map[string]string) string {
	var b strings.Builder
	b.WriteString("# as of: 2026-11-27\n" + strings.Join(columns, "\t") + "\n")
	for _, c := range changed {
		var cells []string
		for _, name := range columns {
			cell, ok := c[name]
			if !ok {
				cell = base[name]
			}
			cells = append(cells, cell)
		}
		b.WriteString(strings.Join(cells, "\t") + "\n")
	}
	return b.String()
}

type cells = map[string]string

var (
	goodModel = cells{
		"provider": "p", "id": "m", "display_name": "M", "input_modalities": "text", "output_modalities": "text", "input": "1", "output": "2", "source": "s",
	}
	goodProvider = cells{"id": "p", "base_url": "https://p.example/v1", "display_name": "P", "website": "https://p.example", "source": "s"}
)

func TestGenerate(t *testing.T) {
	for name, c := range map[string]struct {
		models []cells
		want   string // the models of the only provider
	}{
		"a bare row": {[]cells{{"input": "", "output": ""}}, `[{"id":"m","display_name":"M","input_modalities":["text"],"output_modalities":["text"]}]`},
		"everything": {
			[]cells{{
				"aliases": "a,b", "author": "x", "context_window": "10", "max_output_tokens": "5", "features": "vision", "input": "0.3", "cache_read": "0", "cache_write": "0.4",
				"cache_write_1h": "0.6", "tiers": "100 0.6 4 - 0.8; 200 1 5 0.1 -", "batch_discount": "0.5", "shutdown_date": "2026-11-27",
			}},
			`[{"id":"m","id_aliases":["a","b"],"author_id":"x","display_name":"M","input_modalities":["text"],"output_modalities":["text"],"max_context_window":10,
				"max_output_tokens":5,"supported_features":["vision"],"shutdown_date":"2026-11-27","pricing":{"input":0.3,"output":2,"input_cache_read":0,"input_cache_write":0.4,
				"input_cache_write_1h":0.6,"input_batch":0.15,"output_batch":1,"tiers":[{"above_input_tokens":100,"input":0.6,"output":4,"input_cache_write":0.8},
				{"above_input_tokens":200,"input":1,"output":5,"input_cache_read":0.1}]}}]`,
		},
		"one that is gone, and its successor": {
			[]cells{{"shutdown_date": "2026-11-26", "aliases": "a"}, {"id": "n", "aliases": "m", "input": "", "output": ""}},
			`[{"id":"n","id_aliases":["m"],"display_name":"M","input_modalities":["text"],"output_modalities":["text"]}]`,
		},
		"text before pictures": {
			[]cells{
				{"id": "draws", "output_modalities": "text,image", "input": "", "output": ""}, {"id": "hears", "input_modalities": "audio", "input": "", "output": ""},
				{"id": "embeds", "output_modalities": "embedding", "input": "", "output": ""}, {"id": "writes", "input": "", "output": ""},
			},
			`[{"id":"writes","display_name":"M","input_modalities":["text"],"output_modalities":["text"]},
			{"id":"embeds","display_name":"M","input_modalities":["text"],"output_modalities":["embedding"]},
			{"id":"hears","display_name":"M","input_modalities":["audio"],"output_modalities":["text"]},
			{"id":"draws","display_name":"M","input_modalities":["text"],"output_modalities":["text","image"]}]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := generate(table(modelColumns, goodModel, c.models...), table(providerColumns, goodProvider, cells{}))
			require.NoError(t, err)
			var providers []struct {
				Models json.RawMessage `json:"models"`
			}
			require.NoError(t, json.Unmarshal(got, &providers))
			assert.JSONEq(t, c.want, string(providers[0].Models))
		})
	}
}

func TestGenerateRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		models, providers []cells
		want              string
	}{
		"no source":               {[]cells{{"source": ""}}, nil, "line 3: m has no source"},
		"a provider's too":        {nil, []cells{{"source": ""}}, "line 3: p has no source"},
		"another provider":        {[]cells{{"provider": "q"}}, nil, `unknown provider "q"`},
		"a name twice":            {[]cells{{}, {"id": "n", "aliases": "M"}}, nil, `line 4: "M" is already a name in line 3`},
		"an alias twice":          {[]cells{{"aliases": "a,a"}}, nil, `"a" is already a name in line 3`},
		"a provider twice":        {nil, []cells{{}, {}}, `provider "p" is defined twice`},
		"an input price alone":    {[]cells{{"output": ""}}, nil, "needs input and output"},
		"a cache price alone":     {[]cells{{"input": "", "output": "", "cache_read": "1"}}, nil, "needs input and output"},
		"a negative price":        {[]cells{{"input": "-1"}}, nil, `"-1" is not a price`},
		"no number":               {[]cells{{"output": "cheap"}}, nil, `"cheap" is not a price`},
		"tiers that do not climb": {[]cells{{"tiers": "200 1 2 - -;200 2 3 - -"}}, nil, `"200" is not a number of tokens above the tier before`},
		"a short tier":            {[]cells{{"tiers": "200 1 2"}}, nil, "is not \"above input output"},
		"a tier without output":   {[]cells{{"tiers": "200 1 - - -"}}, nil, "has no input or no output price"},
		"a discount over 1":       {[]cells{{"batch_discount": "50"}}, nil, "batch_discount"},
		"a bad date":              {[]cells{{"shutdown_date": "soon"}}, nil, `"soon" is not a date`},
		"a bad window":            {[]cells{{"context_window": "1M"}}, nil, `"1M" is not a number of tokens`},
		"an unknown modality":     {[]cells{{"output_modalities": "smell"}}, nil, `"smell" is not one of`},
		"an unknown feature":      {[]cells{{"features": "tools"}}, nil, `"tools" is not one of`},
		"the provider as author":  {[]cells{{"author": "p"}}, nil, "leave it empty"},
		"no name":                 {[]cells{{"display_name": ""}}, nil, "display_name is missing"},
		"outer spaces":            {[]cells{{"id": "m "}}, nil, "id has outer spaces"},
		"no https":                {nil, []cells{{"base_url": "http://p.example"}}, "is not an https:// URL"},
		"an unknown stream_usage": {nil, []cells{{"stream_usage": "always"}}, "want nothing or unasked"},
		"every mistake at once":   {[]cells{{"input": "x"}, {"id": "n", "source": ""}}, nil, "line 4: n has no source"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.models == nil {
				c.models = []cells{{}}
			}
			if c.providers == nil {
				c.providers = []cells{{}}
			}
			_, err := generate(table(modelColumns, goodModel, c.models...), table(providerColumns, goodProvider, c.providers...))
			require.ErrorContains(t, err, c.want)
		})
	}
	_, err := generate("id\nm\n", table(providerColumns, goodProvider, cells{}))
	require.ErrorContains(t, err, "the columns are")
	require.ErrorContains(t, err, "as of")
	_, err = generate(table(modelColumns, goodModel)+"m\n", table(providerColumns, goodProvider, cells{}))
	require.ErrorContains(t, err, "1 cells, want 20")
}
