package relay

import (
	"bytes"

	"github.com/aigateway-go/aigateway/internal/jsonscan"
)

// resultsField holds the address of a message batch's results. Anthropic's SDKs call it as
// it stands, with the client's key.
const resultsField = "results_url"

// HomeResults makes the addresses of results relative, in a message batch or in a list of
// them: clients join such an address to the base URL that they have, and come back to where
// they got the batch. It edits data in place, and returns the rest of it; an answer without
// such an address is returned as it is.
//
// The end of an address stays: …/v1/messages/batches/msgbatch_1/results becomes
// /v1/messages/batches/msgbatch_1/results.
func HomeResults(data []byte) []byte {
	if !bytes.Contains(data, []byte(`"`+resultsField+`"`)) {
		return data
	}
	c := jsonscan.Lenient(data)
	w := homes{data: data, c: &c}
	w.batch(true)
	if w.done == 0 {
		return data
	}
	return data[:w.kept+copy(data[w.kept:], data[w.done:])]
}

// homes is the work of HomeResults: data[:kept] is written, and data[done:] is to come.
type homes struct {
	data       []byte
	c          *jsonscan.Cursor
	kept, done int
}

// batch goes through a batch, or through a list of batches.
func (w *homes) batch(lists bool) {
	for name, ok := w.c.First(); ok; name, ok = w.c.Key() {
		switch {
		case string(name) == resultsField && w.c.Peek() == '"':
			raw := w.c.Text()
			w.home(raw, w.c.Offset()-1-len(raw))
		case lists && string(name) == "data" && w.c.Enter('['):
			for w.c.Elem() {
				w.batch(false)
			}
		default:
			w.c.Skip()
		}
	}
}

// home cuts the front of an address, which begins at an offset of the data.
func (w *homes) home(raw []byte, at int) {
	end := bytes.LastIndex(raw, []byte("/messages/batches/"))
	const front = "/v1"
	if end < len(front) || bytes.IndexByte(raw, '\\') >= 0 || !bytes.Contains(raw[:end], []byte("://")) {
		return
	}
	w.kept += copy(w.data[w.kept:], w.data[w.done:at])
	w.kept += copy(w.data[w.kept:], front)
	w.done = at + end
}
