package aigateway

import (
	"context"
	"encoding/json"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/aigateway-go/aigateway/internal/expr"
	"github.com/aigateway-go/aigateway/internal/reqbody"
)

// clientBody is a client's body as it was scanned: JSON or a form.
type clientBody interface {
	Selection() (reqbody.Selection, error)
	Names() iter.Seq[string]
	Get(name string) (value []byte, ok bool)
	Number(name string) (n float64, present, isNumber bool)
	Splice(edits []reqbody.Edit) (*reqbody.Body, error)
}

// upstreamBody is the client's body with the edits that the candidate needs.
func (x *exchange) upstreamBody(ctx context.Context, m *model) (*reqbody.Body, error) {
	p := m.provider
	var room [4]reqbody.Edit
	e := edits(room[:0])
	if x.sel.Model != m.id {
		e.set("model", reqbody.Quote(m.id))
	}
	if _, ok := x.body.Get("models"); ok {
		e.set("models", nil)
	}
	for _, f := range p.body {
		raw := f.raw
		if raw == nil {
			v, err := x.evalTree(ctx, f.tree)
			if err != nil {
				if x.templates.err != nil {
					return nil, &requestError{FailureSecret, x.templates.err}
				}
				return nil, badRequest("body field %q: %w", f.name, err)
			}
			if raw, err = json.Marshal(v); err != nil {
				return nil, badRequest("body field %q: %w", f.name, err)
			}
		}
		e.set(f.name, raw)
	}
	x.capOutput(p, &e)
	x.dropParams(m, &e)
	x.dropLookalikes(m, &e)
	if x.sel.Stream {
		x.choices = x.choicesOf(e)
	}
	body, err := x.body.Splice(e)
	if err != nil {
		return nil, badRequest("%w", err)
	}
	return body, nil
}

// choicesOf returns how many choices the answer will have: n of each prompt, of
// which the legacy completions take several.
func (x *exchange) choicesOf(e edits) int {
	choices := 1
	if n, err := strconv.Atoi(string(x.outgoing(e, "n"))); err == nil && n > 1 {
		choices = n
	}
	var prompts []json.RawMessage
	raw := x.outgoing(e, "prompt")
	if len(raw) == 0 || raw[0] != '[' || json.Unmarshal(raw, &prompts) != nil || len(prompts) == 0 {
		return choices
	}
	if first := prompts[0][0]; first == '"' || first == '[' { // else they are tokens
		choices *= len(prompts)
	}
	return choices
}

// outgoing is the value of a field as it goes out; empty where it does not.
func (x *exchange) outgoing(e edits, name string) []byte {
	if i := e.find(name); i >= 0 {
		return e[i].Value
	}
	value, _ := x.body.Get(name)
	return value
}

// edits is a list of edits, one a name.
type edits []reqbody.Edit

func (e *edits) set(name string, value []byte) {
	if i := e.find(name); i >= 0 {
		(*e)[i].Value = value
		return
	}
	*e = append(*e, reqbody.Edit{Name: name, Value: value})
}

func (e *edits) find(name string) int {
	return slices.IndexFunc(*e, func(x reqbody.Edit) bool { return x.Name == name })
}

// evalTree evaluates the templates in a value of the body.
func (x *exchange) evalTree(ctx context.Context, v any) (any, error) {
	switch v := v.(type) {
	case *expr.Template:
		return evaluate(&x.templates, func() (any, error) { return v.Eval(ctx, &x.templates.in) })
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, child := range v {
			c, err := x.evalTree(ctx, child)
			if err != nil {
				return nil, err
			}
			m[k] = c
		}
		return m, nil
	case []any:
		l := make([]any, len(v))
		for i, child := range v {
			c, err := x.evalTree(ctx, child)
			if err != nil {
				return nil, err
			}
			l[i] = c
		}
		return l, nil
	default:
		return v, nil
	}
}

// capOutput lowers each of the surface's limits that is above
// max_output_tokens, and sets one where there is none. A limit that is negative
// or no number is replaced too: some upstreams take -1 for no limit, and "9999"
// for a number.
func (x *exchange) capOutput(p *provider, e *edits) {
	limits := x.surface.limits
	if x.s.maxOutput == 0 || len(limits) == 0 {
		return
	}
	limit := strconv.AppendInt(nil, x.s.maxOutput, 10)
	found := false
	for _, name := range limits {
		n, present, isNumber := x.body.Number(name)
		if i := e.find(name); i >= 0 {
			v, err := strconv.ParseFloat(string((*e)[i].Value), 64)
			n, present, isNumber = v, (*e)[i].Value != nil, err == nil
		}
		if !present || !isNumber && x.isNull(name, *e) {
			continue
		}
		found = true
		if !isNumber || n < 0 || n > float64(x.s.maxOutput) {
			e.set(name, limit)
		}
	}
	if found {
		return
	}
	name := limits[0]
	if x.surface.name == surfaceChat && p.known && strings.EqualFold(p.id, "openai") {
		name = "max_completion_tokens" // its newer models refuse max_tokens
	}
	e.set(name, limit)
}

// isNull reports whether a field that is there says null, which leaves the
// limit to the model like a field that is not there.
func (x *exchange) isNull(name string, e edits) bool {
	if i := e.find(name); i >= 0 {
		return string(e[i].Value) == "null"
	}
	v, _ := x.body.Get(name)
	return string(v) == "null"
}

// dropParams removes the fields that the provider's surface does not list, and
// those that the model refuses. What the config added is held to both too.
func (x *exchange) dropParams(m *model, e *edits) {
	a, _ := m.provider.speaks(x.surface)
	if a != nil && a.params != nil {
		for name := range x.body.Names() {
			if !a.params[name] {
				e.set(name, nil)
			}
		}
		for i := range *e {
			if !a.params[(*e)[i].Name] {
				(*e)[i].Value = nil
			}
		}
	}
	for _, name := range m.denied {
		if name != "model" {
			e.set(name, nil)
		}
	}
}

// dropLookalikes removes the client's fields that would undo what the config
// says about another one: those whose names some upstream takes for its name
// (Go folds case, C ends a string at a NUL), and the repetitions of a limit.
func (x *exchange) dropLookalikes(m *model, e *edits) {
	var governed []string
	if x.s.maxOutput > 0 {
		governed = append(governed, x.surface.limits...)
	}
	for _, f := range m.provider.body {
		governed = append(governed, f.name)
	}
	governed = append(governed, m.denied...)
	if len(governed) == 0 {
		return
	}
	seen := map[string]bool{}
	for name := range x.body.Names() {
		i := slices.IndexFunc(governed, func(g string) bool { return reqbody.Alike(name, g) })
		switch {
		case i < 0:
		case !slices.Contains(governed, name):
			e.set(name, nil)
		case seen[name] && e.find(name) < 0:
			value, _ := x.body.Get(name)
			e.set(name, value) // the last one counts, and the others go
		}
		seen[name] = true
	}
}
