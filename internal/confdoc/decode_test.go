package confdoc_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/confdoc"
)

type text string

type span string

type leaf struct {
	ID    string          `json:"id"`
	Size  int64           `json:"size,omitempty"`
	Small int8            `json:"small,omitempty"`
	Price *float64        `json:"price,omitempty"`
	On    bool            `json:"on,omitempty"`
	Wait  span            `json:"wait,omitempty"`
	Names []string        `json:"names,omitempty"`
	Texts map[string]text `json:"texts,omitempty"`
	Free  map[string]any  `json:"free,omitempty"`
	Go    func()          `json:"-"`
}

type tree struct {
	Leaves []leaf `json:"leaves,omitempty"`
	Keys   []leaf `json:"keys,omitempty"`
	Limit  int    `json:"limit,omitempty"`
}

func parse(t testing.TB, doc string) (tree, []confdoc.Fault) {
	t.Helper()
	d, fault := confdoc.Parse([]byte(doc), confdoc.Options{
		Text: reflect.TypeFor[text](), Duration: reflect.TypeFor[span](),
		Secret: func(field string) bool { return field == "keys" },
		Nearest: func(word string, known []string) string {
			if word == "leafs" && slices.Contains(known, "leaves") {
				return "leaves"
			}
			return ""
		},
	})
	if fault != nil {
		return tree{}, []confdoc.Fault{*fault}
	}
	var got tree
	d.Root().Decode(&got)
	return got, d.Faults()
}

func TestDecode(t *testing.T) {
	got, faults := parse(t, `
leaves:
  - &one
    id: one
    size: 1_000
    price: 0.5
    on: true
    wait: 3s
    names: [a, 2026-01-02]
    texts: {number: 1.50, octal: 0644, truth: yes, empty: ""}
    free: {int: 7, huge: 18446744073709551615, list: [1, null, {deep: x}]}
  - <<: *one
    id: two
    size: null
limit: 0x10
`)
	require.Empty(t, faults)
	price := 0.5
	one := leaf{
		ID: "one", Size: 1000, Price: &price, On: true, Wait: "3s", Names: []string{"a", "2026-01-02"},
		Texts: map[string]text{"number": "1.50", "octal": "0644", "truth": "yes", "empty": ""},
		Free:  map[string]any{"int": int64(7), "huge": uint64(18446744073709551615), "list": []any{int64(1), nil, map[string]any{"deep": "x"}}},
	}
	two := one
	two.ID, two.Size = "two", 0
	assert.Equal(t, tree{Leaves: []leaf{one, two}, Limit: 16}, got)
}

