package relay

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/aigateway-go/aigateway/internal/jsonscan"
)

// Surface is a kind of answer in JSON. The zero Surface is any JSON.
//
// It decides which members an answer must have, see needs.
type Surface uint8

// The surfaces whose answers have a known form.
const (
	AnySurface Surface = iota
	ChatSurface
	CompletionsSurface
	EmbeddingsSurface
	ResponsesSurface
	MessagesSurface
	ImagesSurface
	ModerationsSurface
	RerankSurface
	TranscriptionSurface
	CountTokensSurface
	// RecordSurface is a stored thing: JSON, which may tell of an error of its own.
	RecordSurface
)

// Judging by the answer's own form catches errors of unknown shapes: an answer
// without its main member is not an answer, whatever else it holds.

// needs are the members that a whole answer must have, by surface. One of them is
// enough, if it is as full as it must be.
var needs = [...]struct {
	members [2]string
	full    fullness
}{
	AnySurface:           {},
	ChatSurface:          {[2]string{"choices"}, filledList},
	CompletionsSurface:   {[2]string{"choices"}, filledList},
	EmbeddingsSurface:    {[2]string{"data"}, filledList},
	ResponsesSurface:     {[2]string{"status", "output"}, says},
	MessagesSurface:      {[2]string{"type"}, says}, // and it must be message
	ImagesSurface:        {[2]string{"data"}, filledList},
	ModerationsSurface:   {[2]string{"results"}, present},
	RerankSurface:        {[2]string{"results", "data"}, present},
	TranscriptionSurface: {[2]string{"text"}, present},
	CountTokensSurface:   {[2]string{"input_tokens"}, says},
	RecordSurface:        {},
}

// fullness is the least that a member must be.
type fullness uint8

const (
	present    fullness = iota // not null
	says                       // not null, false, "", {} or []
	filledList                 // an array with an element
)

// Reasons why [Judge] does not take a body for an answer.
var (
	ErrEmptyBody = errors.New("answer is empty")
	ErrNotJSON   = errors.New("answer is not JSON")
	ErrBodyError = errors.New("answer is an error under a success status")
)

// MissingError reports an answer without the member that makes it one.
type MissingError struct{ Member string }

func (e *MissingError) Error() string { return fmt.Sprintf("answer has no %q", e.Member) }

// Verdict says what a whole answer is.
type Verdict struct {
	// Err is nil for an answer, and else [ErrEmptyBody], [ErrNotJSON], [ErrBodyError]
	// or a [*MissingError].
	Err error
	// Detail is the JSON object in which the error stands: the answer, or one of
	// its choices. It aliases the data. Nil without an ErrBodyError.
	Detail []byte
	// FinishReason is the finish reason that is an error, empty for other errors. It
	// aliases the data.
	FinishReason []byte
	// Empty: an answer of chat, completions, responses or messages without text, a
	// call of a tool or a refusal. Reasoning counts where a limit cut it off.
	Empty bool
	// Refusal: the model or its provider declined, for the prompt's content or for
	// the output's.
	Refusal bool
}

// Judge reads data, a whole and decoded JSON answer with a success status, in one
// pass that checks its syntax. It judges the answer by what its surface must have.
// An error in any known shape is an error too. "error": null is part of a good
// answer.
//
// Judge calls each, unless nil, with each top-level member: to meter it. The usage of a
// choice is called by that name too, before the choices. The arguments alias data. A bad
// answer has its members called too, up to a fault.
func Judge(surface Surface, data []byte, each func(name, value []byte)) Verdict {
	j := judge{surface: surface, c: jsonscan.Strict(data)}
	switch b := j.c.Peek(); {
	case b == 0 && j.c.Offset() == len(data):
		return Verdict{Err: ErrEmptyBody}
	case b == '{':
		j.object(each)
	default:
		j.c.Skip()
	}
	if j.c.Bad() || j.c.Peek() != 0 || j.c.Offset() < len(data) {
		if !json.Valid(data) {
			return Verdict{Err: ErrNotJSON}
		}
		// Valid, but too deep for a strict cursor.
		j = judge{surface: surface, c: jsonscan.Lenient(data)}
		if j.c.Peek() == '{' {
			j.object(nil)
		}
	}
	return j.verdict(data)
}

