// Package fields compiles what an operator adds to requests: headers, query parameters and
// fields of the body, with templates in their values.
//
// It goes on after a problem, without the field at fault, and tells each problem with its
// path. No problem shows a value: any of them could be a secret.
package fields

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/textproto"
	"slices"
	"strings"

	"github.com/aigateway-go/aigateway/internal/confdoc"
	"github.com/aigateway-go/aigateway/internal/expr"
	"github.com/aigateway-go/aigateway/internal/header"
	"github.com/aigateway-go/aigateway/internal/plain"
	"github.com/aigateway-go/aigateway/internal/redact"
)

// Field is a configured header or query parameter.
type Field struct {
	Name   string // of a header: canonical
	Value  *expr.Template
	Secret bool // a literal value is a credential, by the name or by its text
}

// Body is a configured field of the body: raw JSON if it is constant, otherwise a tree to
// evaluate for each request.
type Body struct {
	Name string
	Raw  []byte // nil unless the value is constant
	Tree any    // of maps and lists; its leaves are templates and raw JSON
}

// SecretPlace is the place of a secret in the config, with the secret's names.
type SecretPlace struct{ Path, Vault, Name string }

// Compiler compiles fields, and collects what all of them use. It is for one goroutine.
type Compiler struct {
	// Problem is told why a field was left out, and Warning of a slip in one that was not.
	// Both must be set.
	Problem, Warning func(path, reason string)

	Uses    expr.Uses     // of all templates so far
	Secrets []SecretPlace // likewise, in the order of the templates
}

// LineRule is the rule of [header.IsValue] in words.
const LineRule = "must not contain line breaks or control characters"

// Text compiles text with ${…}, and checks the literal text between the expressions. It
// returns nil after a problem.
func (c *Compiler) Text(path, text string, valid func(string) bool, rule string) *expr.Template {
	t, faults := expr.CompileText(text)
	if !c.compiled(path, t, faults) {
		return nil
	}
	if slices.ContainsFunc(t.Literals(), func(literal string) bool { return !valid(literal) }) {
		c.Problem(path, rule)
		return nil
	}
	return t
}

// compiled notes the faults of a template, or the secrets of a template without faults.
func (c *Compiler) compiled(path string, t *expr.Template, faults []expr.Problem) bool {
	for _, f := range faults {
		c.Problem(path, f.Error())
	}
	if len(faults) > 0 {
		return false
	}
	c.Uses = c.Uses.Or(t.Uses())
	refs, _ := t.Secrets()
	for _, r := range refs {
		c.Secrets = append(c.Secrets, SecretPlace{path, r.Vault, r.Name})
	}
	return true
}

// WarnForeign warns of a credential in the notation of another tool.
func (c *Compiler) WarnForeign(path, literal string) {
	if looks, remedy := redact.Foreign(literal); looks != "" {
		c.Warning(path, fmt.Sprintf("looks like %s, and is sent as it is: %s", looks, remedy))
	}
}

// field makes a field of a header or parameter. secret says that its name is that of a
// credential. A credential behind a scheme, as in Authorization, is checked without it.
func (c *Compiler) field(path, name, value string, t *expr.Template, secret bool) Field {
	if literal, ok := t.Literal(); ok && secret {
		if scheme, rest, ok := strings.Cut(literal, " "); ok && header.IsName(scheme) {
			literal = rest
		}
		c.WarnForeign(path, literal)
	}
	return Field{name, t, secret || redact.LooksSecret(value)}
}

// Headers compiles headers, sorted by name. Their names are canonical afterwards.
//
// A header is marked as secret if its name or its text looks so. Its value is then redacted
// on the debug page and in errors.
func Headers[T ~string](c *Compiler, path string, values map[string]T) []Field {
	var out []Field
	for _, name := range slices.Sorted(maps.Keys(values)) {
		at := confdoc.JoinKey(path, name)
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		switch {
		case !header.IsName(name):
			c.Problem(at, "is not a header name")
			continue
		case header.IsConnection(canonical):
			c.Problem(at, "belongs to the connection and cannot be set")
			continue
		}
		if slices.ContainsFunc(out, func(f Field) bool { return f.Name == canonical }) {
			c.Problem(at, "is set twice: case does not count in header names")
			continue
		}
		value := string(values[name])
		if t := c.Text(at, value, header.IsValue, LineRule); t != nil {
			out = append(out, c.field(at, canonical, value, t, redact.IsCredentialHeader(canonical) || redact.IsSecretName(canonical)))
		}
	}
	return out
}

