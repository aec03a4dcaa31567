package relay

import (
	"bytes"

	"github.com/aigateway-go/aigateway/internal/jsonscan"
)

// Kind says what one event means for the life of its stream.
type Kind uint8

const (
	// Other changes nothing: role-only chunks, response.created, message_start,
	// pings, usage, and unknown or malformed events.
	Other Kind = iota
	// Suspect is an error if no answer has begun, and changes nothing later: text
	// that is not JSON, or an object with a message and no choice.
	Suspect
	// Content is the first thing that a reader of the answer would miss.
	Content
	// Finish says why the model stopped. More may follow: other choices, usage, the
	// End.
	Finish
	// End is the last event of a whole answer.
	End
	// Error is an error in place of an answer, or of the rest of one.
	Error
	// Failed is response.failed: an error while nothing has been committed, and a
	// proper end of the stream afterwards. Clients take it for one.
	Failed
)

// Event is one event as a [Dialect] reads it.
type Event struct {
	Kind Kind

	// Choices are the choices of a chunk in the chat format, in its order.
	Choices []Choice

	// Usage: the event reports the consumption of tokens.
	Usage bool
	// Refusal: the model or its provider declines, for the prompt's content or for
	// the output's.
	Refusal bool
	// Word: the event has text, a call of a tool or a refusal in it. Reasoning counts.
	Word bool
	// Ping: the event keeps the connection open and says nothing.
	Ping bool
	// Hidden: the event is an Error, but SDKs do not take it for one.
	Hidden bool
	// Done: the event is the [DONE] marker.
	Done bool
}

// Choice is one choice of a chunk in the chat format.
type Choice struct {
	Index   int
	Content bool // text, reasoning, refusal, tool call or audio
	Role    bool // the delta says who speaks: a turn begins
	Reason  Reason
}

func (e *Event) reset() { *e = Event{Choices: e.Choices[:0]} }

// Dialect reads one event of a stream into e, and overwrites it. name is the
// value of the event: line, nil without one. data is the data lines joined by LF.
// With empty data the name decides. A dialect keeps neither, allocates only for
// Choices, and may be called from several goroutines.
type Dialect func(name, data []byte, e *Event)

// Completions is the dialect of the legacy completions. It is read like Chat:
// their fields do not collide, and compatible servers mix them.
func Completions(name, data []byte, e *Event) { Chat(name, data, e) }

// Chat is the dialect of chat/completions.
func Chat(name, data []byte, e *Event) {
	e.reset()
	if isDone(data) {
		e.Kind, e.Done = End, true
		return
	}
	named := string(name) == "error"
	c := jsonscan.Lenient(data)
	if c.Peek() != '{' {
		readStray(&c, data, e)
		if named {
			e.Kind, e.Hidden = Error, true
		}
		return
	}
	var w errorShape
	choices := false
	for k, ok := c.First(); ok; k, ok = c.Key() {
		switch string(k) {
		case "choices":
			choices = e.readChoices(&c)
		case "usage":
			object := c.Peek() == '{'
			e.Usage = c.Skip() && object || e.Usage
		default:
			w.read(k, &c)
		}
	}
	if c.Bad() {
		e.reset()
		e.Ping = true
		if named {
			e.Kind, e.Hidden = Error, true
		}
		return
	}
	e.Ping = !e.Usage
	for _, choice := range e.Choices {
		e.Kind = max(e.Kind, choice.kind())
		e.Word = e.Word || choice.Content
		e.Ping = e.Ping && e.Kind == Other && !choice.Role
	}
	failed := e.Kind == Error // in a choice
	e.Hidden = failed
	if kind := w.kind(choices); kind > Suspect || e.Kind == Other {
		e.Kind = max(e.Kind, kind)
		e.Hidden = kind != Other && !w.member
	}
	if named && !w.member {
		e.Kind, e.Hidden = Error, true
	}
}

// kind is the meaning of one choice for the event. A finish reason outranks content
// in the same chunk, and an error outranks both.
func (c Choice) kind() Kind {
	switch {
	case c.Reason == ErrorReason:
		return Error
	case c.Reason != NoReason:
		return Finish
	case c.Content:
		return Content
	}
	return Other
}

// readStray reads data that is not an object. Plain text, such as a proxy's words
// about a dead upstream, and a page are suspect. Google wraps errors in a list.
func readStray(c *jsonscan.Cursor, data []byte, e *Event) {
	switch b := c.Peek(); {
	case b == '[':
		var w errorShape
		if c.Enter('[') && c.Elem() {
			w.object(c)
		}
		if w.kind(false) == Error {
			e.Kind, e.Hidden = Error, true
			return
		}
	case isPing(bytes.TrimSpace(data)):
	case 'a' <= b|0x20 && b|0x20 <= 'z' && !jsonscan.IsValue(data), b == '<':
		e.Kind, e.Hidden = Suspect, true // plain text, or a page
		return
	}
	e.Ping = true
}

// readChoices reads the array of choices at c, and reports whether it has any
// element. OpenRouter writes the provider's own finish reason beside a "stop" that it
// made of it: a failed provider shows there alone.
func (e *Event) readChoices(c *jsonscan.Cursor) bool {
	if !c.Enter('[') {
		c.Skip()
		return false
	}
	any := false
	for c.Elem() {
		any = true
		if c.Peek() != '{' {
			c.Skip()
			continue
		}
		var choice Choice
		failed := false
		for k, ok := c.First(); ok; k, ok = c.Key() {
			switch string(k) {
			case "index":
				choice.Index = readIndex(c)
			case "finish_reason":
				if c.Peek() != '"' {
					if c.Skip() {
						choice.Reason = OtherReason
					}
					continue
				}
				choice.Reason = reasonOf(c.Text())
				e.Refusal = e.Refusal || choice.Reason == RefusalReason
			case "error":
				failed = c.Skip() || failed
			case "native_finish_reason":
				failed = reasonOf(c.Text()) == ErrorReason || failed
			case "text":
				choice.Content = c.Skip() || choice.Content
			case "delta", "message":
				e.readDelta(c, &choice)
			default:
				c.Skip()
			}
		}
		if failed {
			choice.Reason = ErrorReason
		}
		e.Choices = append(e.Choices, choice)
	}
	return any
}

// readDelta reads the delta of a chat choice at c. Reasoning has a name of its own
// with nearly each provider. A role by itself is not content.
func (e *Event) readDelta(c *jsonscan.Cursor, choice *Choice) {
	for k, ok := c.First(); ok; k, ok = c.Key() {
		says := c.Skip()
		switch string(k) {
		case "role":
			choice.Role = choice.Role || says
		case "refusal":
			e.Refusal = e.Refusal || says
			choice.Content = choice.Content || says
		case "content", "tool_calls", "function_call", "audio", "images",
			"reasoning", "reasoning_content", "reasoning_details", "reasoning_text", "thinking":
			choice.Content = choice.Content || says
		}
	}
}

// readIndex reads the small number at c. A value of another kind is -1, so that
// it is a choice of its own.
func readIndex(c *jsonscan.Cursor) int {
	n := 0
	for _, b := range c.Value() {
		if b < '0' || b > '9' || n > 1<<20 {
			return -1
		}
		n = 10*n + int(b-'0')
	}
	return n
}

// isDone reports whether data is the marker at the end of a stream of the chat
// format.
func isDone(data []byte) bool {
	// The length first: most data is long, and starts with a brace.
	return len(data) < 16 && string(bytes.TrimSpace(data)) == "[DONE]"
}
