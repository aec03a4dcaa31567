package dialect

import (
	"hash/fnv"
	"strings"
)

// mistralBridge stands between a result and the next words of the user.
const mistralBridge = `{"role":"assistant","content":"OK."}`

// isMistral reports whether a model is one of Mistral's: mistral-large-latest,
// mistralai/Devstral-Small-2-24B, pixtral-12b. Their API and their templates, whoever
// serves them, refuse ids of calls of another form, and a user behind a result.
func isMistral(model string) bool {
	model = strings.ToLower(model)
	for _, family := range []string{"mistral", "mixtral", "ministral", "devstral", "codestral", "magistral", "pixtral", "voxtral"} {
		if strings.Contains(model, family) {
			return true
		}
	}
	return false
}

// mistralID is the id of a call in the form that Mistral takes: nine letters and digits.
// The same id always becomes the same one.
func mistralID(id raw) raw {
	const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	in := inner(id)
	fits := len(in) == 9
	for _, c := range in {
		fits = fits && strings.IndexByte(letters, c) >= 0
	}
	if fits {
		return id
	}
	h := fnv.New64a()
	h.Write(in)
	out := raw(`"000000000"`)
	for n, i := h.Sum64(), 1; i < 10; i++ {
		out[i] = letters[n%uint64(len(letters))]
		n /= uint64(len(letters))
	}
	return out
}

// mistralIDs gives the calls and results of a conversation ids that Mistral takes.
func mistralIDs(turns []turn) {
	for i := range turns {
		for j := range turns[i].parts {
			if p := &turns[i].parts[j]; p.kind == kindCall || p.kind == kindResult {
				p.id = mistralID(p.id)
			}
		}
	}
}

// wantsReasoning reports whether a model's API refuses a turn of the assistant without the
// reasoning that led to it, as that of DeepSeek does.
func wantsReasoning(model string) bool {
	model = strings.ToLower(model)
	return strings.Contains(model, "deepseek-v4") || strings.Contains(model, "deepseek-reasoner")
}
