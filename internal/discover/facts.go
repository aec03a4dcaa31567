package discover

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/aigateway-go/aigateway/internal/bounds"
)

// listed is an item of a list, in the fields of all known servers. Of several
// fields for a fact, the first that is there counts.
//
// A server is known by the fields that it fills. A new one needs its field here,
// with its name beside it, and a place in [readModel].
type listed struct {
	ID          text `json:"id"`
	OwnedBy     text `json:"owned_by"`
	DisplayName text `json:"display_name"` // Anthropic
	Name        text `json:"name"`         // OpenRouter
	Description text `json:"description"`

	MaxModelLen      count `json:"max_model_len"`         // vLLM
	LoadedContext    count `json:"loaded_context_length"` // LM Studio: of the loaded instance
	ContextWindow    count `json:"context_window"`        // Groq, and gateways of this library
	ContextLength    count `json:"context_length"`        // OpenRouter, Together
	MaxContextLength count `json:"max_context_length"`    // Mistral, LM Studio
	MaxInputTokens   count `json:"max_input_tokens"`      // Anthropic
	MaxOutputTokens  count `json:"max_output_tokens"`     // gateways of this library
	MaxCompletion    count `json:"max_completion_tokens"` // Groq
	MaxTokens        count `json:"max_tokens"`            // Anthropic
	Quantization     text  `json:"quantization"`          // LM Studio
	Type             text  `json:"type"`                  // LM Studio, Together
	InputModalities  words `json:"input_modalities"`      // gateways of this library
	OutputModalities words `json:"output_modalities"`     // gateways of this library
	Features         words `json:"supported_features"`    // gateways of this library
	Parameters       words `json:"supported_parameters"`  // OpenRouter
	Capabilities     able  `json:"capabilities"`          // LM Studio: words; Mistral: flags

	Status struct { // llama.cpp as a router: how it starts the model
		Args args `json:"args"`
	} `json:"status"`
	Meta struct { // llama.cpp
		Context count `json:"n_ctx"`
		Trained count `json:"n_ctx_train"`
		Params  count `json:"n_params"`
	} `json:"meta"`
	Architecture struct { // OpenRouter
		Input  words `json:"input_modalities"`
		Output words `json:"output_modalities"`
	} `json:"architecture"`
	TopProvider struct { // OpenRouter
		Context   count `json:"context_length"`
		MaxOutput count `json:"max_completion_tokens"`
	} `json:"top_provider"`
	Pricing struct {
		Prompt     *price `json:"prompt"` // OpenRouter: per token
		Completion *price `json:"completion"`
		CacheRead  *price `json:"input_cache_read"`
		CacheWrite *price `json:"input_cache_write"`
		Input      *price `json:"input"` // Together, and gateways of this library: per million
		Output     *price `json:"output"`
	} `json:"pricing"`
}

// readModel reads an item. A field of an unexpected form is left out.
//
// Two servers may use one field in two senses. The order in which the fields are looked
// at decides: the context of the running instance comes before that of the model.
func readModel(raw json.RawMessage) Model {
	var in listed
	json.Unmarshal(raw, &in) //nolint:errcheck // the readable fields count
	id := string(in.ID)
	if in.OwnedBy == "google" {
		// Google lists models as resources, and answers to their bare names.
		id = strings.TrimPrefix(id, "models/")
	}
	m := Model{
		ID: id, DisplayName: string(first(in.DisplayName, in.Name)), Description: string(in.Description),
		ContextWindow: int64(first(in.MaxModelLen, in.LoadedContext, in.Meta.Context, in.Status.Args.context(), in.ContextWindow, in.TopProvider.Context,
			in.ContextLength, in.MaxContextLength, in.MaxInputTokens, in.Meta.Trained)),
		MaxOutput:        int64(first(in.MaxOutputTokens, in.TopProvider.MaxOutput, in.MaxCompletion, in.MaxTokens)),
		ParameterCount:   int64(in.Meta.Params),
		Quantization:     string(in.Quantization),
		InputModalities:  sorted(first2(in.InputModalities, in.Architecture.Input)),
		OutputModalities: sorted(first2(in.OutputModalities, in.Architecture.Output)),
		Prices:           in.prices(),
	}
	if m.DisplayName == m.ID {
		m.DisplayName = ""
	}
	m.able(append(append(words(nil), in.Features...), in.Parameters...), in.Capabilities, string(in.Type))
	return m
}

