// Package schema makes the JSON Schema of the configuration: its shape from the Go
// types, its descriptions from their comments, and its rules from the table in
// rules.go. The result is committed as config.schema.json; a test compares the two.
//
//	go generate .    writes it anew, in the repository's root
//
// # Files
//
// schema.go walks the types, source.go reads their comments and constants, and rules.go
// says what neither tells: required fields, patterns, bounds and examples. A new field
// needs a comment in its struct; a rule for a field that does not exist is an error.
package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// node is a schema. Its fields are in the order of the written schema.
//
// A pointer is nil where the word is absent: a minimum of 0 is a word too.
type node struct {
	Schema      string `json:"$schema,omitempty"`
	Title       string `json:"title,omitempty"`
	Description string `json:"description,omitempty"`
	Ref         string `json:"$ref,omitempty"`
	Type        any    `json:"type,omitempty"` // a word, or several
	Const       any    `json:"const,omitempty"`
	Enum        []any  `json:"enum,omitempty"`
	Default     any    `json:"default,omitempty"`
	Examples    []any  `json:"examples,omitempty"`

	Pattern   string   `json:"pattern,omitempty"`
	MinLength *int     `json:"minLength,omitempty"`
	Minimum   *float64 `json:"minimum,omitempty"`
	Maximum   *float64 `json:"maximum,omitempty"`

	Items    *node `json:"items,omitempty"`
	MinItems *int  `json:"minItems,omitempty"`
	MaxItems *int  `json:"maxItems,omitempty"`

	Properties           members  `json:"properties,omitempty"`
	Required             []string `json:"required,omitempty"`
	PropertyNames        *node    `json:"propertyNames,omitempty"`
	AdditionalProperties any      `json:"additionalProperties,omitempty"` // a bool, or a *node

	AnyOf []*node `json:"anyOf,omitempty"`
	Defs  members `json:"$defs,omitempty"`
}

// members is an object that keeps the order of the Go fields.
type members []member

// member is a named schema.
type member struct {
	name string
	node *node
}

