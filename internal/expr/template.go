package expr

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// Template is text with ${…} in it, compiled. It is immutable and safe for
// concurrent use.
type Template struct {
	segments []segment
}

// segment is a piece of a template: literal text, a secret with a constant
// name, or a program. Nearly all templates consist of the first two, and run
// without CEL.
//
// "Bearer ${secrets.get('a', 'b')}" has two segments, the text "Bearer " and a
// secret.
type segment struct {
	text    string
	secret  *SecretRef
	program *program
}

// SecretRef names a secret.
//
// Vault is a key of the config's secrets, and Name a name in that vault. Either
// is given as written, without a look at what exists.
type SecretRef struct{ Vault, Name string }

// CompileTemplate compiles text in which ${expression} is CEL and $${ stands
// for ${ itself. Text without either is a template too. The template is nil if
// there are problems. Their places are places in the whole text.
func CompileTemplate(src string) (*Template, []Problem) { return compileTemplate(src, wantPlain) }

// CompileText is CompileTemplate for text alone, such as headers, see
// [Template.Text].
func CompileText(src string) (*Template, []Problem) { return compileTemplate(src, wantText) }

// compileTemplate compiles a template. alone checks a single expression. Beside
// other text an expression must be text as well.
//
// The end of an expression is the brace that closes it: ${ {'a': 1}.a } ends at
// the second one. Places of problems count runes in the whole text.
func compileTemplate(src string, alone func(*diagnosis)) (*Template, []Problem) {
	if !strings.Contains(src, "${") {
		return &Template{segments: []segment{{text: src}}}, nil
	}
	l, err := templateLanguage()
	if err != nil {
		return nil, []Problem{{Line: 1, Column: 1, Message: err.Error()}}
	}
	var (
		t        = &Template{}
		problems []Problem
		text     = []rune(src)
		literal  strings.Builder
	)
	flush := func() {
		if literal.Len() > 0 {
			t.segments = append(t.segments, segment{text: literal.String()})
			literal.Reset()
		}
	}
	for i := 0; i < len(text); {
		switch {
		case hasPrefix(text[i:], "$${"):
			literal.WriteString("${")
			i += 3
		case hasPrefix(text[i:], "${"):
			start := i + 2
			end := expressionEnd(text, start, '{', '}')
			if end < 0 {
				return nil, append(problems, problemAt(text, i, "", "'${' has no '}'; a literal '${' is written '$${'"))
			}
			flush()
			want := wantText
			// The expression is all there is, so its value may keep its type.
			if i == 0 && end == len(text)-1 {
				want = alone
			}
			p, found := l.compile(string(text[start:end]), text, start, want)
			problems = append(problems, found...)
			if p != nil {
				t.segments = append(t.segments, newSegment(p))
			}
			i = end + 1
		default:
			literal.WriteRune(text[i])
			i++
		}
	}
	flush()
	if len(problems) > 0 {
		return nil, problems
	}
	return t, nil
}

// hasPrefix is strings.HasPrefix for runes.
func hasPrefix(text []rune, prefix string) bool {
	return len(text) >= len(prefix) && string(text[:len(prefix)]) == prefix
}

// expressionEnd finds the closing brace of an expression, past braces, strings
// and comments inside of it. It returns -1 without one.
//
// i is the place after the opening brace. Braces in strings and comments do not
// count. open and closing may be another pair, as for [diagnosis.lacksVariable].
func expressionEnd(text []rune, i int, open, closing rune) int {
	depth := 0
	for i < len(text) {
		switch r := text[i]; {
		case r == open:
			depth++
		case r == closing:
			if depth == 0 {
				return i
			}
			depth--
		case r == '\'' || r == '"':
			raw := i > 0 && (text[i-1] == 'r' || text[i-1] == 'R')
			if i = stringEnd(text, i, raw); i < 0 {
				return -1
			}
			continue
		case r == '/' && hasPrefix(text[i:], "//"):
			for i < len(text) && text[i] != '\n' {
				i++
			}
			continue
		}
		i++
	}
	return -1
}

// stringEnd returns the offset after the string literal at i, or -1.
//
// A raw string, r'…', has no escapes. Three quotes begin a string that may hold
// single ones and line breaks.
func stringEnd(text []rune, i int, raw bool) int {
	quote := string(text[i])
	if triple := strings.Repeat(quote, 3); hasPrefix(text[i:], triple) {
		quote = triple
	}
	for i += len(quote); i < len(text); i++ {
		if text[i] == '\\' && !raw {
			i++
		} else if hasPrefix(text[i:], quote) {
			return i + len(quote)
		}
	}
	return -1
}