// prices reads prices per token, or per million tokens.
//
// OpenRouter tells prices per token, as text ("0.0000025"). The catalog has them per
// million, so the exponent grows by six.
// A list with prices per token never mixes them with prices per million.
func (in *listed) prices() Prices {
	p := in.Pricing
	if p.Prompt != nil || p.Completion != nil {
		return Prices{p.Prompt.times(6), p.Completion.times(6), p.CacheRead.times(6), p.CacheWrite.times(6)}
	}
	return Prices{p.Input.times(0), p.Output.times(0), p.CacheRead.times(0), p.CacheWrite.times(0)}
}

// featureOf translates the servers' words for abilities into the catalog's.
// Unknown words are left out, for a strategy knows the catalog's words only.
var featureOf = map[string]string{
	"tools": "tool-calling", "tool_use": "tool-calling", "function_calling": "tool-calling", "tool-calling": "tool-calling",
	"thinking": "reasoning", "reasoning": "reasoning",
	"structured_outputs": "structured-output", "structured-output": "structured-output",
	"vision": "vision",
}

// able reads abilities, and the kind of the model: LM Studio's llm, vlm and
// embeddings, Ollama's completion and embedding. Servers that tell capabilities
// have no word for structured output, and offer it with all models of text.
//
// Modalities told by the server stay. Otherwise they follow from the kind and
// the abilities, and stay unknown if those say nothing.
func (m *Model) able(features, capabilities []string, kind string) {
	abilities := append(slices.Clone(features), capabilities...)
	if len(capabilities) > 0 && !slices.ContainsFunc(capabilities, ofEmbeddings) {
		abilities = append(abilities, "structured-output")
	}
	if kind == "vlm" {
		abilities = append(abilities, "vision")
	}
	vision := false
	for _, word := range abilities {
		feature := featureOf[word]
		vision = vision || feature == "vision" || word == "multimodal"
		if feature != "" && !slices.Contains(m.Features, feature) {
			m.Features = append(m.Features, feature)
		}
	}
	slices.Sort(m.Features)
	switch has := func(word string) bool { return slices.Contains(abilities, word) }; {
	case m.InputModalities != nil || m.OutputModalities != nil:
	case kind == "embeddings" || kind == "embedding" || has("embedding") || has("embed"):
		m.InputModalities, m.OutputModalities = []string{"text"}, []string{"embedding"}
	case vision:
		m.InputModalities, m.OutputModalities = []string{"image", "text"}, []string{"text"}
	case kind == "llm" || has("completion") || has("completion_chat"):
		m.InputModalities, m.OutputModalities = []string{"text"}, []string{"text"}
	}
}

// ofEmbeddings reports whether an ability is one of models that write no text: of Ollama,
// and of Infinity.
func ofEmbeddings(ability string) bool {
	switch ability {
	case "embedding", "embed", "image_embed", "audio_embed", "rerank", "classify":
		return true
	}
	return false
}

// first is the first value that is not zero.
func first[T comparable](values ...T) T {
	var zero T
	for _, v := range values {
		if v != zero {
			return v
		}
	}
	return zero
}

// first2 is the first list that is not empty.
func first2(a, b words) words {
	if len(a) > 0 {
		return a
	}
	return b
}

// sorted is a copy without duplicates. Servers list such words in any order.
func sorted(w words) []string {
	if len(w) == 0 {
		return nil
	}
	out := slices.Clone([]string(w))
	slices.Sort(out)
	return slices.Compact(out)
}

