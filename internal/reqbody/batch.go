package reqbody

import (
	"errors"
	"fmt"
	"iter"

	"github.com/aigateway-go/aigateway/internal/jsonscan"
)

// BatchRequest is one request in the body of a batch, as Anthropic's have them.
type BatchRequest struct {
	Start, End int       // of the element in the list "requests"
	Element    *Document // of the list
	Params     []byte    // the body of the request
	Doc        *Document // of Params
	Sel        Selection
}

// Batch yields the requests of a batch, in order. An error is for the client, and the
// last that is yielded:
//
//	{"requests": [{"custom_id": "a", "params": {"model": "claude-…"}}]}
func Batch(doc *Document) iter.Seq2[*BatchRequest, error] {
	return func(yield func(*BatchRequest, error) bool) {
		list, err := single(doc, "requests")
		if err == nil && (len(list) == 0 || list[0] != '[') {
			err = errors.New("requests must be a list")
		}
		if err != nil {
			yield(nil, err)
			return
		}
		c := jsonscan.Lenient(list)
		c.Enter('[')
		for c.Elem() {
			c.Peek()
			from := c.Offset()
			c.Skip()
			r, err := batchRequest(c.Since(from))
			r.Start, r.End = from, c.Offset()
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

// batchRequest reads one element of the list.
func batchRequest(element []byte) (r *BatchRequest, err error) {
	r = &BatchRequest{Element: new(Document), Doc: new(Document)}
	if Scan(element, r.Element) != nil {
		return r, errors.New("each of requests must be an object")
	}
	if r.Params, err = single(r.Element, "params"); err != nil {
		return r, err
	}
	if err = Scan(r.Params, r.Doc); err == nil {
		r.Sel, err = r.Doc.Selection()
	}
	if err != nil {
		return r, fmt.Errorf("params of a request: %w", err)
	}
	return r, nil
}

// single returns the value of a member that stands once in an object. Two parsers could
// disagree about a repeated one.
func single(doc *Document, name string) ([]byte, error) {
	n := 0
	for other := range doc.Names() {
		if Alike(other, name) {
			n++
		}
	}
	value, ok := doc.Get(name)
	if !ok || n != 1 {
		return nil, fmt.Errorf("%q must stand once in a batch, and in each of its requests", name)
	}
	return value, nil
}