// wantPlain refuses results without a plain Go value.
func wantPlain(d *diagnosis) {
	root := d.checked.Expr()
	t := d.checked.GetType(root.ID())
	if t.Kind() == types.StructKind || t.Kind() == types.OpaqueKind || t.Kind() == types.TypeKind || t.Kind() == types.BytesKind {
		d.report(d.start(root), "", "the result must be a plain value, is %s", plainType(t))
	}
}

// wantText refuses results that cannot be text.
func wantText(d *diagnosis) {
	root := d.checked.Expr()
	switch t := d.checked.GetType(root.ID()); t.Kind() {
	case types.ListKind:
		d.report(d.start(root), "", "the result must be text, a number or a boolean, is %s: choose one of it, such as the first by [0]", plainType(t))
	case types.MapKind, types.NullTypeKind:
		d.report(d.start(root), "", "the result must be text, a number or a boolean, is %s", plainType(t))
	default:
		wantPlain(d)
	}
}

// newSegment recognises a secret with a constant name, which runs without CEL.
func newSegment(p *program) segment {
	if root := p.checked.Expr(); root.Kind() == ast.CallKind {
		if s, constant := secretOf(p, root); constant {
			return segment{secret: &s}
		}
	}
	return segment{program: p}
}

// secretOf reports whether a node is secrets.get with constant arguments.
func secretOf(p *program, e ast.Expr) (SecretRef, bool) {
	call := e.AsCall()
	if !isSecretCall(call) || p.checked.GetType(call.Target().ID()).TypeName() != "@secrets" {
		return SecretRef{}, false
	}
	vault, ok1 := constant(call.Args()[0])
	name, ok2 := constant(call.Args()[1])
	return SecretRef{vault, name}, ok1 && ok2
}

// isSecretCall reports whether a call could be secrets.get, by name and
// arguments.
func isSecretCall(call ast.CallExpr) bool {
	return call.FunctionName() == "get" && call.IsMemberFunction() && len(call.Args()) == 2
}

// Literal returns the text of a template without expressions.
//
// false means that the template has to be evaluated for each request.
func (t *Template) Literal() (string, bool) {
	switch {
	case len(t.segments) == 0:
		return "", true
	case len(t.segments) == 1 && t.segments[0].isText():
		return t.segments[0].text, true
	}
	return "", false
}

// Literals returns the pieces of text between the expressions.
//
// The config's checks ask whether each of them can stand in a header, for one.
func (t *Template) Literals() []string {
	var texts []string
	for i := range t.segments {
		if s := &t.segments[i]; s.isText() {
			texts = append(texts, s.text)
		}
	}
	return texts
}

// isText reports whether the segment is literal text.
func (s *segment) isText() bool { return s.secret == nil && s.program == nil }

// Secrets returns the secrets named by constants, each once. all is false if
// the template computes other names.
//
// The config's checks compare the names with its stores.
func (t *Template) Secrets() (refs []SecretRef, all bool) {
	seen := map[SecretRef]bool{}
	add := func(s SecretRef) {
		if !seen[s] {
			seen[s] = true
			refs = append(refs, s)
		}
	}
	all = true
	for _, s := range t.segments {
		switch {
		case s.secret != nil:
			add(*s.secret)
		case s.program != nil:
			ast.PreOrderVisit(s.program.checked.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
				if e.Kind() != ast.CallKind || !isSecretCall(e.AsCall()) {
					return
				}
				if ref, constant := secretOf(s.program, e); constant {
					add(ref)
				} else {
					all = false
				}
			}))
		}
	}
	return refs, all
}

// Uses reports the parts of the request read by the template.
func (t *Template) Uses() Uses {
	var u Uses
	for _, s := range t.segments {
		if s.program != nil {
			u = u.Or(usesOf(s.program))
		}
	}
	return u
}

// Eval returns the value of the template. A single ${…} keeps its plain Go
// value: string, int64, float64, bool, nil, []any or map[string]any. Else the
// result is a string. Numbers and booleans become text in it, and null, lists
// and maps are errors.
//
// Errors are of type [*EvalError] and wrap the error of the Secret callback.
// Errors do not quote secrets: once an expression has read one, its other
// failures come without details.
func (t *Template) Eval(ctx context.Context, in *TemplateInput) (any, error) {
	if len(t.segments) == 1 {
		return t.segments[0].value(ctx, in)
	}
	parts := make([]string, len(t.segments))
	for i := range t.segments {
		s, err := t.segments[i].asText(ctx, in)
		if err != nil {
			return nil, err
		}
		parts[i] = s
	}
	return strings.Join(parts, ""), nil
}

