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
	// Usual requests need no more edits than fit here, and so no allocation.
	var room [4]reqbody.Edit
	e := edits(room[:0])
	if !o.in.sel.HasModel || o.in.sel.Model != m.id {
		e.set("model", reqbody.Quote(m.id))
	}
	// Providers do not know the list of models.
	if _, ok := o.in.body.Get("models"); ok {
		e.set("models", nil)
	}
	// Configured fields come before the limits and the parameters, which bind them
	// too.
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
	// A stream is over when each of its choices has finished.
	if o.in.sel.Stream {
		o.choices = o.choicesOf(e)
	}
	body, err := o.in.body.Splice(e)
	if err != nil {
		return nil, badRequest("%w", err)
	}
	return body, nil
}

// choicesOf returns the number of choices in the answer: n for each prompt. The
// legacy completions take several prompts.
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

// outgoing is the value of a field in the upstream request. Empty if the field is
// left out.
func (o *outbound) outgoing(e edits, name string) []byte {
	if i := e.find(name); i >= 0 {
		return e[i].Value
	}
	value, _ := o.in.body.Get(name)
	return value
}

// edits is a list of edits, at most one for each name.
type edits []reqbody.Edit

// set replaces the edit of a name, or adds one.
func (e *edits) set(name string, value []byte) {
	if i := e.find(name); i >= 0 {
		(*e)[i].Value = value
		return
	}
	*e = append(*e, reqbody.Edit{Name: name, Value: value})
}

// find returns the index of a name's edit, -1 without one.
func (e *edits) find(name string) int {
	return slices.IndexFunc(*e, func(x reqbody.Edit) bool { return x.Name == name })
}

// capOutput lowers each of the surface's limits above max_output_tokens, and sets
// one if the request has no limit. A negative or malformed limit is replaced too:
// some upstreams take -1 for no limit, and "9999" for a number.
func (o *outbound) capOutput(e *edits) {
	limits := o.surface.limits
	if o.s.maxOutput == 0 || len(limits) == 0 {
		return
	}
	limit := strconv.AppendInt(nil, o.s.maxOutput, 10)
	found := false
	for _, name := range limits {
		n, present, isNumber := o.in.body.Number(name)
		// The value that goes out counts: a configured one, if there is one.
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

// isNull reports whether a field is present with the value null. Like an absent
// field, it leaves the limit to the model.
func (o *outbound) isNull(name string, e edits) bool {
	if i := e.find(name); i >= 0 {
		return string(e[i].Value) == "null"
	}
	v, _ := o.in.body.Get(name)
	return string(v) == "null"
}

// dropParams removes fields outside the surface's supported_params, and fields in
// the model's unsupported_params. Configured fields are held to both too.
func (o *outbound) dropParams(e *edits) {
	a, _ := o.model.provider.speaks(o.surface)
	if a != nil && a.params != nil {
		for name := range o.in.body.Names() {
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
		// Without a model the request would be meaningless.
		if name != "model" {
			e.set(name, nil)
		}
	}
}

// dropLookalikes removes client fields that could undo a configured field. Some
// upstreams take a similar name for the same field: Go folds case, and C ends a
// string at a NUL. Repeated limits are removed too.
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
	// Names include repetitions, as they stand in the body.
	seen := map[string]bool{}
	for name := range o.in.body.Names() {
		i := slices.IndexFunc(governed, func(g string) bool { return reqbody.Alike(name, g) })
		switch {
		case i < 0:
		case !slices.Contains(governed, name):
			e.set(name, nil)
		case seen[name] && e.find(name) < 0:
			value, _ := o.in.body.Get(name)
			e.set(name, value) // the last one counts, and the others go
		}
		seen[name] = true
	}
}
