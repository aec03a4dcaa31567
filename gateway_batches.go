package aigateway

import (
	"context"
	"net/http"
	"slices"

	"github.com/aigateway-go/aigateway/internal/ids"
	"github.com/aigateway-go/aigateway/internal/jsonscan"
	"github.com/aigateway-go/aigateway/internal/reqbody"
)

// batchRequest is one request of a batch in the client's body.
type batchRequest struct {
	start, end int               // in the list
	element    *reqbody.Document // of the list
	params     []byte
	doc        *reqbody.Document // of the params
	sel        reqbody.Selection
	model      *model
}

// admitBatch refuses a batch that would pass by the rules of the config.
func (x *exchange) admitBatch() *Error {
	s := x.in.surface
	if s.state != stateLists || x.in.r.Method != http.MethodPost || s.kind != ids.Batch && s.kind != ids.MessageBatch {
		return nil
	}
	if x.underLimit() {
		return errorf(CodeNotAdmitted, "batches are not admitted: their tokens and their cost cannot be counted against the client's limit")
	}
	if s.kind == ids.MessageBatch {
		return x.readRequests()
	}
	if p := x.in.place.provider; x.s.restricts(p) && !p.uncheckedBatches {
		return errorf(CodeNotAdmitted, "batches are not admitted: the requests in the file of a batch cannot be checked")
	}
	return nil
}

// underLimit reports whether the request's client has a limit in tokens or money that
// does not let uncounted requests pass.
func (x *exchange) underLimit() bool {
	for _, l := range x.s.clientLimits {
		a := l.allowance
		if l.uncounted || a.TokensPerMinute == 0 && a.PerDay == 0 && a.PerMonth == 0 {
			continue
		}
		for _, c := range x.adm.claims {
			if c.Entry == l.entry {
				return true
			}
		}
	}
	return false
}

// restricts reports whether the config rules over single requests to a provider: by a
// flag, a cap, a field of the body or a list of parameters.
func (s *settings) restricts(p *provider) bool {
	return s.selector.onlyProviders || s.selector.onlyModels || s.maxInput > 0 || s.maxOutput > 0 || len(p.body) > 0 ||
		slices.ContainsFunc(p.surfaces, func(a apiSurface) bool { return a.params != nil }) ||
		slices.ContainsFunc(p.models, func(m *model) bool { return len(m.denied) > 0 })
}

// readRequests finds the requests of a batch, and holds each to the rules for a request
// of its own.
func (x *exchange) readRequests() *Error {
	doc, isJSON := x.in.body.(*reqbody.Document)
	if !isJSON {
		return badBatch("requests must be a list")
	}
	list, err := single(doc, "requests")
	if err != nil {
		return err
	}
	if len(list) == 0 || list[0] != '[' {
		return badBatch("requests must be a list")
	}
	c := jsonscan.Lenient(list)
	c.Enter('[')
	for c.Elem() {
		c.Peek()
		from := c.Offset()
		c.Skip()
		r, err := x.readRequest(c.Since(from))
		if err != nil {
			return err
		}
		r.start, r.end = from, c.Offset()
		x.in.place.requests = append(x.in.place.requests, r)
	}
	return nil
}

// readRequest reads one element of the list.
func (x *exchange) readRequest(element []byte) (batchRequest, *Error) {
	r := batchRequest{element: new(reqbody.Document), doc: new(reqbody.Document)}
	if reqbody.Scan(element, r.element) != nil {
		return r, badBatch("each of requests must be an object")
	}
	var e *Error
	if r.params, e = single(r.element, "params"); e != nil {
		return r, e
	}
	err := reqbody.Scan(r.params, r.doc)
	if err == nil {
		r.sel, err = r.doc.Selection()
	}
	if err != nil {
		return r, badBatch("params of a request: %v", err)
	}
	if r.model, e = x.batchModel(r.sel.Model); e != nil {
		return r, e
	}
	f := failover{s: x.s, in: &inbound{ctx: x.in.ctx, raw: r.params}, deadline: x.in.start.Add(x.in.readTime + x.s.total)}
	return r, f.inputTooLarge(r.model)
}

// batchModel finds the model of a request in a batch at the provider of the batch.
func (x *exchange) batchModel(name string) (*model, *Error) {
	s, q := x.s.selector, x.in.query()
	q.surface = x.s.surfaces.byPath[surfaceMessages]
	if isAuto(name) {
		return nil, badBatch("each request of a batch must name its model")
	}
	var rejected []rejection
	for _, entry := range s.aliases.expand([]string{name}) {
		r := s.resolve(q, entry).at(x.in.place.provider, entry, reasonElsewhere)
		if len(r.models) > 0 {
			return r.models[0], nil
		}
		rejected = append(rejected, r.rejected...)
	}
	return nil, s.unresolved(q, rejected)
}

// single returns the value of a member that stands once in an object. Two parsers could
// disagree about a repeated one.
func single(doc *reqbody.Document, name string) ([]byte, *Error) {
	n := 0
	for other := range doc.Names() {
		if reqbody.Alike(other, name) {
			n++
		}
	}
	value, ok := doc.Get(name)
	if !ok || n != 1 {
		return nil, badBatch("%q must stand once in a batch, and in each of its requests", name)
	}
	return value, nil
}

// badBatch is the error of a batch in a wrong form.
func badBatch(format string, args ...any) *Error {
	return errorf(CodeInvalidRequestBody, "invalid request body: "+format, args...)
}

// batchBody is the client's batch with the edits that each of its requests needs.
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
		if &params[0] == &r.params[0] && len(params) == len(r.params) {
			continue // as the client sent it
		}
		element, err := r.element.Splice([]reqbody.Edit{{Name: "params", Value: params}})
		if err != nil {
			return nil, badRequest("%w", err)
		}
		out = append(append(out, list[done:r.start]...), element.Bytes()...)
		done = r.end
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
func (o *outbound) paramsOf(ctx context.Context, r *batchRequest) ([]byte, error) {
	in := &inbound{r: o.in.r, ctx: o.in.ctx, surface: o.s.surfaces.byPath[surfaceMessages], sel: r.sel, body: r.doc, raw: r.params}
	one := *o
	one.in, one.model, one.surface, one.body, one.removed = in, r.model, in.surface, r.doc, nil
	body, err := one.upstreamBody(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range one.removed {
		o.remove(name)
	}
	return body.Bytes(), nil
}
