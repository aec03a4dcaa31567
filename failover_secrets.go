package aigateway

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/aigateway-go/aigateway/internal/expr"
	"github.com/aigateway-go/aigateway/internal/redact"
)

// usedSecret is a secret of an attempt.
type usedSecret struct {
	vault, name string // empty for a literal key
	value       redact.Secret
}

// secretSet holds the secrets of an attempt, for two uses: to resolve them again
// after a 401, and to cut them out of the answer. The zero set is empty. It belongs
// to the request's goroutine.
type secretSet struct {
	used  []usedSecret
	cut   *redact.Scrubber
	cutOf int           // the length of used that cut was made of
	room  [2]usedSecret // for used: a key, and the value made from it
}

// add remembers a secret that this call uses. The first two need no memory of their own.
func (s *secretSet) add(u usedSecret) {
	if s.used == nil {
		s.used = s.room[:0]
	}
	s.used = append(s.used, u)
}

// hide notes a secret value, to be cut out of the answer.
// A value known already is not noted twice. Empty values cut nothing.
func (s *secretSet) hide(value string) {
	if value != "" && !s.knows(value) {
		s.add(usedSecret{value: redact.NewSecret(value)})
	}
}

// knows reports whether a value was noted.
func (s *secretSet) knows(value string) bool {
	return slices.ContainsFunc(s.used, func(u usedSecret) bool { return u.value.Reveal() == value })
}

// hideLiteral notes a configured value under the name of a credential. If it has a
// scheme, the part behind the scheme is a secret too.
func (s *secretSet) hideLiteral(value string) {
	s.hide(value)
	if _, bare, ok := strings.Cut(value, " "); ok {
		s.hide(bare)
	}
}

// hideDerived notes the texts in a value that hold a piece of its secrets.
// A header made as "Bearer " + secret hides both forms: the whole text, and the
// part behind the scheme.
func (s *secretSet) hideDerived(v any, of []usedSecret) {
	switch v := v.(type) {
	case string:
		_, bare, _ := strings.Cut(v, " ") // behind a scheme
		for _, text := range []string{v, bare} {
			if !s.knows(text) && slices.ContainsFunc(of, func(u usedSecret) bool { return holdsPiece(text, u.value.Reveal()) }) {
				s.hide(text)
			}
		}
	case []any:
		for _, child := range v {
			s.hideDerived(child, of)
		}
	case map[string]any:
		for _, child := range v {
			s.hideDerived(child, of)
		}
	}
}

// minPiece is the length, in bytes, from which a piece of a secret makes a value
// secret. An expression may also look at a secret and return another text, such as
// "application/json". Such a text gives nothing away, and is found in many answers.
const minPiece = 6

// holdsPiece reports whether a piece of a secret is in a value. Letter case does
// not count.
// It costs the product of both lengths.
func holdsPiece(value, secret string) bool {
	value, secret = strings.ToLower(value), strings.ToLower(secret)
	for i := 0; i+minPiece <= len(value); i++ {
		if strings.Contains(secret, value[i:i+minPiece]) {
			return true
		}
	}
	return false
}

// scrub cuts the set's secrets out of an upstream's text.
// Without secrets or without text it returns the text itself.
func (s *secretSet) scrub(text []byte) []byte {
	if len(s.used) == 0 || len(text) == 0 {
		return text
	}
	return s.scrubber().ScrubBytes(text)
}

// scrubText is scrub for a string.
func (s *secretSet) scrubText(text string) string { return string(s.scrub([]byte(text))) }

// scrubLine is scrub for a text, cut to one line of at most n bytes afterwards. The
// order matters: half a secret would not be found any more.
func (s *secretSet) scrubLine(text string, n int) string { return oneLine(s.scrubText(text), n) }

// quoted is an upstream's message, for the end of a reason of the gateway.
// It begins with a colon, or is empty.
func (s *secretSet) quoted(message string) string {
	if message == "" {
		return ""
	}
	return ": " + s.scrubLine(message, 200)
}

// scrubber is made again only after another secret was added.
func (s *secretSet) scrubber() *redact.Scrubber {
	if s.cut == nil || s.cutOf != len(s.used) {
		values := make([]string, len(s.used))
		for i, u := range s.used {
			values[i] = u.value.Reveal()
		}
		s.cut, s.cutOf = redact.NewScrubber(values...), len(s.used)
	}
	return s.cut
}

// scrubHeader is the header of an error answer without the secrets in it.
func (s *secretSet) scrubHeader(h http.Header) http.Header {
	out := make(http.Header, len(h))
	for name, values := range h {
		for _, v := range values {
			out[name] = append(out[name], s.scrubText(v))
		}
	}
	return out
}

// plainHeader is the header of a good answer without literal secrets. It does not
// look for encoded ones, because it runs for each answer.
func (s *secretSet) plainHeader(h http.Header) http.Header {
	for _, u := range s.used {
		value := u.value.Reveal()
		for _, values := range h {
			if len(value) >= redact.MinScrubbed && slices.ContainsFunc(values, func(v string) bool { return strings.Contains(v, value) }) {
				return s.scrubHeader(h)
			}
		}
	}
	return h
}

// templates evaluates the ${…} of an attempt, and notes their secrets.
// It belongs to one goroutine.
type templates struct {
	in      expr.TemplateInput
	secrets *SecretCache
	set     *secretSet // of the attempt
	err     error      // why a secret could not be resolved
}

// secret answers secrets.get. It keeps the error, to tell a failed secret from a
// failed expression.
func (t *templates) secret(ctx context.Context, vault, name string) (string, error) {
	value, err := t.secrets.ResolveSecret(ctx, vault, name)
	if err != nil {
		t.err = fmt.Errorf("secret %q of vault %q: %w", name, vault, err)
		return "", t.err
	}
	t.set.add(usedSecret{vault, name, redact.NewSecret(value)})
	return value, nil
}

// evaluate evaluates a template. A value made from a secret is secret too.
func evaluate[T any](t *templates, eval func() (T, error)) (T, error) {
	t.err = nil // of an earlier template, which may have gone on without that secret
	before := len(t.set.used)
	v, err := eval()
	if len(t.set.used) > before {
		t.set.hideDerived(v, t.set.used[before:])
	}
	return v, err
}

// text evaluates a template to a string.
func (t *templates) text(ctx context.Context, v *expr.Template) (string, error) {
	return evaluate(t, func() (string, error) { return v.Text(ctx, &t.in) })
}

// tree evaluates the templates in a value of the body. It shares nothing with the
// config.
// The first failing template ends the evaluation.
func (t *templates) tree(ctx context.Context, v any) (any, error) {
	switch v := v.(type) {
	case *expr.Template:
		return evaluate(t, func() (any, error) { return v.Eval(ctx, &t.in) })
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, child := range v {
			c, err := t.tree(ctx, child)
			if err != nil {
				return nil, err
			}
			m[k] = c
		}
		return m, nil
	case []any:
		l := make([]any, len(v))
		for i, child := range v {
			c, err := t.tree(ctx, child)
			if err != nil {
				return nil, err
			}
			l[i] = c
		}
		return l, nil
	default:
		return v, nil
	}
}
