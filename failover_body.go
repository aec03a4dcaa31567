package aigateway

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/aigateway-go/aigateway/internal/habits"
	"github.com/aigateway-go/aigateway/internal/reqbody"
)

// batchBody is the client's batch with the edits that each of its requests needs.
//
// Requests without an edit keep their bytes, and a batch without any is the client's body
// as it came.
//
// The places of the requests are offsets into the list, so it is copied up to
// each changed one. The time is linear in the body.
func (o *outbound) batchBody(ctx context.Context) (*reqbody.Body, error) {
	list, _ := o.body.Get("requests")
	var out []byte
	done := 0
	for i := range o.in.place.requests {
		r := &o.in.place.requests[i]
		params, err := o.paramsOf(ctx, r)
		if err != nil {
			return nil, err
		}
		if &params[0] == &r.Params[0] && len(params) == len(r.Params) {
			continue // as the client sent it
		}
		element, err := r.Element.Splice([]reqbody.Edit{{Name: "params", Value: params}})
		if err != nil {
			return nil, badRequest("%w", err)
		}
		out = append(append(out, list[done:r.Start]...), element.Bytes()...)
		done = r.End
	}
	if done == 0 {
		return reqbody.Whole(o.in.raw), nil
	}
	body, err := o.body.Splice([]reqbody.Edit{{Name: "requests", Value: append(out, list[done:]...)}})
	if err != nil {
		return nil, badRequest("%w", err)
	}
	return body, nil
}

// paramsOf makes the params of one request as a request of its own would go out.
//
// The rules are those of messages, whatever the surface of the batch.
//
// A copy of the outbound stands for the one request. The names of removed fields
// go to the batch.
func (o *outbound) paramsOf(ctx context.Context, r *batchRequest) ([]byte, error) {
	in := &inbound{r: o.in.r, ctx: o.in.ctx, surface: o.s.surfaces.byPath[surfaceMessages], sel: r.Sel, body: r.Doc, raw: r.Params}
	one := *o
	one.in, one.model, one.surface, one.body, one.removed = in, r.model, in.surface, r.Doc, nil
	body, err := one.upstreamBody(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range one.removed {
		o.remove(name)
	}
	return body.Bytes(), nil
}

// upstreamBody is the client's body with the edits that the candidate needs.
//
// A session and a request for a stored thing go out as they came. Everything
// else gets the model's id of the candidate.
func (o *outbound) upstreamBody(ctx context.Context) (*reqbody.Body, error) {
	switch {
	case len(o.in.place.requests) > 0:
		return o.batchBody(ctx)
	case o.in.places(), o.surface.upgrades:
		return reqbody.Whole(o.in.raw), nil
	}
	m, p := o.model, o.model.provider
	// Usual requests need no more edits than fit here, and so no allocation.
	e := edits{list: o.editRoom[:0]}
	if !o.in.sel.HasModel || o.in.sel.Model != m.id {
		e.set("model", reqbody.Quote(m.id))
	}
	if _, ok := o.body.Get("models"); ok {
		e.set("models", nil)
	}
	// Configured fields come before the limits and the parameters, which bind them
	// too.
	for _, f := range p.body {
		raw := f.Raw
		if raw == nil {
			v, err := o.templates.tree(ctx, f.Tree)
			if err != nil {
				if o.templates.err != nil {
					return nil, &requestError{FailureSecret, o.templates.err}
				}
				return nil, badRequest("body field %q: %w", f.Name, err)
			}
			if raw, err = json.Marshal(v); err != nil {
				return nil, badRequest("body field %q: %w", f.Name, err)
			}
		}
		e.set(f.Name, raw)
	}
	o.capOutput(&e)
	o.dropParams(&e)
	o.dropLookalikes(&e)
	o.askForUsage(&e)
	if o.in.sel.Stream {
		o.choices = o.choicesOf(e)
	}
	body, err := o.body.Splice(e.list)
	if err != nil {
		return nil, badRequest("%w", err)
	}
	return body, nil
}

// choicesOf returns the number of choices in the answer: n for each prompt. The
// legacy completions take several prompts.
//
// A malformed n counts as 1: the upstream will refuse it.
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
		return e.list[i].Value
	}
	value, _ := o.body.Get(name)
	return value
}

// edits is a list of edits, at most one for each name.
//
// They are few, and then a search through all is cheaper than a map. A client with
// thousands of fields that must go makes an edit for each.
type edits struct {
	list  []reqbody.Edit
	index map[string]int // of each name, once there are more than fewEdits
}

// fewEdits are searched one by one.
const fewEdits = 16

// set replaces the edit of a name, or adds one.
// A nil value removes the field.
func (e *edits) set(name string, value []byte) {
	if i := e.find(name); i >= 0 {
		e.list[i].Value = value
		return
	}
	e.list = append(e.list, reqbody.Edit{Name: name, Value: value})
	switch n := len(e.list); {
	case e.index != nil:
		e.index[name] = n - 1
	case n > fewEdits:
		e.index = make(map[string]int, 4*fewEdits)
		for i := range e.list {
			e.index[e.list[i].Name] = i
		}
	}
}

