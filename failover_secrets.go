package aigateway

import (
	"net/http"
	"slices"
	"strings"
)

// hide notes a value that goes into an attempt and is secret, to be cut out of
// what comes back.
func (t *templates) hide(value string) {
	if value != "" && !slices.ContainsFunc(t.used, func(u usedSecret) bool { return u.value.Reveal() == value }) {
		t.used = append(t.used, usedSecret{value: newSecret(value)})
	}
}

// minPiece is how much of a secret a value must have in it to be one as well, in
// bytes. An expression may also look at a secret and come to something else, such
// as "application/json", which tells nothing and is found in many answers.
const minPiece = 6

// holdsPiece reports whether a piece of a secret is in a value, in whatever letter
// case.
func holdsPiece(value, secret string) bool {
	value, secret = strings.ToLower(value), strings.ToLower(secret)
	for i := 0; i+minPiece <= len(value); i++ {
		if strings.Contains(secret, value[i:i+minPiece]) {
			return true
		}
	}
	return false
}

// evaluate evaluates a template. What it makes of a secret is one as well.
func evaluate[T any](t *templates, eval func() (T, error)) (T, error) {
	t.err = nil // of an earlier template, which may have gone on without that secret
	before := len(t.used)
	v, err := eval()
	if len(t.used) > before {
		t.hideDerived(v, t.used[before:])
	}
	return v, err
}

// hideDerived notes the texts in a value that hold something of the secrets that it
// was made of.
func (t *templates) hideDerived(v any, of []usedSecret) {
	switch v := v.(type) {
	case string:
		_, bare, _ := strings.Cut(v, " ") // behind a scheme
		for _, text := range []string{v, bare} {
			if slices.ContainsFunc(of, func(u usedSecret) bool { return holdsPiece(text, u.value.Reveal()) }) {
				t.hide(text)
			}
		}
	case []any:
		for _, child := range v {
			t.hideDerived(child, of)
		}
	case map[string]any:
		for _, child := range v {
			t.hideDerived(child, of)
		}
	}
}

// hideLiteral notes a configured value that is a credential by the name of its
// header or parameter. Behind a scheme it is one without it too.
func (t *templates) hideLiteral(value string) {
	t.hide(value)
	if _, bare, ok := strings.Cut(value, " "); ok {
		t.hide(bare)
	}
}

// scrub cuts the secrets that the request has used out of an upstream's text.
func (x *exchange) scrub(text []byte) []byte {
	if len(x.templates.used) == 0 || len(text) == 0 {
		return text
	}
	return x.templates.scrubber().ScrubBytes(text)
}

// scrubLine is scrub for a text that is then cut to one line of at most n
// bytes: in this order, as half a secret is not found any more.
func (x *exchange) scrubLine(text string, n int) string {
	return oneLine(string(x.scrub([]byte(text))), n)
}

// scrubber is made anew only when another secret has come into use.
func (t *templates) scrubber() *scrubber {
	if t.cut == nil || t.cutOf != len(t.used) {
		values := make([]string, len(t.used))
		for i, u := range t.used {
			values[i] = u.value.Reveal()
		}
		t.cut, t.cutOf = newScrubber(values...), len(t.used)
	}
	return t.cut
}

// scrubHeader is the header of an error answer without the secrets in it.
func (x *exchange) scrubHeader(h http.Header) http.Header {
	out := make(http.Header, len(h))
	for name, values := range h {
		for _, v := range values {
			out[name] = append(out[name], string(x.scrub([]byte(v))))
		}
	}
	return out
}

// plainHeader is the header of a good answer without the secrets that stand in
// it as they are. Other forms are not looked for: this is done for each answer.
func (x *exchange) plainHeader(h http.Header) http.Header {
	for _, u := range x.templates.used {
		value := u.value.Reveal()
		for _, values := range h {
			if len(value) >= minScrubbed && slices.ContainsFunc(values, func(v string) bool { return strings.Contains(v, value) }) {
				return x.scrubHeader(h)
			}
		}
	}
	return h
}
