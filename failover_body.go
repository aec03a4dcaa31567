package aigateway

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/aigateway-go/aigateway/internal/reqbody"
)

// upstreamBody is the client's body with the edits that the candidate needs.
func (o *outbound) upstreamBody(ctx context.Context) (*reqbody.Body, error) {
	m, p := o.model, o.model.provider
	var room [4]reqbody.Edit
	e := edits(room[:0])
	if !o.in.sel.HasModel || o.in.sel.Model != m.id {
		e.set("model", reqbody.Quote(m.id))
	}
	if _, ok := o.body.Get("models"); ok {
		e.set("models", nil)
	}
	for _, f := range p.body {
		raw := f.raw
		if raw == nil {
			v, err := o.templates.tree(ctx, f.tree)
			if err != nil {
				if o.templates.err != nil {
					return nil, &requestError{FailureSecret, o.templates.err}
				}
				return nil, badRequest("body field %q: %w", f.name, err)
			}
			if raw, err = json.Marshal(v); err != nil {
				return nil, badRequest("body field %q: %w", f.name, err)
			}
		}
		e.set(f.name, raw)
	}
	o.capOutput(&e)
	o.dropParams(&e)
	o.dropLookalikes(&e)
	if o.in.sel.Stream {
		o.choices = o.choicesOf(e)
	}
	body, err := o.body.Splice(e)
	if err != nil {
		return nil, badRequest("%w", err)
	}
	return body, nil
}

// choicesOf returns how many choices the answer will have: n of each prompt, of
// which the legacy completions take several.
func (o *outbound) choicesOf(e edits) int {
	choices := 1
	if raw := o.outgoing(e, "n"); len(raw) > 0 {
		// Servers take 2, 2.0 and "2".
		if n, err := strconv.ParseFloat(strings.Trim(string(raw), `"`), 64); err == nil && n > 1 && n <= 1<<16 {
			choices = int(n)
		}
	}
	raw := o.outgoing(e, "prompt")
	if len(raw) == 0 || raw[0] != '[' {
		return choices
	}
	var prompts []json.RawMessage
	if json.Unmarshal(raw, &prompts) != nil || len(prompts) == 0 {
		return choices
	}
	if first := prompts[0][0]; first == '"' || first == '[' { // else they are tokens
		choices *= len(prompts)
	}
	return choices
}

// outgoing is the value of a field as it goes out; empty where it does not.
func (o *outbound) outgoing(e edits, name string) []byte {
	if i := e.find(name); i >= 0 {
		return e[i].Value
	}
	value, _ := o.body.Get(name)
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

// capOutput lowers each of the surface's limits that is above
// max_output_tokens, and sets one where there is none. A limit that is negative
// or no number is replaced too: some upstreams take -1 for no limit, and "9999"
// for a number.
func (o *outbound) capOutput(e *edits) {
	limits := o.surface.limits
	if o.s.maxOutput == 0 || len(limits) == 0 {
		return
	}
	limit := strconv.AppendInt(nil, o.s.maxOutput, 10)
	found := false
	for _, name := range limits {
		n, present, isNumber := o.body.Number(name)
		if i := e.find(name); i >= 0 {
			v, err := strconv.ParseFloat(string((*e)[i].Value), 64)
			n, present, isNumber = v, (*e)[i].Value != nil, err == nil
		}
		if !present || !isNumber && o.isNull(name, *e) {
			continue
		}
		found = true
		if !isNumber || n < 0 || n > float64(o.s.maxOutput) {
			e.set(name, limit)
		}
	}
	if found {
		return
	}
	name := limits[0]
	if o.surface.name == surfaceChat && o.model.provider.refusesMaxTokens {
		name = "max_completion_tokens" // its newer models refuse max_tokens
	}
	e.set(name, limit)
}

// isNull reports whether a field that is there says null, which leaves the
// limit to the model like a field that is not there.
func (o *outbound) isNull(name string, e edits) bool {
	if i := e.find(name); i >= 0 {
		return string(e[i].Value) == "null"
	}
	v, _ := o.body.Get(name)
	return string(v) == "null"
}

// dropParams removes the fields that the provider's surface does not list, and
// those that the model refuses. What the config added is held to both too.
func (o *outbound) dropParams(e *edits) {
	a, _ := o.model.provider.speaks(o.surface)
	if a != nil && a.params != nil {
		for name := range o.body.Names() {
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
	for _, name := range o.model.denied {
		if name != "model" {
			e.set(name, nil)
		}
	}
}

// dropLookalikes removes the client's fields that would undo what the config
// says about another one: those whose names some upstream takes for its name
// (Go folds case, C ends a string at a NUL), and the repetitions of a limit.
func (o *outbound) dropLookalikes(e *edits) {
	var governed []string
	if o.s.maxOutput > 0 {
		governed = append(governed, o.surface.limits...)
	}
	for _, f := range o.model.provider.body {
		governed = append(governed, f.name)
	}
	governed = append(governed, o.model.denied...)
	if len(governed) == 0 {
		return
	}
	seen := map[string]bool{}
	for name := range o.body.Names() {
		i := slices.IndexFunc(governed, func(g string) bool { return reqbody.Alike(name, g) })
		switch {
		case i < 0:
		case !slices.Contains(governed, name):
			e.set(name, nil)
		case seen[name] && e.find(name) < 0:
			value, _ := o.body.Get(name)
			e.set(name, value) // the last one counts, and the others go
		}
		seen[name] = true
	}
}

// passes reports whether a field may reach the model.
func (o *outbound) passes(name string) bool {
	if a, _ := o.model.provider.speaks(o.surface); a != nil && a.params != nil && !a.params[name] {
		return false
	}
	for _, denied := range o.model.denied {
		if denied == name {
			return false
		}
	}
	return true
}