// judge collects what an answer holds.
//
// It is filled in one pass, and verdict decides when all of it is known: the
// member that tells of an error may be the last one.
type judge struct {
	surface Surface
	c       jsonscan.Cursor
	shape   errorShape

	isObject bool
	has      bool // a member that the surface needs
	members  int

	failed   []byte // the choice with an error and without content
	reason   []byte // its finish reason
	status   []byte
	isMsg    bool // type is message
	choices  int
	noAnswer bool // the first choice has neither message nor text
	word     bool
	thought  bool // reasoning
	limited  bool // cut by a limit
	refusal  bool
}

// object reads the members of the document. each gets every member with its value,
// in raw JSON.
func (j *judge) object(each func(name, value []byte)) {
	j.isObject = true
	c := &j.c
	for name, ok := c.First(); ok; name, ok = c.Key() {
		b := c.Peek()
		from := c.Offset()
		j.members++
		j.member(name, b, each)
		if c.Bad() {
			return
		}
		if each != nil {
			each(name, c.Since(from))
		}
	}
}

// member reads one top-level member. Its value begins with b. Members of all
// formats are read on all surfaces: their names do not collide, and servers mix
// them.
func (j *judge) member(name []byte, b byte, each func(name, value []byte)) {
	c := &j.c
	from := c.Offset()
	need := &needs[j.surface]
	needed := string(name) == need.members[0] || need.members[1] != "" && string(name) == need.members[1]
	switch string(name) {
	case "error", "errors", "fault", "Error", "success", "detail", "message", "msg", "code", "status_code", "base_resp", "object":
		j.shape.read(name, c)
	case "type":
		typ := c.Text()
		j.shape.marked = j.shape.marked || string(typ) == "error"
		j.isMsg = string(typ) == "message"
	case "choices":
		j.readChoices(each)
	case "status":
		j.status = c.Text()
	case "output":
		j.readOutput()
	case "content":
		j.readContent()
	case "incomplete_details":
		if reason := member(c, "reason"); reason != nil {
			j.refusal = j.refusal || reasonOf(reason) == RefusalReason
			j.limited = j.limited || reasonOf(reason) != RefusalReason
		}
	case "stop_reason":
		reason := c.Text()
		switch {
		case reasonOf(reason) == RefusalReason:
			j.refusal = true
		case reasonOf(reason) == ErrorReason:
			j.reason = reason
		case string(reason) == "max_tokens":
			j.limited = true
		}
	default:
		c.Skip()
	}
	if !needed || c.Bad() {
		return
	}
	value := c.Since(from)
	switch need.full {
	case present:
		j.has = j.has || b != 'n'
	case says:
		j.has = j.has || b != 'n' && b != 'f' && !isVoid(value)
	case filledList:
		j.has = j.has || b == '[' && !isVoid(value)
	}
}

// isVoid reports whether a value is "", {} or [].
func isVoid(value []byte) bool {
	switch value[0] {
	case '"', '{', '[':
		return jsonscan.SkipSpace(value, 1) == len(value)-1 && (value[0] != '"' || len(value) == 2)
	}
	return false
}