// MarshalJSON writes the members in their order.
func (m members) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, e := range m {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(e.name)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		if err := writeJSON(&b, e.node); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// writeJSON is json.Marshal without its escapes for HTML: people read this.
// The escapes of < and > would stand in patterns and examples.
func writeJSON(b *bytes.Buffer, v any) error {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// Generate returns the schema of the struct type config. Its package has its source
// in dir. An error names the comment or type at fault.
func Generate(config reflect.Type, dir string) ([]byte, error) {
	src, err := parseSource(dir)
	if err != nil {
		return nil, err
	}
	g := &generator{source: src, seen: map[reflect.Type]bool{}, rules: rules()}
	g.define(config)
	if g.err != nil {
		return nil, g.err
	}
	g.defs[0].node.Description = "The settings of a gateway. Without any, the built-in providers are called with each client's own key."
	for place := range g.rules {
		return nil, fmt.Errorf("a rule for %s, which there is not", place)
	}
	root := &node{
		Type:        "object", // and not null, as a definition may be
		Schema:      "https://json-schema.org/draft/2020-12/schema",
		Title:       "aigateway",
		Description: "The configuration of an AI gateway: the settings themselves, or an on_http_request list that holds one action of type ai-gateway with the settings under its config.",
		AnyOf:       []*node{{Ref: ref(config)}, {Ref: "#/$defs/on_http_request"}},
		Defs:        append(g.defs, policy(config)...),
	}
	var compact, out bytes.Buffer
	if err := writeJSON(&compact, root); err != nil {
		return nil, err
	}
	if err := json.Indent(&out, bytes.TrimSpace(compact.Bytes()), "", "  "); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// policy is the other root, around the settings.
//
// Its two forms are a list with the action itself, and one with a rule around it:
//
//	on_http_request: [{type: ai-gateway, config: {…}}]
//	on_http_request: [{name: …, actions: [{type: ai-gateway, config: {…}}]}]
func policy(config reflect.Type) members {
	one := 1
	action := func(more ...member) *node {
		return &node{
			Type: "object",
			Properties: append(members{
				{"type", &node{Description: "The only action that a gateway has.", Const: "ai-gateway"}},
				{"config", &node{Ref: ref(config), Description: "The settings."}},
			}, more...),
			Required:             []string{"type"},
			AdditionalProperties: false,
		}
	}
	name := member{"name", &node{Description: "For people.", Type: []string{"string", "null"}}}
	expressions := member{"expressions", &node{Description: "Must be empty: a gateway serves every request that reaches it.", Type: "null"}}
	return members{
		{"on_http_request", &node{
			Type: "object",
			Properties: members{{"on_http_request", &node{
				Description: "One rule, which holds one action of type ai-gateway.",
				Type:        "array", MinItems: &one, MaxItems: &one,
				Items: &node{AnyOf: []*node{
					action(name, expressions),
					{
						Type: "object",
						Properties: members{name, expressions, {"actions", &node{
							Description: "One action of type ai-gateway.", Type: "array", MinItems: &one, MaxItems: &one, Items: action(expressions),
						}}},
						Required:             []string{"actions"},
						AdditionalProperties: false,
					},
				}},
			}}},
			Required:             []string{"on_http_request"},
			AdditionalProperties: false,
		}},
	}
}

// ref names the definition of a struct type.
// Names are unique, as all structs of a config are of one package.
func ref(t reflect.Type) string { return "#/$defs/" + t.Name() }

// generator walks the types.
//
// The first error stays. A rule is taken out when its field is met, so the rest
// are rules for fields that do not exist.
type generator struct {
	source *source
	rules  map[string]rule // those not yet used
	seen   map[reflect.Type]bool
	defs   members
	err    error
}

// define adds a struct to the definitions, before the structs that it refers to.
//
// A field without a comment, of its own or of its type, is an error: the description is
// all that an editor shows.
func (g *generator) define(t reflect.Type) {
	if g.seen[t] {
		return
	}
	g.seen[t] = true
	// A null means a field that is not given.
	def := &node{Description: g.source.typeDoc(t), Type: []string{"object", "null"}, AdditionalProperties: false}
	g.defs = append(g.defs, member{t.Name(), def})
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		place := t.Name() + "." + name
		n := g.value(f.Type, place)
		n.Description = g.source.fieldDoc(t, f)
		if n.Description == "" && g.err == nil {
			g.err = fmt.Errorf("%s has no comment to describe it", place)
		}
		if r, ok := g.rules[place]; ok {
			delete(g.rules, place)
			r.apply(n)
			if r.required {
				def.Required = append(def.Required, name)
				n.Type = notNull(n.Type)
			}
		}
		def.Properties = append(def.Properties, member{name, n})
	}
}

// notNull is a type without null.
//
// A required field and an item of a list must have a value.
func notNull(t any) any {
	if words, ok := t.([]string); ok && len(words) == 2 && words[1] == "null" {
		return words[0]
	}
	return t
}

// value is the schema of a field's value. A null means a field that is not given.
//
// Words of a string type are its constants, and the empty text stands for the default.
// Lists and maps of structs refer to the definition of the struct.
//
// An unknown type is the generator's error, so that a new kind of field cannot
// go into the schema unseen.
func (g *generator) value(t reflect.Type, place string) *node {
	orNull := func(word string) []string { return []string{word, "null"} }
	switch t.Kind() {
	case reflect.Pointer:
		return g.value(t.Elem(), place)
	case reflect.String:
		n := &node{Type: orNull("string")}
		if t.Name() == "Duration" {
			n.Pattern = durationPattern
		}
		if words := g.source.words[t.Name()]; len(words) > 0 {
			for _, w := range words {
				n.Enum = append(n.Enum, w)
			}
			n.Enum = append(n.Enum, "", nil) // the default
		}
		if t.Name() == "Translate" || t.Name() == "Discover" {
			n.Type = []string{"boolean", "string", "null"}
			n.Enum = append([]any{true, false}, n.Enum...)
		}
		return n
	case reflect.Bool:
		return &node{Type: orNull("boolean")}
	case reflect.Int, reflect.Int64:
		return &node{Type: orNull("integer")}
	case reflect.Float64:
		return &node{Type: orNull("number")}
	case reflect.Struct:
		g.define(t)
		return &node{Ref: ref(t)}
	case reflect.Slice:
		items := g.value(t.Elem(), place)
		items.Type = notNull(items.Type) // there is no default that it could stand for
		items.Enum = slices.DeleteFunc(items.Enum, func(w any) bool { return w == nil || w == "" })
		if items.Ref != "" {
			items.Type = "object"
		}
		return &node{Type: orNull("array"), Items: items}
	case reflect.Map:
		n := &node{Type: orNull("object")}
		switch {
		case t.Elem().Kind() == reflect.Interface:
			n.AdditionalProperties = true
		case t.Elem().Name() == "Template":
			// Headers and parameters are text by nature: a number or boolean
			// means its own text.
			n.AdditionalProperties = &node{AnyOf: []*node{{Type: "string"}, {Type: "number"}, {Type: "boolean"}}}
		default:
			child := g.value(t.Elem(), place)
			child.Type = notNull(child.Type)
			n.AdditionalProperties = child
		}
		return n
	}
	if g.err == nil {
		g.err = fmt.Errorf("%s is of type %s, which has no schema", place, t)
	}
	return &node{}
}

// linkPattern finds the links of a comment. They are noise in a schema.
// Data: "see [Gateway.Check]" loses its brackets.
var linkPattern = regexp.MustCompile(`\[\*?([A-Za-z.]+)\]`)
