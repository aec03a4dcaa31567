package usage

import "bytes"

// maxWrittenDepth bounds how deep text is looked for. Where formats have it is
// less than ten deep.
const maxWrittenDepth = 16

// Written estimates how many tokens a model has written, from the text in its
// answer: for providers that do not say. Text, reasoning, refusals and the
// arguments of tools count, as they would in a prompt; see [Estimate]. Images
// and sound do not.
//
// The zero Written is ready to use. It is not for concurrent use, keeps none of
// the data, and allocates nothing.
type Written struct{ e estimator }

// Event reads the data of one event of a stream, in any of the formats. Events
// that repeat what came before count nothing.
func (t *Written) Event(data []byte) {
	if bytes.Contains(data, []byte(`audio.delta"`)) {
		return // sound, of a responses stream
	}
	w := walker{b: data}
	w.object(func(name []byte) {
		switch string(name) {
		case "choices", "delta": // of chats and completions; of responses and messages
			t.value(&w, name, maxWrittenDepth)
		}
	})
}

// Body reads a whole answer in JSON.
func (t *Written) Body(data []byte) {
	w := walker{b: data}
	w.object(func(name []byte) { t.member(name, &w) })
}

// Member reads one member of a whole answer in JSON, for a caller who has found
// them: what Body does with each.
func (t *Written) Member(name, value []byte) { t.member(name, &walker{b: value}) }

func (t *Written) member(name []byte, w *walker) {
	switch string(name) {
	case "choices", "output", "content": // of chats and completions, responses, messages
		t.value(w, name, maxWrittenDepth)
	}
}

// Tokens returns the estimate of all that was read.
func (t *Written) Tokens() int64 {
	e := t.e // the open word may go on in the next event
	return e.total()
}

// value reads the text in the value at w, which stands under a name.
func (t *Written) value(w *walker, name []byte, depth int) {
	switch b := w.peek(); {
	case b == '"':
		start := w.i + 1
		w.text()
		if isWritten(name) {
			t.e.escaped(w.b[start:max(w.i-1, start)])
		}
	case depth == 0:
		w.skip()
	case b == '{' && string(name) == "input": // of a tool, in messages
		start := w.i
		w.skip()
		t.e.json(w.b[start:w.i])
	case b == '{':
		reasoned := false // some servers say it under two names
		w.object(func(name []byte) {
			switch string(name) {
			case "reasoning_details", "annotations", "results": // say again, or say what others wrote
				return
			case "reasoning", "reasoning_content":
				if reasoned {
					return
				}
				reasoned = w.peek() == '"' && !bytes.HasPrefix(w.b[w.i:], []byte(`""`))
			}
			t.value(w, name, depth-1)
		})
	case b == '[':
		w.array(func() { t.value(w, name, depth-1) })
	default:
		w.skip()
	}
}

// isWritten reports whether a model wrote the string under a name.
func isWritten(name []byte) bool {
	switch string(name) {
	case "content", "text", "refusal", "reasoning", "reasoning_content", "thinking", "arguments", "partial_json",
		"delta": // of a responses stream, where it is the text itself
		return true
	}
	return false
}
