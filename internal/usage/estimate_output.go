package usage

import (
	"bytes"

	"github.com/aigateway-go/aigateway/internal/jsonscan"
)

// maxOutputDepth bounds how deep text is looked for. The formats have it less
// than ten levels deep.
const maxOutputDepth = 16

// OutputEstimate estimates how many tokens a model has written, from the text in
// its answer, for providers that do not report it. Text, reasoning, refusals and
// the arguments of tools count as they would in a prompt; see [Estimate]. Images
// and sound do not count.
//
// The zero OutputEstimate is ready to use. It is not for concurrent use, keeps
// none of the data, and allocates nothing.
type OutputEstimate struct{ e estimator }

// Event reads the data of one event of a stream, in any of the formats. Events
// that repeat earlier text count nothing.
func (t *OutputEstimate) Event(data []byte) {
	if bytes.Contains(data, []byte(`audio.delta"`)) {
		return // sound, of a responses stream
	}
	c := jsonscan.Lenient(data)
	for name, ok := c.First(); ok; name, ok = c.Key() {
		switch string(name) {
		case "choices", "delta": // of chats and completions; of responses and messages
			t.value(&c, name, maxOutputDepth)
		default:
			c.Skip()
		}
	}
}

// Text reads a text of an event, as it stands between its quotes.
func (t *OutputEstimate) Text(text []byte) { t.e.escaped(text) }

// Body reads a whole answer in JSON.
//
// The front of an answer that was cut off is read as far as it goes.
func (t *OutputEstimate) Body(data []byte) {
	c := jsonscan.Lenient(data)
	for name, ok := c.First(); ok; name, ok = c.Key() {
		t.member(name, &c)
	}
}

// Member reads one top-level member of a whole answer in JSON. Body does the same
// with each member.
func (t *OutputEstimate) Member(name, value []byte) {
	c := jsonscan.Lenient(value)
	t.member(name, &c)
}

// member reads the three members that hold generated text, one for each format.
func (t *OutputEstimate) member(name []byte, c *jsonscan.Cursor) {
	switch string(name) {
	case "choices", "output", "content": // of chats and completions, responses, messages
		t.value(c, name, maxOutputDepth)
	default:
		c.Skip()
	}
}

// Tokens returns the estimate of everything read so far.
func (t *OutputEstimate) Tokens() int64 {
	e := t.e // the open word may go on in the next event
	return e.total()
}

// value reads the text in the value at c, under a name.
//
// A text counts by the name of its member, wherever it stands. The elements of a
// list have the name of the list.
func (t *OutputEstimate) value(c *jsonscan.Cursor, name []byte, depth int) {
	switch b := c.Peek(); {
	case b == '"':
		if text := c.Text(); isOutput(name) {
			t.e.escaped(text)
		}
	case depth == 0:
		c.Skip()
	case b == '{' && string(name) == "input": // of a tool, in messages
		t.e.json(c.Value())
	case b == '{':
		reasoned := false // some servers send reasoning under two names
		for name, ok := c.First(); ok; name, ok = c.Key() {
			switch string(name) {
			case "reasoning_details", "annotations", "results": // repetitions, and words of others
				c.Skip()
				continue
			case "reasoning", "reasoning_content":
				if reasoned {
					c.Skip()
					continue
				}
				reasoned = c.Peek() == '"' && !bytes.HasPrefix(c.Rest(), []byte(`""`))
			}
			t.value(c, name, depth-1)
		}
	case c.Enter('['):
		for c.Elem() {
			t.value(c, name, depth-1)
		}
	default:
		c.Skip()
	}
}

// isOutput reports whether the string under a name is a model's own text.
func isOutput(name []byte) bool {
	switch string(name) {
	case "content", "text", "refusal", "reasoning", "reasoning_content", "thinking", "arguments", "partial_json",
		"delta": // of a responses stream: the text itself
		return true
	}
	return false
}