func TestFaults(t *testing.T) {
	long := strings.Repeat("x", 100)
	tests := map[string]struct{ doc, want string }{
		"unknown, near":      {"leafs: 1", `leafs|1||unknown field; did you mean "leaves"?|leaves`},
		"unknown":            {"a: hunter2", "a|1||unknown field; known here: leaves, keys, limit|"},
		"runtime field":      {"leaves: [{id: a, '-': 1}]", `leaves[0].-|1||unknown field|`},
		"twice":              {"limit: 1\n\nlimit: 2", "limit|3||duplicate key: it is also on line 1|"},
		"string wanted":      {"leaves: [{id: 4.10}]", "leaves[0].id|1|4.10|must be a string, not a number: put it in quotes|"},
		"null in a list":     {"leaves: [null]", `leaves[0]|1||must be a mapping with "id", not null|`},
		"integer wanted":     {"limit: x", "limit|1|x|must be an integer, not a string|"},
		"quoted integer":     {`limit: "5"`, "limit|1|5|must be an integer, not a string: take the quotes off|"},
		"fraction":           {"limit: 1.5", "limit|1|1.5|must be an integer in plain digits, within 64 bits|"},
		"octal":              {"limit: 010", "limit|1|010|starts with a zero, which is octal in YAML 1.1 and decimal in 1.2: drop the zero, or put a string in quotes|"},
		"odd type":           {"leaves: [{id: a, small: 1}]", "leaves[0].small|1|1|cannot be set in a document|"},
		"boolean wanted":     {"leaves: [{id: a, on: yes}]", "leaves[0].on|1|yes|must be true or false, not a string|"},
		"duration, a number": {"leaves: [{id: a, wait: 90}]", `leaves[0].wait|1|90|must be a duration with its unit, such as "90s"|`},
		"list wanted":        {"leaves: {id: a}", "leaves|1||must be a list, not a mapping|"},
		"text, null":         {"leaves: [{id: a, texts: {k: }}]", `leaves[0].texts.k|1||must not be null: an empty value is written ""|`},
		"text, a list":       {"leaves: [{id: a, texts: {k: [x]}}]", "leaves[0].texts.k|1||must be a string, not a list|"},
		"not JSON":           {"leaves: [{id: a, free: {k: .inf}}]", "leaves[0].free.k|1|.inf|must be a finite number|"},
		"key not a string":   {"leaves: [{id: a, free: {1: x}}]", "leaves[0].free|1||a key must be a string, not a number: put it in quotes|"},
		"tag":                {"limit: !x 1", "limit|1||the tag !x is not supported: leave it out, or put a text that starts with ! in quotes|"},
		"odd key":            {"leaves: [{id: a, 'a b': 1}]", `leaves[0]["a b"]|1||unknown field|`},
		"long value":         {"limit: " + long, "limit|1|" + long[:60] + "…|must be an integer, not a string|"},
		"secret by field":    {"keys: [{id: [hunter2]}, {id: 5}, hunter2]", "keys[0].id|1||must be a string, not a list|;keys[1].id|1||must be a string, not a number: put it in quotes|;keys[2]|1||must be a mapping with \"id\", not a string|"},
		"secret by shape":    {"limit: sk-proj-0123456789abcdef", "limit|1||must be an integer, not a string|"},
		"secret as a key":    {"leaves: [{id: a, sk-proj-0123456789abcdef: 1}]", `leaves[0]["…"]|1||unknown field|`},
		"overflow":           {"limit: 9223372036854775808", "limit|1|9223372036854775808|is too large|"},
		"several":            {"limit: x\nleaves:\n  - id: [1]\n  - id: b\n    on: 3\n", "limit|1|x|must be an integer, not a string|;leaves[0].id|3||must be a string, not a list|;leaves[1].on|5|3|must be true or false, not a number|"},
		"alias, where used":  {"leaves: &l [x]\nkeys: *l\n", "leaves[0]|1|x|must be a mapping with \"id\", not a string|;keys[0]|1||must be a mapping with \"id\", not a string|"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, faults := parse(t, tt.doc)
			var got []string
			for _, f := range faults {
				reason, _, _ := strings.Cut(f.Reason, "; known here: id,")
				got = append(got, fmt.Sprintf("%s|%d|%s|%s|%s", f.Path, f.Line, f.Value, reason, f.Meant))
			}
			assert.Equal(t, tt.want, strings.Join(got, ";"))
			assert.NotContains(t, fmt.Sprint(faults), "hunter2")
		})
	}
}

func TestFaultsAreBounded(t *testing.T) {
	_, faults := parse(t, "leaves: ["+strings.Repeat("x, ", 1000)+"]")
	require.Len(t, faults, confdoc.MaxFaults+1)
	assert.Equal(t, "and more: only the first 100 are shown", faults[confdoc.MaxFaults].Reason)
}

func TestYAML(t *testing.T) {
	got, ok := confdoc.YAML([]byte(`{"b": 1, "a": ["x", null, {"c": "yes"}]}`))
	require.True(t, ok)
	assert.Equal(t, "b: 1\na:\n  - x\n  - null\n  - c: yes\n", got)
	_, ok = confdoc.YAML([]byte(`{"b"`))
	assert.False(t, ok)
}

func FuzzParse(f *testing.F) {
	for _, doc := range []string{
		"leaves:\n  - id: a\n   size: 1\n", "limit: x", "{\"limit\": 1}", "a: &a [*a]", "? [a]\n: b", "<<: [{limit: 1}]", "--- a\n--- b", "leaves: [{id: a, free: {k: 1e999}}]",
	} {
		f.Add(doc)
	}
	f.Fuzz(func(t *testing.T, doc string) {
		began := time.Now()
		_, faults := parse(t, doc)
		require.Less(t, time.Since(began), 10*time.Second, "%q", doc)
		lines := 1 + strings.Count(doc, "\n") + strings.Count(doc, "\r") + strings.Count(doc, "\u0085") + strings.Count(doc, "\u2028") + strings.Count(doc, "\u2029")
		for _, fault := range faults {
			require.NotEmpty(t, fault.Reason)
			require.LessOrEqual(t, fault.Line, lines+1, "%q: %v", doc, fault)
		}
	})
}
