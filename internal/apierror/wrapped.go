package apierror

import (
	"encoding/json"
	"strings"
)

// maxHead bounds a relay's words before the error that it wraps, in bytes.
const maxHead = 200

// wrapped reads an error that stands in a message, behind a relay's words. It is one of
// the upstream's own upstream:
//
//	litellm.APIConnectionError: OllamaException - {"error":"model 'm' not found"}
//	Error code: 400 - {'error': {'message': "This model's maximum context length is …"}}
//
// The message keeps its text. Only an object behind ": " or " - " counts, for others may
// be what a client wrote.
func (r *Report) wrapped(text string, depth int) {
	at := strings.IndexByte(text, '{')
	if at < 0 || at > maxHead || r.inner != nil || depth >= maxDepth {
		return
	}
	if head := text[:at]; !strings.HasSuffix(head, ": ") && !strings.HasSuffix(head, " - ") {
		return
	}
	if v, ok := literal(text[at:]); ok {
		r.inner = &Report{}
		r.inner.value(v, depth+1)
		if r.inner.Status == 0 {
			r.inner.Status = standsFor(r.inner.words)
		}
	}
}

// literal reads the object at the beginning of a text, in JSON or as Python prints it.
func literal(text string) (v any, ok bool) {
	if v, ok = decode([]byte(text)); !ok {
		v, ok = decode([]byte(fromPython(text)))
	}
	_, is := v.(map[string]any)
	return v, ok && is
}

// fromPython is a Python literal as JSON: {'error': "it's", 'code': None}. A text that is
// not one becomes something that is not JSON.
func fromPython(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '\'' || c == '"':
			s, rest := pythonString(text[i+1:], c)
			quoted, err := json.Marshal(s)
			if err != nil {
				return ""
			}
			b.Write(quoted)
			i = len(text) - len(rest)
		case strings.HasPrefix(text[i:], "None"):
			b.WriteString("null")
			i += len("None")
		case strings.HasPrefix(text[i:], "True"), strings.HasPrefix(text[i:], "False"):
			b.WriteByte(c | 0x20)
			i++
		default:
			b.WriteByte(c)
			i++
		}
	}
	return b.String()
}

// pythonString reads a string up to its closing mark. Without one it takes the rest.
func pythonString(text string, mark byte) (s, rest string) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == mark:
			return b.String(), text[i+1:]
		case c == '\\' && i+1 < len(text):
			i++
			switch text[i] {
			case 'n', 't', 'r':
				b.WriteByte(' ')
			default:
				b.WriteByte(text[i])
			}
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), ""
}