// Text is Eval for text alone, such as headers. A single ${…} must be a string,
// number or boolean there, too.
func (t *Template) Text(ctx context.Context, in *TemplateInput) (string, error) {
	if len(t.segments) == 1 {
		return t.segments[0].asText(ctx, in)
	}
	v, err := t.Eval(ctx, in)
	s, _ := v.(string)
	return s, err
}

// asText writes the value of a segment as text.
func (s *segment) asText(ctx context.Context, in *TemplateInput) (string, error) {
	if s.isText() {
		return s.text, nil
	}
	if s.secret != nil {
		return s.readSecret(ctx, in)
	}
	v, err := s.value(ctx, in)
	if err != nil {
		return "", err
	}
	switch v := v.(type) {
	case string:
		return v, nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	case bool:
		return strconv.FormatBool(v), nil
	case nil:
		return "", &EvalError{Source: s.program.source, Err: errors.New("null cannot be written as text")}
	}
	return "", &EvalError{Source: s.program.source, Err: errors.New("a list or map cannot be written as text")}
}

// value evaluates a segment. An error after a secret was read comes without its
// text, which could quote the secret.
func (s *segment) value(ctx context.Context, in *TemplateInput) (any, error) {
	if s.isText() {
		return s.text, nil
	}
	if s.secret != nil {
		return s.readSecret(ctx, in)
	}
	r := &run{request: in.Request, secret: in.Secret}
	val, err := s.program.eval(ctx, r)
	var plain any
	if err == nil {
		plain, err = plainValue(val)
	}
	if err == nil {
		return plain, nil
	}
	if r.secretRead && (r.secretErr == nil || !errors.Is(err, r.secretErr)) && !errors.Is(err, ErrTooCostly) && ctx.Err() == nil {
		err = errors.New("the expression failed after it read a secret")
	}
	return nil, &EvalError{Source: s.program.source, Err: err}
}

// readSecret reads the secret of a segment that is nothing else.
func (s *segment) readSecret(ctx context.Context, in *TemplateInput) (string, error) {
	r := run{ctx: ctx, secret: in.Secret}
	value, err := r.readSecret(s.secret.Vault, s.secret.Name)
	if err != nil {
		return "", &EvalError{Source: fmt.Sprintf("secrets.get(%q, %q)", s.secret.Vault, s.secret.Name), Err: err}
	}
	return value, nil
}

// readSecret asks the callback.
//
// An error of the callback is not a leak, and keeps its text. A value that was
// read is one for the rest of the evaluation, see [segment.value].
func (r *run) readSecret(vault, name string) (string, error) {
	if r.secret == nil {
		return "", errors.New("there are no secrets")
	}
	value, err := r.secret(r.ctx, vault, name)
	if err != nil {
		r.secretErr = err
		return "", err
	}
	r.secretRead = true
	return value, nil
}

// plainValue converts a result to Go.
//
// Timestamps and durations become text, as CEL writes them. An error anywhere in
// a list or map is the error of the whole. Values of the vocabulary, such as
// req, have no plain form: they are [errNotPlain].
func plainValue(val ref.Val) (any, error) {
	switch v := val.(type) {
	case types.String:
		return string(v), nil
	case types.Int:
		return int64(v), nil
	case types.Uint:
		// JSON and Go callers take int64.
		if v > math.MaxInt64 {
			return nil, fmt.Errorf("%d is too large", uint64(v))
		}
		return int64(v), nil
	case types.Double:
		// JSON has neither.
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return nil, errors.New("the number has no decimal form")
		}
		return float64(v), nil
	case types.Bool:
		return bool(v), nil
	case types.Null:
		return nil, nil
	case types.Timestamp, types.Duration:
		return plainValue(val.ConvertToType(types.StringType))
	case traits.Mapper:
		m := make(map[string]any)
		for it := v.Iterator(); it.HasNext() == types.True; {
			key := it.Next()
			name, ok := key.(types.String)
			if !ok {
				return nil, fmt.Errorf("the key of a map must be string, is %s", plainTypeName(key.Type()))
			}
			elem, err := plainValue(v.Get(key))
			if err != nil {
				return nil, err
			}
			m[string(name)] = elem
		}
		return m, nil
	case traits.Lister:
		elems, _ := elements(v)
		list := make([]any, len(elems))
		for i, e := range elems {
			elem, err := plainValue(e)
			if err != nil {
				return nil, err
			}
			list[i] = elem
		}
		return list, nil
	case *types.Err:
		return nil, v.Unwrap()
	}
	return nil, fmt.Errorf("%w: %s", errNotPlain, plainTypeName(val.Type()))
}
