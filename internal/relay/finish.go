package relay

import "strings"

// Reason is a class of finish reasons.
type Reason uint8

// The classes. They matter for three decisions: whether a silent stream may end,
// whether an answer is an error, and whether it is a refusal.
const (
	NoReason     Reason = iota
	StopReason          // the model was done, or stopped at a stop sequence
	LengthReason        // the output limit was reached
	RefusalReason
	ErrorReason // the provider failed, or gave the request up
	OtherReason // tool calls and all unknown reasons: more may follow
)

// reasons are the finish reasons with a meaning here, in the words of all
// formats. A reason of the table may be followed by a colon and details, as in
// Google's "content_filter: PROHIBITED_CONTENT".
// The source says who sends the word. Only the word and its class matter.
var reasons = []struct {
	word   string
	class  Reason
	source string
}{
	{"stop", StopReason, "OpenAI"},
	{"length", LengthReason, "OpenAI"},
	{"content_filter", RefusalReason, "OpenAI, Azure, Google's OpenAI endpoint"},
	{"sensitive", RefusalReason, "Zhipu, and Claude-compatible APIs"},
	{"refusal", RefusalReason, "Anthropic"},
	{"safety", RefusalReason, "Google, behind relays, as are the next six"},
	{"recitation", RefusalReason, "Google"},
	{"blocklist", RefusalReason, "Google"},
	{"prohibited_content", RefusalReason, "Google"},
	{"spii", RefusalReason, "Google"},
	{"image_safety", RefusalReason, "Google"},
	{"language", RefusalReason, "Google"},
	{"guardrail_intervened", RefusalReason, "Bedrock"},
	{"content_filtered", RefusalReason, "Bedrock"},
	{"error", ErrorReason, "OpenRouter, Mistral"},
	{"network_error", ErrorReason, "Zhipu"},
	{"insufficient_system_resource", ErrorReason, "DeepSeek"},
	{"abort", ErrorReason, "SGLang and vLLM, when an engine gives a request up"},
	{"cancelled", ErrorReason, "TensorRT-LLM, when it gives a request up"},
	{"timeout", ErrorReason, "TensorRT-LLM, when a request's time is up"},
	{"null", NoReason, "DashScope's own API, and relays that pass its chunks on"},
	{"None", NoReason, "servers in Python that print a missing value"},
}

// reasonOf classifies a finish reason as written in JSON, without its quotes. Google's
// are in capitals. A STOP in capitals is of a server that this package does not know:
// more may follow.
// Some servers send an empty one, or a word, in place of null.
func reasonOf(text []byte) Reason {
	if len(text) == 0 {
		return NoReason
	}
	for i := range reasons {
		word, class := reasons[i].word, reasons[i].class
		if len(text) < len(word) || len(text) > len(word) && text[len(word)] != ':' {
			continue
		}
		front := text[:len(word)]
		if string(front) == word || class != StopReason && class != LengthReason && strings.EqualFold(string(front), word) {
			return class
		}
	}
	return OtherReason
}
