// Package dialect translates between the three formats of chat models:
// chat/completions, responses, and messages.
//
// A [Translator] serves one attempt: it makes the upstream's request of the
// client's, and the client's answer of the upstream's, whole or as a stream. A
// decoder for each format reads into one small model, and an encoder for each
// format writes from it. Text is copied with its escapes and never decoded.
//
// Fields without a counterpart are dropped and named in a [Report]. The table
// in fields.go lists them.
//
// # Files
//
// Each format has five files of its own, named after it (chat_, responses_ and
// messages_):
//
//   - …_request.go decodes a client's request into a conversation.
//   - …_request_encode.go writes a conversation as the upstream's request.
//   - …_answer.go decodes and encodes a whole answer.
//   - …_stream.go decodes the events of an upstream, and …_stream_encode.go
//     writes the events for a client. stream.go joins the two.
//
// Shared by all:
//
//   - model.go is the model in the middle: conversation, turn, part and reply.
//   - cursor.go reads JSON where it lies; writer.go writes it; sse.go splits a
//     stream into events; balance.go follows arguments that come in pieces.
//   - tools.go, calls.go, schema.go, effort.go, media.go, usage.go, errors.go,
//     overflow.go and namespace.go read and write what the formats have in common.
//   - claude.go and models.go know what the models of a maker take.
//   - seal.go and details.go carry the proof of reasoning through a client of
//     another format; cut.go takes it out again before its own provider.
//   - fields.go and report.go name what is lost.
//
// A new top-level field begins with a row in fields.go. A field that is carried
// needs a case in the decoder of its format, a place in the conversation, and a
// line in each encoder that has a counterpart.
package dialect

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
)

// Format is one of the formats of chat models.
//
// Its number is an index into tables of this package. Other numbers are unknown
// formats, and [For] refuses them.
type Format uint8

// The formats. They are the columns in the table of fields, in this order.
const (
	Chat Format = iota
	Responses
	Messages

	formats = 3
)

// String is the name of the format, as it stands in headers and results.
func (f Format) String() string {
	switch f {
	case Chat:
		return "chat"
	case Responses:
		return "responses"
	case Messages:
		return "messages"
	}
	return "unknown"
}

// Path is the path of the format's surface, below /v1.
func (f Format) Path() string {
	if f == Chat {
		return "chat/completions"
	}
	return f.String()
}

// CountPath is the path of the format's surface for counting tokens, below /v1.
// Empty for chat: it has no such surface.
func (f Format) CountPath() string {
	switch f {
	case Responses:
		return "responses/input_tokens"
	case Messages:
		return "messages/count_tokens"
	}
	return ""
}

// ErrMalformed says that a body is not JSON, or not of its format.
var ErrMalformed = errors.New("the body does not have the form of its API")

// Options are facts about the upstream and the request. The zero value suits an
// unknown upstream.
//
// They come from the config and the catalog, for the candidate of one attempt.
type Options struct {
	// Model replaces the client's model. Empty keeps it.
	Model string
	// MaxTokens is the output limit of the model. Messages requires a limit, and
	// this one stands in for the client's. 0 means 8,192.
	MaxTokens int64
	// MaxCompletionTokens names the limit max_completion_tokens in chat, as
	// reasoning models of OpenAI want it, and not max_tokens. It is set for OpenAI's
	// own API, which also takes instructions within a conversation.
	MaxCompletionTokens bool
	// NoReasoning is set for a model that is known not to reason. Many APIs refuse to
	// be asked for it then.
	NoReasoning bool
	// NoStreamUsage leaves stream_options out of a chat request.
	NoStreamUsage bool
	// Now is the time of the answer in seconds since 1970. The upstream's own
	// goes before it.
	Now int64
}

// Translator translates one request and its answer. It is not for concurrent use.
type Translator struct {
	client, upstream Format
	opts             Options

	// What the answer repeats of the request. It aliases the request's body.
	echo         echo
	model        raw // the client's name for it
	asked        raw // the upstream's, as its request has it
	includeUsage bool
	functions    bool                // a client of chat looks for function_call
	custom       map[string]struct{} // names of custom tools
	flat         map[string]flatName // by the flat names
	long         map[string]raw      // names of tools, by the short ones
	calls        []raw               // the ids of the conversation's calls

	usage Usage
	newID func(prefix string) string
}

