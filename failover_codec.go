package aigateway

import (
	"net/http"
	"slices"
	"strings"

	"github.com/aigateway-go/aigateway/internal/dialect"
	"github.com/aigateway-go/aigateway/internal/relay"
	"github.com/aigateway-go/aigateway/internal/reqbody"
)

const (
	// maxTranslated bounds a whole answer that is held to be translated, in bytes.
	maxTranslated = 16 << 20
	// messagesVersion is the version of the messages API that translated requests
	// are written in.
	messagesVersion = "2023-06-01"
	// headerTranslated says what was translated to what, and which fields were lost.
	headerTranslated = "X-Aigateway-Translated"
)

// codec carries a request and its answer between the client's surface and the
// upstream's. It belongs to one candidate. Nil is the null codec: the bytes pass as
// they are.
//
// Config stands on the upstream's side of it: body fields, the cap of the output
// and lists of parameters act on the translated request.
type codec struct {
	*dialect.Translator        // nil for an estimate within one format
	pair                string // the two formats, as messages-to-chat
	client              *surface
	surface             *surface // the upstream's
	request             reqbody.Document
	report              dialect.Report
	// estimated is set for a count of tokens. The gateway estimates it, and sends
	// nothing.
	estimated bool
}

// newCodec makes the codec between two surfaces. Their formats differ, unless the
// client's counts tokens.
func newCodec(client, upstream *surface) *codec {
	from, _ := client.dialect()
	to, _ := upstream.dialect()
	t, _ := dialect.For(from, to)
	return &codec{Translator: t, pair: from.String() + "-to-" + to.String(), client: client, surface: upstream, estimated: client.counts()}
}

// translate makes the upstream's request of the client's. Fields that may not pass to
// the model are lost. After an error the report still tells what would be lost.
func (k *codec) translate(body []byte, strict bool, o dialect.Options, passes func(name string) bool) *Error {
	out, report, err := k.Request(body, o)
	k.report = report
	switch {
	case err != nil:
		return k.malformed(err)
	case report.Refuse != "":
		return errorf(CodeNotTranslatable, "%s cannot be translated to %s: %s", k.client.name, k.surface.name, report.Refuse)
	}
	if err := reqbody.Scan(out, &k.request); err != nil {
		return k.malformed(err)
	}
	k.loseParams(passes)
	if strict && len(k.report.Lost) > 0 {
		return errorf(CodeNotTranslatable, "%s is translated to %s only without loss, and would lose %s",
			k.client.name, k.surface.name, strings.Join(k.report.Lost, ", "))
	}
	return nil
}

// loseParams names the fields of the translated request that the lists of parameters
// keep from the model. A hint among them is not a loss.
func (k *codec) loseParams(passes func(name string) bool) {
	to, _ := k.surface.dialect()
	for name := range k.request.Names() {
		if name == "model" || passes(name) {
			continue
		}
		if value, _ := k.request.Get(name); to.Matters(name, value) {
			k.report.Lose(name)
		}
	}
}

// malformed is the error of a body that no provider of the client's format would
// take.
func (k *codec) malformed(err error) *Error {
	e := errorf(CodeInvalidRequestBody, "the body does not have the form of a request to %s", k.client.name)
	e.Err = err
	return e
}

// counted is the answer to a count of tokens.
func (k *codec) counted(n int64) ([]byte, http.Header) {
	from, _ := k.client.dialect()
	return dialect.Counted(from, n), http.Header{"Content-Type": {"application/json"}}
}

// refused makes the client's error of an upstream's, and adapts its header. The body is
// decoded, and without secrets.
func (k *codec) refused(status int, h http.Header, body []byte) []byte {
	h.Set("Content-Type", "application/json")
	h.Del("Content-Encoding")
	relay.DropOfBytes(h)
	k.mark(h)
	return k.Error(status, body)
}

// header is the value of X-Aigateway-Translated.
func (k *codec) header() string {
	if k.estimated {
		return k.pair + "; estimated"
	}
	return k.report.Header(k.pair)
}

// line says all that the operator may know, for the debug page.
func (k *codec) line() string {
	text := "translated " + k.header()
	if len(k.report.Dropped) > 0 {
		text += "; dropped=" + strings.Join(k.report.Dropped, ",")
	}
	return text
}

// public is the translation as the Result shows it.
func (k *codec) public() *Translation {
	if k == nil {
		return nil
	}
	return &Translation{
		Pair: k.pair, Lost: slices.Clone(k.report.Lost), Dropped: slices.Clone(k.report.Dropped), Estimated: k.estimated,
	}
}

// mark has the upstream's id of the request under the name that the client's SDK reads.
func (k *codec) mark(h http.Header) {
	for _, pair := range [...][2]string{{"Request-Id", "X-Request-Id"}, {"X-Request-Id", "Request-Id"}} {
		if id := h[pair[1]]; len(id) > 0 && h[pair[0]] == nil {
			h[pair[0]] = id
		}
	}
}
