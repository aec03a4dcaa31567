package dialect

import (
	"bytes"
	"slices"
)

// overflowCode is the code of OpenAI's APIs for a conversation that is too long for its
// model, and overflowLead the front of the message of Anthropic's. Codex and Claude Code
// know them, and make a conversation shorter.
const (
	overflowCode = "context_length_exceeded"
	overflowLead = "prompt is too long"
)

// overflowWords are in the messages of servers about such a conversation, in small
// letters.
var overflowWords = [][]byte{
	[]byte(overflowCode),
	[]byte(overflowLead),
	[]byte("maximum context length"),                 // OpenAI, vLLM, DeepSeek, OpenRouter
	[]byte("model's context length"),                 // SGLang
	[]byte("exceeds the context window"),             // OpenAI's responses
	[]byte("exceeds the available context size"),     // llama.cpp
	[]byte("exceed context limit"),                   // Anthropic
	[]byte("input is too long"),                      // Bedrock
	[]byte("exceeds the maximum number of tokens a"), // Gemini
	[]byte("exceeded model token limit"),             // Moonshot
}

// overflows reports whether an error tells that the conversation is too long.
// A limit of rate may tell of tokens too.
func (p *problem) overflows(status int) bool {
	if status == 429 {
		return false
	}
	if is(p.code, overflowCode) {
		return true
	}
	words := bytes.ToLower(inner(p.message))
	for _, w := range overflowWords {
		if bytes.Contains(words, w) {
			return true
		}
	}
	return false
}

// overflow tells in the words of a format that the conversation is too long.
// The server's words stay.
func (p *problem) overflow(f Format) {
	if f != Messages {
		p.code = quote(overflowCode)
		return
	}
	words := inner(p.message)
	if small := bytes.ToLower(words); bytes.Contains(small, []byte(overflowLead)) || bytes.Contains(small, []byte("exceed context limit")) {
		return
	}
	p.message = slices.Concat(raw(`"`+overflowLead+`: `), words, raw(`"`))
}
