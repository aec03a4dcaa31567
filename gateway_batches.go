package aigateway

import (
	"net/http"
	"slices"

	"github.com/aigateway-go/aigateway/internal/ids"
	"github.com/aigateway-go/aigateway/internal/jsonscan"
	"github.com/aigateway-go/aigateway/internal/reqbody"
)

// admitBatch refuses a batch that would pass by the rules of the config. uncounted
// reports that its client has a limit in tokens or money.
func (l locator) admitBatch(uncounted bool) *Error {
	s := l.in.surface
	if s.state != stateLists || l.in.r.Method != http.MethodPost || s.kind != ids.Batch && s.kind != ids.MessageBatch {
		return nil
	}
	if uncounted {
		return errorf(CodeNotAdmitted, "batches are not admitted: their tokens and their cost cannot be counted against the client's limit")
	}
	if s.kind == ids.MessageBatch {
		return l.readRequests()
	}
	if p := l.in.place.provider; l.s.restricts(p) && !p.uncheckedBatches {
		return errorf(CodeNotAdmitted, "batches are not admitted: the requests in the file of a batch cannot be checked")
	}
	return nil
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
func (l locator) readRequests() *Error {
	doc, isJSON := l.in.body.(*reqbody.Document)
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
		r, err := l.readRequest(c.Since(from))
		if err != nil {
			return err
		}
		r.start, r.end = from, c.Offset()
		l.in.place.requests = append(l.in.place.requests, r)
	}
	return nil
}

// readRequest reads one element of the list.
func (l locator) readRequest(element []byte) (batchRequest, *Error) {
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
	if r.model, e = l.batchModel(r.sel.Model); e != nil {
		return r, e
	}
	f := lineup{s: l.s, in: &inbound{ctx: l.in.ctx, raw: r.params}, room: capacity{deadline: l.in.start.Add(l.in.readTime + l.s.total)}}
	return r, f.inputTooLarge(r.model)
}

// batchModel finds the model of a request in a batch at the provider of the batch.
func (l locator) batchModel(name string) (*model, *Error) {
	s, q := l.s.selector, l.in.query()
	q.surface = l.s.surfaces.byPath[surfaceMessages]
	if isAuto(name) {
		return nil, badBatch("each request of a batch must name its model")
	}
	var rejected []rejection
	for _, entry := range s.aliases.expand([]string{name}) {
		r := s.resolve(q, entry).at(l.in.place.provider, entry, reasonElsewhere)
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