// The types below read a field as far as it has the expected form, and stay zero
// otherwise: one odd field must not cost the list.

// maxText bounds a text of a list, in bytes, and maxWords the words of a field.
const (
	maxText  = 2048
	maxWords = 64
)

// text is a string of at most maxText bytes.
type text string

// UnmarshalJSON leaves other types and longer texts out.
func (t *text) UnmarshalJSON(raw []byte) error {
	var s string
	if json.Unmarshal(raw, &s) == nil && len(s) <= maxText {
		*t = text(s)
	}
	return nil
}

// words is a list of short names, in lower case.
type words []string

// UnmarshalJSON skips words that cannot be names, and words beyond maxWords.
func (w *words) UnmarshalJSON(raw []byte) error {
	var items []text
	if json.Unmarshal(raw, &items) != nil {
		return nil //nolint:nilerr // an odd field must not cost the list
	}
	for _, item := range items {
		if s := strings.ToLower(string(item)); isName(s) && len(*w) < maxWords {
			*w = append(*w, s)
		}
	}
	return nil
}

// able is a list of words, or an object of flags.
type able []string

// UnmarshalJSON takes both forms: ["tools", "vision"] and {"tools": true, "vision": false}.
func (a *able) UnmarshalJSON(raw []byte) error {
	var flags map[string]any
	if json.Unmarshal(raw, &flags) != nil {
		var w words
		err := w.UnmarshalJSON(raw)
		*a = able(w)
		return err
	}
	for word, on := range flags {
		if on == true && isName(word) && len(*a) < maxWords {
			*a = append(*a, strings.ToLower(word))
		}
	}
	slices.Sort(*a)
	return nil
}

// args is the command line of a model server.
type args []text

// UnmarshalJSON leaves a list of another form out.
func (a *args) UnmarshalJSON(raw []byte) error {
	var list []text
	if json.Unmarshal(raw, &list) == nil {
		*a = list
	}
	return nil
}

// context is the window that the command line sets, for all slots of the server
// together. It is zero if it sets none, or leaves it to the model.
func (a args) context() (n count) {
	for i := range a {
		switch name, value, joined := strings.Cut(string(a[i]), "="); {
		case name != "--ctx-size" && name != "-c":
		case joined:
			n.UnmarshalJSON([]byte(value)) //nolint:errcheck // never fails
		case i+1 < len(a):
			n.UnmarshalJSON([]byte(a[i+1])) //nolint:errcheck // likewise
		}
	}
	return n
}

// count is a positive number of tokens or weights.
type count int64

// UnmarshalJSON takes numbers, and numbers in a string.
//
// Other values, and numbers beyond 10¹⁵, stay 0.
func (c *count) UnmarshalJSON(raw []byte) error {
	v, err := strconv.ParseFloat(string(bytes.Trim(raw, `"`)), 64)
	if err == nil && v >= 1 && v <= 1e15 {
		*c = count(v)
	}
	return nil
}

// price is an amount in USD as decimal text. Negative amounts mean that the price
// varies.
type price string

// UnmarshalJSON keeps the text: "0.0000025" must not be rounded.
func (p *price) UnmarshalJSON(raw []byte) error {
	*p = price(bytes.Trim(raw, `"`))
	return nil
}

// times is the price times a power of ten, nil if it is unknown. The exponent is
// added to the decimal text, so that nothing is rounded twice.
func (p *price) times(exponent int) *float64 {
	if p == nil || len(*p) > 64 {
		return nil
	}
	mantissa, e, _ := strings.Cut(strings.ToLower(string(*p)), "e")
	n, err := strconv.Atoi(e)
	if e != "" && err != nil {
		return nil
	}
	v, err := strconv.ParseFloat(mantissa+"e"+strconv.Itoa(n+exponent), 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) || v < 0 || v > bounds.MaxPrice {
		return nil
	}
	return &v
}