// Query compiles query parameters, sorted by name. Any text will do as a value: it is
// escaped when the URL is built.
func Query[T ~string](c *Compiler, path string, values map[string]T) []Field {
	var out []Field
	for _, name := range slices.Sorted(maps.Keys(values)) {
		at := confdoc.JoinKey(path, name)
		if name == "" {
			c.Problem(at, "a parameter needs a name")
			continue
		}
		value := string(values[name])
		if t := c.Text(at, value, func(string) bool { return true }, ""); t != nil {
			out = append(out, c.field(at, name, value, t, redact.IsCredentialParam(name) || redact.IsSecretName(name)))
		}
	}
	return out
}

// Bodies compiles fields of the body, sorted by name. Constant values are encoded here,
// once. A T among the values is text.
func Bodies[T ~string](c *Compiler, path string, values map[string]any) []Body {
	var out []Body
	for _, name := range slices.Sorted(maps.Keys(values)) {
		at := confdoc.JoinKey(path, name)
		if strings.EqualFold(name, "model") || strings.EqualFold(name, "models") {
			c.Problem(at, "cannot be set: the gateway chooses the model; use model_selection")
			continue
		}
		tree, constant := c.tree(at, plain.Value[T](values[name]))
		f := Body{Name: name, Tree: tree}
		if constant {
			raw, err := json.Marshal(tree)
			if err != nil {
				continue // tree has noted which part cannot be sent
			}
			f.Raw = raw
		}
		out = append(out, f)
	}
	return out
}

// tree copies a value, with its templates compiled. It reports whether the value is
// constant: without templates.
//
// An object is constant if all its values are. Keys are texts as they stand, and hold no
// templates.
func (c *Compiler) tree(path string, v any) (out any, constant bool) {
	switch v := v.(type) {
	case string:
		t, faults := expr.CompileTemplate(v)
		if !c.compiled(path, t, faults) {
			return nil, true
		}
		if literal, ok := t.Literal(); ok {
			return literal, true
		}
		return t, false
	case map[string]any:
		m, constant := make(map[string]any, len(v)), true
		for _, key := range slices.Sorted(maps.Keys(v)) {
			child, ok := c.tree(confdoc.JoinKey(path, key), v[key])
			m[key], constant = child, constant && ok
		}
		return m, constant
	case []any:
		l, constant := make([]any, len(v)), true
		for i := range v {
			child, ok := c.tree(fmt.Sprintf("%s[%d]", path, i), v[i])
			l[i], constant = child, constant && ok
		}
		return l, constant
	default:
		// Encoding it now checks the value before any request needs it, and copies the
		// parts that the Config shares with its owner.
		raw, err := json.Marshal(v)
		if err != nil {
			c.Problem(path, fmt.Sprintf("is not a JSON value: %v", err))
			return nil, true
		}
		return json.RawMessage(raw), true
	}
}

// Over returns the fields of both. The second's replace fields of the same name.
//
// The fields of top come first. Neither slice is changed.
func Over(base, top []Field) []Field {
	return over(base, top, func(f Field) string { return f.Name })
}

// OverBody is [Over] for fields of the body. Objects are replaced as a whole: their fields
// are not merged.
func OverBody(base, top []Body) []Body {
	return over(base, top, func(f Body) string { return f.Name })
}

func over[F any](base, top []F, name func(F) string) []F {
	out := slices.Clone(top)
	for _, f := range base {
		if !slices.ContainsFunc(top, func(t F) bool { return name(t) == name(f) }) {
			out = append(out, f)
		}
	}
	return out
}