// readChoices reads the choices of a chat or of completions. A choice with an error
// and without content fails the answer, also beside good ones: the client asked
// for each.
func (j *judge) readChoices(each func(name, value []byte)) {
	c := &j.c
	if !c.Enter('[') {
		c.Skip()
		return
	}
	for c.Elem() {
		j.choices++
		c.Peek()
		from := c.Offset()
		if c.Peek() != '{' {
			c.Skip()
			j.noAnswer = j.noAnswer || j.choices == 1
			continue
		}
		var answered, word, thought, failed bool
		var reason, native []byte
		for name, ok := c.First(); ok; name, ok = c.Key() {
			switch string(name) {
			case "message", "delta":
				answered = c.Peek() == '{' || answered
				w, t := j.readMessage()
				word, thought = word || w, thought || t
			case "text":
				answered = c.Peek() == '"' || answered
				word = isWord(c.Text()) || word
			case "finish_reason":
				text := c.Text()
				switch reasonOf(text) {
				case ErrorReason:
					failed, reason = true, text
				case RefusalReason:
					j.refusal = true
				case LengthReason:
					j.limited = true
				case NoReason, StopReason, OtherReason:
				}
			case "error":
				failed = c.Skip() || failed
			case "native_finish_reason": // see Event.readChoices
				if text := c.Text(); reasonOf(text) == ErrorReason {
					failed, native = true, text
				}
			case "usage":
				c.Peek()
				value := c.Offset()
				if c.Skip() && each != nil {
					each(name, c.Since(value))
				}
			default:
				c.Skip()
			}
		}
		if c.Bad() {
			return
		}
		if reason == nil {
			reason = native
		}
		if failed && !word && !thought && j.failed == nil {
			j.failed, j.reason = c.Since(from), reason
		}
		j.noAnswer = j.noAnswer || j.choices == 1 && !answered
		j.word, j.thought = j.word || word, j.thought || thought
	}
}

// readMessage reads the message of a choice. A word is text, a tool call, a refusal,
// sound or an image. A thought is reasoning.
func (j *judge) readMessage() (word, thought bool) {
	c := &j.c
	for name, ok := c.First(); ok; name, ok = c.Key() {
		switch string(name) {
		case "content":
			switch c.Peek() {
			case '"':
				word = isWord(c.Text()) || word
			case '[': // of parts: Mistral's and Databricks' may hold reasoning alone
				was, thinks := j.word, j.thought
				j.word, j.thought = false, false
				j.readContent()
				word, thought = word || j.word, thought || j.thought
				j.word, j.thought = was, thinks
			default:
				word = c.Skip() || word
			}
		case "refusal":
			says := c.Skip()
			word, j.refusal = word || says, j.refusal || says
		case "tool_calls", "function_call", "audio", "images":
			word = c.Skip() || word
		case "reasoning", "reasoning_content", "reasoning_details", "reasoning_text", "thinking":
			thought = c.Skip() || thought
		default:
			c.Skip()
		}
	}
	return word, thought
}

// isWord reports whether the inside of a string, still escaped, is more than white
// space.
func isWord(text []byte) bool {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case ' ':
		case '\\':
			if i++; i == len(text) || text[i] != 'n' && text[i] != 't' && text[i] != 'r' {
				return true
			}
		default:
			return true
		}
	}
	return false
}

// readOutput reads the output of a response. Its items are messages, reasoning, and
// calls of many kinds. Unknown kinds count as calls.
func (j *judge) readOutput() {
	c := &j.c
	if !c.Enter('[') {
		c.Skip()
		return
	}
	for c.Elem() {
		var typ []byte
		for name, ok := c.First(); ok; name, ok = c.Key() {
			switch string(name) {
			case "type":
				typ = c.Text()
			case "content":
				j.readContent()
			default:
				c.Skip()
			}
		}
		switch string(typ) {
		case "", "message":
		case "reasoning":
			j.thought = true
		default:
			j.word = true // a call
		}
	}
}

// readContent reads the parts of a message, of responses or messages. Unknown kinds
// of parts count as words: a new kind must not make an answer empty.
func (j *judge) readContent() {
	c := &j.c
	if !c.Enter('[') {
		if c.Peek() == '"' {
			j.word = isWord(c.Text()) || j.word
		} else {
			c.Skip()
		}
		return
	}
	for c.Elem() {
		if c.Peek() != '{' {
			j.word = c.Skip() || j.word
			continue
		}
		var typ []byte
		word, other := false, false
		for name, ok := c.First(); ok; name, ok = c.Key() {
			switch string(name) {
			case "type":
				typ = c.Text()
			case "text", "refusal":
				word = isWord(c.Text()) || word
			default:
				other = c.Skip() || other
			}
		}
		switch string(typ) {
		case "": // DashScope's parts tell their kind by a name: text, image, audio
			j.word = j.word || word || other
		case "text", "output_text":
			j.word = j.word || word
		case "reasoning", "reasoning_text", "summary_text", "thinking", "redacted_thinking":
			j.thought = true
		case "refusal":
			j.word, j.refusal = true, true
		default:
			j.word = true // a call, or what it brought
		}
	}
}