// For returns a translator for a client and an upstream. It returns false if
// they speak the same format.
//
// A translator is made for each attempt: its options and ids belong to one
// candidate.
func For(client, upstream Format) (*Translator, bool) {
	if client == upstream || client >= formats || upstream >= formats {
		return nil, false
	}
	return &Translator{client: client, upstream: upstream, newID: randomID}, true
}

// Name says what is translated to what: messages-to-chat.
func (t *Translator) Name() string { return t.client.String() + "-to-" + t.upstream.String() }

// Usage returns the tokens told by the upstream so far.
func (t *Translator) Usage() Usage { return t.usage }

// Request makes the upstream's request of the client's. The body must stay
// unchanged while the translator is in use. The error is [ErrMalformed]. Where
// the report has a reason to refuse, out is nil.
//
// The order is: decode, and name the fields that are lost; stop at a fault or a
// refusal; keep what the answer needs of the request; encode.
func (t *Translator) Request(body []byte, opts Options) (out []byte, report Report, err error) {
	t.opts = opts
	var c conversation
	d := reader{cursor: cursor{b: body}, from: t.client, to: t.upstream, report: &report, conversation: &c}
	switch t.client {
	case Chat:
		d.chatRequest()
	case Responses:
		d.responsesRequest()
	case Messages:
		d.messagesRequest()
	}
	// A body with anything after its object is refused as well.
	if !d.done() || d.wrong {
		return nil, report, ErrMalformed
	}
	if report.Refuse != "" {
		return nil, report, nil
	}
	t.echo, t.includeUsage, t.functions = c.echo, c.includeUsage, c.functions
	if c.functions {
		c.parallel = raw("false")
	}
	t.custom, t.flat, t.calls = nil, c.flat, c.callIDs()
	for i := range c.tools {
		if c.tools[i].custom {
			if t.custom == nil {
				t.custom = map[string]struct{}{}
			}
			t.custom[text(c.tools[i].name)] = struct{}{}
		}
	}
	t.long = c.shorten()
	c.uniqueTools(&report)
	c.settleResults()
	// The loss is named only if the client had asked for reasoning.
	if opts.NoReasoning {
		if c.thinking.asked() {
			report.Lose(effortNames[t.client])
		}
		c.thinking = thinking{}
	}
	t.model = c.model
	if opts.Model != "" {
		c.model = quote(opts.Model)
	}
	t.asked = c.model
	// The room suits most bodies: the formats differ in frames, and not in text.
	w := requestWriter{writer: writer{b: make([]byte, 0, len(body)+len(body)/16+512)}, opts: &t.opts, report: &report, effortName: effortNames[t.client]}
	switch t.upstream {
	case Chat:
		w.chatRequest(&c)
	case Responses:
		w.responsesRequest(&c)
	case Messages:
		w.messagesRequest(&c)
	}
	return w.b, report, nil
}

// effortNames are the fields for asking for reasoning.
//
// A loss is named in the client's words, and not in the upstream's.
var effortNames = [formats]string{Chat: "reasoning_effort", Responses: "reasoning", Messages: "thinking"}

// reader decodes a request into a conversation.
//
// Its methods for the three formats read from the same cursor. A method that
// reads a member leaves the cursor behind the member's value.
type reader struct {
	cursor
	from, to     Format
	report       *Report
	wrong        bool  // the body is JSON, but not of its format
	depth        int   // of blocks in blocks
	inNamespace  bool  // the tools are those of a namespace
	answer       bool  // the items are those of an answer
	added        []raw // tools in items of the input, unread
	conversation *conversation
}

// requestWriter encodes a conversation as a request.
//
// Its methods come in the order of the members that they write. A loss that
// depends on the upstream's format is named here, and not by the reader.
type requestWriter struct {
	writer
	opts       *Options
	report     *Report
	effortName string // the client's field that asks for reasoning
}

// Answer makes the client's answer of a whole answer of the upstream's. An error
// in place of an answer is [ErrMalformed] too: Error translates it. [ErrUpstream] is an
// answer whose finish reason is a failure.
//
// The answer's tokens are in Usage afterwards.
func (t *Translator) Answer(body []byte) ([]byte, error) {
	var r reply
	if err := t.read(body, &r); err != nil {
		return nil, err
	}
	w := answerWriter{writer: writer{b: make([]byte, 0, len(body)+len(body)/8+1024)}, t: t}
	switch t.client {
	case Chat:
		w.chatAnswer(&r)
	case Responses:
		w.responsesAnswer(&r)
	case Messages:
		w.messagesAnswer(&r)
	}
	return w.b, nil
}

