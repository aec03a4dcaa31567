package expr

import (
	"slices"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
)

// RequestFacts is the client's request as `req.ai` shows it: numbers and words
// of the body, never its text. Absent numbers are 0, and absent text is empty.
type RequestFacts struct {
	Surface            string // chat-completions, messages, …
	Stream             bool
	InputTokens        int64 // an estimate
	MaxOutputTokens    int64 // as asked for
	Tools              int64 // tools offered, hosted ones too
	Images             int64 // in tool results too
	Audio              int64
	Documents          int64
	JSONSchema         bool // a JSON schema binds the answer
	Reasoning          bool // the request asks for reasoning
	ServiceTier        string
	User               string // metadata.user_id in messages
	PreviousResponseID string
}

// Facts is a set of fields of [RequestFacts].
//
// A caller that knows which facts its strategies read parses no more of a body
// than these need, see [Uses].
type Facts uint16

// The fields of [RequestFacts].
const (
	FactSurface Facts = 1 << iota
	FactStream
	FactInputTokens
	FactMaxOutputTokens
	FactTools
	FactImages
	FactAudio
	FactDocuments
	FactJSONSchema
	FactReasoning
	FactServiceTier
	FactUser
	FactPreviousResponseID

	allFacts = 1<<iota - 1
)

// ableFacts are the facts behind able().
const ableFacts = FactInputTokens | FactMaxOutputTokens | FactTools | FactImages | FactAudio | FactDocuments | FactJSONSchema

// fact is one field of req.ai. One of the readers is set.
// The reader decides on the type: text, count or is.
type fact struct {
	name    string
	bit     Facts
	text    func(*RequestFacts) string
	count   func(*RequestFacts) int64
	is      func(*RequestFacts) bool
	doc     string
	example string // a predicate, false for the request of the reference
}

// factTable lists the fields of req.ai.
// A new fact needs its row here, its bit above, and its reader in package
// reqbody.
func factTable() []fact {
	return []fact{
		{name: "surface", bit: FactSurface, text: func(f *RequestFacts) string { return f.Surface }, doc: "the endpoint, such as chat-completions, responses, messages, embeddings", example: "req.ai.surface == 'embeddings'"},
		{name: "stream", bit: FactStream, is: func(f *RequestFacts) bool { return f.Stream }, doc: "the client asks for a stream", example: "req.ai.stream"},
		{name: "input_tokens", bit: FactInputTokens, count: func(f *RequestFacts) int64 { return f.InputTokens }, doc: "tokens of the prompt, estimated", example: "req.ai.input_tokens > 100000"},
		{name: "max_output_tokens", bit: FactMaxOutputTokens, count: func(f *RequestFacts) int64 { return f.MaxOutputTokens }, doc: "tokens of the answer that the client asks for at most; 0 where it does not say", example: "req.ai.max_output_tokens > 4096"},
		{name: "tools", bit: FactTools, count: func(f *RequestFacts) int64 { return f.Tools }, doc: "tools that the model may call, the provider's own included", example: "req.ai.tools > 0"},
		{name: "images", bit: FactImages, count: func(f *RequestFacts) int64 { return f.Images }, doc: "images in the prompt, in results of tools too", example: "req.ai.images > 0"},
		{name: "audio", bit: FactAudio, count: func(f *RequestFacts) int64 { return f.Audio }, doc: "recordings in the prompt", example: "req.ai.audio > 0"},
		{name: "documents", bit: FactDocuments, count: func(f *RequestFacts) int64 { return f.Documents }, doc: "documents in the prompt, such as PDFs", example: "req.ai.documents > 0"},
		{name: "json_schema", bit: FactJSONSchema, is: func(f *RequestFacts) bool { return f.JSONSchema }, doc: "the answer must follow a JSON schema", example: "req.ai.json_schema"},
		{name: "reasoning", bit: FactReasoning, is: func(f *RequestFacts) bool { return f.Reasoning }, doc: "the client asks for reasoning", example: "req.ai.reasoning"},
		{name: "service_tier", bit: FactServiceTier, text: func(f *RequestFacts) string { return f.ServiceTier }, doc: "as the client sent it", example: "req.ai.service_tier == 'flex'"},
		{name: "user", bit: FactUser, text: func(f *RequestFacts) string { return f.User }, doc: "user of the body, metadata.user_id in messages", example: "req.ai.user == 'admin'"},
		{name: "previous_response_id", bit: FactPreviousResponseID, text: func(f *RequestFacts) string { return f.PreviousResponseID }, doc: "the response that the request goes on from", example: "req.ai.previous_response_id != ''"},
	}
}

// celType is the type of the fact in expressions.
func (f fact) celType() *types.Type {
	switch {
	case f.text != nil:
		return cel.StringType
	case f.count != nil:
		return cel.IntType
	}
	return cel.BoolType
}

// value reads the fact. Its Go type agrees with celType.
func (f fact) value(of *RequestFacts) any {
	switch {
	case f.text != nil:
		return f.text(of)
	case f.count != nil:
		return f.count(of)
	}
	return f.is(of)
}

// factsType is the CEL type of req.ai.
func factsType() *structType {
	var fields []structField
	for _, f := range factTable() {
		fields = append(fields, field(f.name, f.celType(), f.value))
	}
	return newStructType("request_facts", fields...)
}

// factBit returns the bit of a field, 0 for another name.
// It is asked for each field while an expression is compiled.
func factBit(name string) Facts {
	for _, f := range factTable() {
		if f.name == name {
			return f.bit
		}
	}
	return 0
}

// Able reports whether the known facts of a model fit a request. Unknown facts
// fit.
//
// A prompt must fit the context window together with the longest answer asked for.
// An image, recording or document needs a model that lists its modality. Tools and
// JSON schemas need the feature. A model without such a list counts as able: a
// config may be silent about modalities, and able() must not empty its lists.
func Able(m *Model, f *RequestFacts) bool {
	reads := func(n int64, modalities ...string) bool {
		return n == 0 || len(m.InputModalities) == 0 || slices.ContainsFunc(modalities, func(word string) bool { return slices.Contains(m.InputModalities, word) })
	}
	can := func(asked bool, feature string) bool {
		return !asked || len(m.SupportedFeatures) == 0 || slices.Contains(m.SupportedFeatures, feature)
	}
	return (m.MaxContextWindow == 0 || f.InputTokens <= m.MaxContextWindow-f.MaxOutputTokens) &&
		(m.MaxOutputTokens == 0 || f.MaxOutputTokens <= m.MaxOutputTokens) &&
		reads(f.Images, "image") && reads(f.Audio, "audio") && reads(f.Documents, "pdf", "file", "document") &&
		can(f.Tools > 0, "tool-calling") && can(f.JSONSchema, "structured-output")
}
