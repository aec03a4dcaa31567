package aigateway

import (
	"cmp"
	"encoding/json"
	"strings"
)

// upstreamError reads the code and message out of an error body, in the shapes
// that providers use. Each part is looked at on its own: one of a strange type
// must not hide that the prompt was refused for what it says.
func upstreamError(body []byte) (code, message string) {
	var v any
	if json.Unmarshal(body, &v) != nil {
		return "", ""
	}
	if list, ok := v.([]any); ok && len(list) > 0 {
		v = list[0] // Google's
	}
	top, _ := v.(map[string]any)
	failed := top["error"]
	if response, ok := top["response"].(map[string]any); ok && failed == nil {
		failed = response["error"] // of a stream that ends in response.failed
	}
	e, ok := failed.(map[string]any)
	if !ok {
		return word(top["code"]), cmp.Or(said(failed), said(top["message"]), said(top["detail"]))
	}
	inner, _ := e["innererror"].(map[string]any) // Azure's
	codes := []string{word(e["code"]), word(inner["code"]), word(e["type"]), word(e["status"]), word(top["code"])}
	for _, c := range codes {
		if isContentRefusalCode(c) {
			return c, said(e["message"])
		}
	}
	return cmp.Or(codes...), cmp.Or(said(e["message"]), said(top["message"]))
}

// word is a code that is text: a number only repeats the status.
func word(v any) string {
	s, _ := v.(string)
	return s
}

// said is a message that may be a list, of texts or of what FastAPI has for each
// field that is wrong.
func said(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case map[string]any:
		return cmp.Or(said(v["msg"]), said(v["message"]))
	case []any:
		var parts []string
		for _, part := range v {
			if text := said(part); text != "" {
				parts = append(parts, text)
			}
		}
		return strings.Join(parts, "; ")
	}
	return ""
}