// AnswerStream makes the client's stream of a whole answer, as some servers do not
// stream. Its errors are those of Answer.
//
// The client asked for a stream and gets events, all at once.
func (t *Translator) AnswerStream(body []byte) ([]byte, error) {
	var r reply
	if err := t.read(body, &r); err != nil {
		return nil, err
	}
	s := t.Stream()
	u := r.usage
	// The encoder reads its usage from the stream, as for events.
	s.tokens = tokens{input: u.Input, cached: u.Cached, written: u.CacheWrite, output: u.Output, reasoning: u.Reasoning, known: u.Known}
	s.stop, s.sequence = r.stop, r.sequence
	s.begin(r.id, r.model, r.created)
	s.whole(r.parts, 0)
	if s.end(); s.err != nil {
		return nil, s.err
	}
	return s.out.b, nil
}

// read reads a whole answer of the upstream's.
//
// An answer without a time of its own gets [Options.Now].
func (t *Translator) read(body []byte, r *reply) error {
	a := answerReader{cursor: cursor{b: body}, t: t, reply: r}
	ok := false
	switch t.upstream {
	case Chat:
		ok = a.chatAnswer()
	case Responses:
		ok = a.responsesAnswer()
	case Messages:
		ok = a.messagesAnswer()
	}
	switch {
	case a.failed:
		return ErrUpstream
	case !ok || !a.done():
		return ErrMalformed
	}
	t.usage = r.usage
	if r.created == 0 {
		r.created = t.opts.Now
	}
	return nil
}

// answerReader decodes an answer into a reply.
type answerReader struct {
	cursor
	t      *Translator
	reply  *reply
	failed bool // the answer says that it ended in a failure
}

// answerWriter encodes a reply.
type answerWriter struct {
	writer
	t *Translator
}

// isCustom reports whether the client offered a custom tool of this name.
//
// The names are the client's own, after [Translator.ownName].
func (t *Translator) isCustom(name raw) bool {
	if t.custom == nil {
		return false
	}
	_, ok := t.custom[text(name)]
	return ok
}

// answerID makes the id of an answer from the upstream's.
//
// The id "abc" of a server of chat becomes "msg_abc" for a client of messages.
// The same id always becomes the same one.
func (t *Translator) answerID(prefix string, id raw) raw {
	in := inner(id)
	if len(in) == 0 {
		return quote(t.newID(prefix))
	}
	if len(in) > len(prefix) && string(in[:len(prefix)]) == prefix {
		return id
	}
	v := make([]byte, 0, len(id)+len(prefix))
	v = append(v, '"')
	v = append(v, prefix...)
	v = append(v, in...)
	return append(v, '"')
}

// modelName is the model in an answer of messages: the client's name for it, or else
// the upstream's. Claude Code leaves out the thinking of a model of another name.
func (t *Translator) modelName(upstream raw) raw {
	if blank(t.model) {
		return t.served(upstream)
	}
	return t.model
}

// served is the model in an answer of chat or responses: the upstream's name for it, or
// the one that it was asked for where it tells none. SDKs show it.
func (t *Translator) served(upstream raw) raw {
	if blank(upstream) {
		return t.asked
	}
	return upstream
}

// callID is the id of a call. It is made up if the upstream gave none, a huge one, or that
// of an earlier call: clients tell calls apart by their ids. given holds the answer's.
func (t *Translator) callID(id raw, given map[string]struct{}) raw {
	_, again := given[string(id)]
	if again || blank(id) || len(id) > maxCallName || slices.ContainsFunc(t.calls, func(c raw) bool { return bytes.Equal(c, id) }) {
		return quote(t.newID("call_"))
	}
	given[string(id)] = struct{}{}
	return id
}

// randomID makes a new id.
//
// 24 letters of 62 have 142 bits of chance. The ids name things for a client.
// They are not secrets.
func randomID(prefix string) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	b := make([]byte, 0, len(prefix)+24)
	b = append(b, prefix...)
	for range 24 {
		b = append(b, letters[rand.IntN(len(letters))])
	}
	return string(b)
}