// verdict decides, from the strongest sign to the weakest: an error object, a
// failed status, a failed choice, a missing member.
//
// A record of a stored thing may hold an error as its content, such as a batch
// that failed. It is never an error of the request.
func (j *judge) verdict(data []byte) Verdict {
	v := Verdict{Refusal: j.refusal}
	need := &needs[j.surface]
	if j.surface == MessagesSurface {
		j.has = j.isMsg
	}
	switch {
	case j.surface == RecordSurface:
		return Verdict{}
	case !j.isObject && isErrorList(data):
		return Verdict{Err: ErrBodyError, Detail: data}
	case !j.isObject && !j.isBare(data):
		return Verdict{Err: &MissingError{Member: need.members[0]}}
	case !j.isObject:
		return Verdict{}
	case j.shape.kind(j.has) == Error, j.shape.kind(j.has) == Suspect && j.bare():
		v.Err, v.Detail = ErrBodyError, data
	case j.surface == ResponsesSurface && string(j.status) == "failed":
		v.Err, v.Detail = ErrBodyError, data
	case j.failed != nil:
		v.Err, v.Detail, v.FinishReason = ErrBodyError, j.failed, j.reason
	case j.surface == MessagesSurface && j.reason != nil && !j.word:
		v.Err, v.Detail, v.FinishReason = ErrBodyError, data, j.reason
	case j.surface == AnySurface:
	case !j.has:
		v.Err = &MissingError{Member: need.members[0]}
	case (j.surface == ChatSurface || j.surface == CompletionsSurface) && j.noAnswer:
		v.Err = &MissingError{Member: "message"}
		if j.surface == CompletionsSurface {
			v.Err = &MissingError{Member: "text"}
		}
	}
	switch j.surface {
	case ChatSurface, CompletionsSurface, ResponsesSurface, MessagesSurface:
		v.Empty = v.Err == nil && !j.word && !v.Refusal && !(j.thought && j.limited) && !j.pending()
	}
	return v
}

// bare reports whether an object with a message and without the needed member is
// an error: on any surface that needs one, and else where nothing but the error is
// in it.
func (j *judge) bare() bool {
	return j.surface != AnySurface && !j.has || j.surface == AnySurface && j.members == 1
}

// pending reports whether a response has not ended: a background response is
// empty at first.
func (j *judge) pending() bool {
	return string(j.status) == "queued" || string(j.status) == "in_progress"
}

// isBare reports whether JSON that is no object is an answer: on a surface without a
// form, and where servers send the main member alone. SGLang and text-embeddings-inference
// rank in a bare list. Servers of transcriptions write the text as a JSON string.
func (j *judge) isBare(data []byte) bool {
	c := jsonscan.Lenient(data)
	switch j.surface {
	case AnySurface:
		return true
	case RerankSurface:
		return c.Enter('[') && (!c.Elem() || c.Peek() == '{')
	case TranscriptionSurface:
		return c.Peek() == '"'
	}
	return false
}

// isErrorList reports whether data is a list whose first element is an error, as
// Google sends it.
func isErrorList(data []byte) bool {
	c := jsonscan.Lenient(data)
	if !c.Enter('[') || !c.Elem() {
		return false
	}
	var w errorShape
	w.object(&c)
	return w.kind(false) == Error
}

// JudgeFront says, of the front of a decoded answer that is too large to be held,
// whether it may be JSON.
func JudgeFront(front []byte) bool {
	front = bytes.TrimLeft(front, " \t\r\n")
	return len(front) == 0 || front[0] == '{' || front[0] == '[' || front[0] == '"'
}
