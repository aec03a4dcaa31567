package dialect

// role says who speaks in a turn.
//
// Chat and responses have all of them. Messages has no developer, and puts
// results into the user's turn.
type role uint8

const (
	roleUser role = iota
	roleAssistant
	roleSystem
	roleDeveloper
	roleTool // results of tools, and nothing else
)

// kind is what a part of a turn, or of an answer, is.
type kind uint8

const (
	kindText kind = iota
	kindReasoning
	kindCall   // a call of a tool
	kindResult // the result of a call
	kindImage
	kindFile  // a document
	kindAudio // sound, in a format named by its media's mime
	kindRefusal
)

// conversation is a request of any format. Its values alias the request.
//
// Each field has the form that most formats share, and a comment where it does not.
// A raw field is copied from the client's text to the upstream's.
type conversation struct {
	model raw
	turns []turn

	tools     []tool
	flat      map[string]flatName // functions in namespaces, by their flat names
	choice    choice
	allowed   []raw // names of the tools that may be called; nil where all may
	functions bool  // the client of chat calls tools functions, and takes one call
	parallel  raw   // true or false: may an answer call several tools at once

	maxTokens   raw
	temperature raw
	topP        raw
	stop        []raw
	output      output
	thinking    thinking
	verbosity   raw

	stream       bool
	includeUsage bool // a chat client wants the usage in its stream

	// Hints of both chat and responses.
	metadata, user, cacheKey, safetyID, tier raw

	echo echo
}

// turn is what one side says before the other one does.
//
// Results in a row are one turn, for they answer one turn of the assistant's.
type turn struct {
	role  role
	parts []part
}

// part is a piece of a turn or of an answer.
//
// Which of the fields are set depends on the kind. args of a call is a string in
// chat and responses ("{\"a\":1}"), and an object in messages ({"a":1}).
type part struct {
	kind  kind
	text  raw    // of text, reasoning and refusals: a string
	own   bool   // text is in memory of its own
	id    raw    // of a call, and of the call that a result is for
	name  raw    // of a call
	space raw    // of a call: the namespace of the function
	args  raw    // of a call: a string that holds JSON, or the object itself
	extra raw    // of a call in chat: extra_content, an object that the provider wants back
	free  bool   // of a call or result: the tool is a custom one, and args is plain text
	fail  bool   // of a result: the tool failed
	parts []part // of a result
	media media  // of images and documents
	seal  seal   // of reasoning
	after int64  // of reasoning in chat: the calls of the turn before it
	cites []citation
	cache raw // a mark for a cache of the prompt, for messages; nil without one
}

// media is an image or a document.
type media struct {
	mime   []byte // the inside of a string; empty where it is not known
	data   []byte // base64, the inside of a string
	url    raw
	name   raw
	detail raw
}

// tool is a function for the model to call.
//
// The text of schema and grammar is copied as it is. strict is true, false or
// nil.
type tool struct {
	name, description, schema, strict raw
	// A custom tool takes plain text. grammar is its format.
	custom  bool
	grammar raw
	cache   raw // a mark for a cache of the prompt, for messages; nil without one
}

// choiceKind is how free the model is in its choice of tools.
type choiceKind uint8

const (
	choiceUnset choiceKind = iota
	choiceAuto
	choiceNone
	choiceAny
	choiceTool
)

// choice says which tools the model may or must call.
type choice struct {
	kind choiceKind
	name raw // of choiceTool
}

// output is the wanted form of the answer.
type output struct {
	kind                              outputKind
	name, schema, strict, description raw
}

// outputKind is the form of an answer: text, any JSON object, or JSON of a schema.
type outputKind uint8

const (
	outputText outputKind = iota
	outputObject
	outputSchema
)

// thinking is how much a model shall reason.
//
// The formats ask in three ways: by a word, by a budget in tokens, or by leaving
// it to the model. effort.go turns one into another. off goes before the others.
type thinking struct {
	off      bool
	adaptive bool
	budget   int64 // in tokens; 0 where it is not set
	effort   raw   // a word as a string; nil where it is not set
}

// asked reports whether the client wants the model to reason.
func (t *thinking) asked() bool {
	return !t.off && (t.adaptive || t.budget > 0 || t.effort != nil && !is(t.effort, "none"))
}

// echo holds settings for an answer of responses to repeat.
type echo struct {
	instructions, maxOutput, maxCalls, metadata, parallel, reasoning, temperature,
	text, choice, tools, topP, truncation, user raw
}

// stopReason says why an answer ended.
//
// stopUnset means that the upstream has not said yet, or said a word of failure.
// Such an answer is not whole.
type stopReason uint8

const (
	stopUnset stopReason = iota
	stopEnd
	stopLength
	stopTool
	stopSequence
	stopRefusal
	stopPause
)

// reply is a whole answer of any format.
//
// Its values alias the upstream's answer.
type reply struct {
	id, model raw
	created   int64
	parts     []part
	stop      stopReason
	sequence  raw // the stop sequence that was met
	usage     Usage
}

// has reports whether a part of the answer is of a kind.
func (r *reply) has(k kind) bool {
	for i := range r.parts {
		if r.parts[i].kind == k {
			return true
		}
	}
	return false
}

// Usage is the tokens of an answer. Input is the whole prompt; Cached and
// CacheWrite are parts of it, and Reasoning is a part of Output.
type Usage struct {
	Input, Cached, CacheWrite, Output, Reasoning int64
	// Known is set once an upstream has told the tokens.
	Known bool
}