// find returns the index of a name's edit, -1 without one.
func (e *edits) find(name string) int {
	if e.index == nil {
		return slices.IndexFunc(e.list, func(x reqbody.Edit) bool { return x.Name == name })
	}
	if i, ok := e.index[name]; ok {
		return i
	}
	return -1
}

// capOutput lowers each of the surface's limits above max_output_tokens, and sets
// one if the request has no limit. A negative or malformed limit is replaced too:
// some upstreams take -1 for no limit, and "9999" for a number.
//
// A field of the config's body counts as well: an edit of the same name is
// looked at in place of the client's value.
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
			v, err := strconv.ParseFloat(string(e.list[i].Value), 64)
			n, present, isNumber = v, e.list[i].Value != nil, err == nil
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
		return string(e.list[i].Value) == "null"
	}
	v, _ := o.body.Get(name)
	return string(v) == "null"
}

// dropParams removes fields outside the surface's supported_params, and fields in
// the model's unsupported_params. Configured fields are held to both too.
// The model goes out in any case: apiSurfaces lists it among the supported.
func (o *outbound) dropParams(e *edits) {
	a, _ := o.model.provider.speaks(o.surface)
	if a != nil && a.params != nil {
		for name := range o.body.Names() {
			if !a.params[name] {
				o.remove(name)
				e.set(name, nil)
			}
		}
		for i := range e.list {
			if !a.params[e.list[i].Name] {
				e.list[i].Value = nil
			}
		}
	}
	for _, name := range o.model.denied {
		// Without a model the request would be meaningless.
		if name != "model" {
			if _, ok := o.in.body.Get(name); ok {
				o.remove(name)
			}
			e.set(name, nil)
		}
	}
}

// remove notes that a field of the client's does not go out. A client can send
// thousands.
func (o *outbound) remove(name string) {
	if len(o.removed) <= maxListed && name != "models" && !slices.Contains(o.removed, name) {
		o.removed = append(o.removed, shown(name))
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
		governed = append(governed, f.Name)
	}
	governed = append(governed, o.model.denied...)
	if len(governed) == 0 {
		return
	}
	// Names include repetitions, as they stand in the body.
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

// askForUsage asks for usage in a stream whose client did not. The stream is then
// relayed without it. A client that asks for it in a wrong way keeps its mistake.
//
// There are four ends. The client asks itself; the gateway asks and takes the
// answer out again; the translation asks, as its decoder needs it; or nobody
// asks. A model that refused the field before is not asked again.
func (o *outbound) askForUsage(e *edits) {
	o.usageAsk = usageUnasked
	if _, isJSON := o.in.body.(*reqbody.Document); !isJSON || !o.in.sel.Stream || !o.surface.usageOption {
		return
	}
	options, ok := withUsage(o.outgoing(*e, "stream_options"))
	switch {
	case o.codec != nil && o.refuser == o.model && e.find("stream_options") < 0:
		e.set("stream_options", nil)
	case o.codec != nil && !ok && e.find("stream_options") < 0:
		o.usageAsk = usageForTranslation
	case !ok:
		o.usageAsk = usageForClient
	case o.s.askUsage && o.refuser != o.model && o.model.streamHabit(o.s.habits) == habits.StreamAsk && o.passes("stream_options"):
		e.set("stream_options", options)
		o.usageAsk = usageForGateway
	}
}

// passes reports whether a field may reach the model.
// It asks the same two lists as dropParams.
func (o *outbound) passes(name string) bool {
	a, _ := o.model.provider.speaks(o.surface)
	if a != nil && a.params != nil && !a.params[name] {
		return false
	}
	for _, denied := range o.model.denied {
		if denied == name {
			return false
		}
	}
	return true
}

// onlyUsage is stream_options for a client that sent none. It is never changed.
var onlyUsage = []byte(`{"include_usage":true}`)

// withUsage returns stream_options with include_usage, and all other options as they
// were. It is false if the options ask for usage already, or are not an object.
// The given bytes stay as they are.
func withUsage(options []byte) ([]byte, bool) {
	options = bytes.TrimSpace(options)
	if len(options) == 0 || string(options) == "null" {
		return onlyUsage, true
	}
	var given struct {
		IncludeUsage json.RawMessage `json:"include_usage"`
	}
	if options[0] != '{' || json.Unmarshal(options, &given) != nil || string(given.IncludeUsage) == "true" {
		return nil, false
	}
	var doc reqbody.Document
	if reqbody.Scan(options, &doc) != nil {
		return nil, false
	}
	body, err := doc.Splice([]reqbody.Edit{{Name: "include_usage", Value: []byte("true")}})
	if err != nil {
		return nil, false
	}
	return body.Bytes(), true
}
