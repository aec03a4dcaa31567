// Package translate carries one request and its answer between two formats: the client's
// and the upstream's of one candidate. The translation itself is that of package dialect.
// This package adds what belongs to one request: the lists of parameters, the losses that a
// strict provider refuses, and the headers of the answer.
package translate

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/aigateway-go/aigateway/internal/dialect"
	"github.com/aigateway-go/aigateway/internal/relay"
	"github.com/aigateway-go/aigateway/internal/reqbody"
)

const (
	// MaxAnswer bounds a whole answer that is held to be translated, in bytes.
	MaxAnswer = 16 << 20
	// MessagesVersion is the version of the messages API that translated requests
	// are written in.
	MessagesVersion = "2023-06-01"
)

// Side is one of the two formats, with the name that the YAML has for its surface.
type Side struct {
	Name   string
	Format dialect.Format
}

// Codec is the translation of one request for one candidate. It belongs to one goroutine.
type Codec struct {
	*dialect.Translator                  // nil for an estimate within one format
	Request             reqbody.Document // what the upstream gets, after Translate
	Report              dialect.Report   // what is lost, after Translate
	// Estimated is set for a count of tokens. The gateway estimates it, and sends
	// nothing.
	Estimated        bool
	client, upstream Side
}

// New makes the codec between two formats. They differ, unless the tokens of a prompt are
// to be estimated.
func New(client, upstream Side, estimated bool) Codec {
	t, _ := dialect.For(client.Format, upstream.Format)
	return Codec{Translator: t, client: client, upstream: upstream, Estimated: estimated}
}

// CannotError says why the upstream's format cannot carry the request. The text is for the
// client.
type CannotError string

// Error returns the text.
func (e CannotError) Error() string { return string(e) }

// Translate makes the upstream's request of the client's. Fields that may not pass to
// the model are lost. The error is a [CannotError], or that of a body which no provider of
// the client's format would take. After an error the report still tells what would be lost.
func (k *Codec) Translate(body []byte, strict bool, o dialect.Options, passes func(name string) bool) error {
	out, report, err := k.Translator.Request(body, o)
	k.Report = report
	switch {
	case err != nil:
		return err
	case report.Refuse != "":
		return CannotError(fmt.Sprintf("%s cannot be translated to %s: %s", k.client.Name, k.upstream.Name, report.Refuse))
	}
	if err := reqbody.Scan(out, &k.Request); err != nil {
		return err
	}
	k.loseParams(passes)
	if strict && len(k.Report.Lost) > 0 {
		return CannotError(fmt.Sprintf("%s is translated to %s only without loss, and would lose %s",
			k.client.Name, k.upstream.Name, strings.Join(k.Report.Lost, ", ")))
	}
	return nil
}

// loseParams names the fields of the translated request that the lists of parameters
// keep from the model. A hint among them is not a loss.
func (k *Codec) loseParams(passes func(name string) bool) {
	for name := range k.Request.Names() {
		if name == "model" || passes(name) {
			continue
		}
		if value, _ := k.Request.Get(name); k.upstream.Format.Matters(name, value) {
			k.Report.Lose(name)
		}
	}
}

// Counted is the answer to a count of tokens.
func (k *Codec) Counted(n int64) ([]byte, http.Header) {
	return dialect.Counted(k.client.Format, n), http.Header{"Content-Type": {"application/json"}}
}

// Refused makes the client's error of an upstream's, and adapts its header. The body is
// decoded, and without secrets.
func (k *Codec) Refused(status int, h http.Header, body []byte) []byte {
	h.Set("Content-Type", "application/json")
	h.Del("Content-Encoding")
	relay.DropOfBytes(h)
	k.Mark(h)
	return k.Error(status, body)
}

// Mark has the upstream's id of the request under the name that the client's SDK reads.
func (k *Codec) Mark(h http.Header) {
	for _, pair := range [...][2]string{{"Request-Id", "X-Request-Id"}, {"X-Request-Id", "Request-Id"}} {
		if id := h[pair[1]]; len(id) > 0 && h[pair[0]] == nil {
			h[pair[0]] = id
		}
	}
}

// Pair names the two formats, as messages-to-chat.
func (k *Codec) Pair() string { return k.client.Format.String() + "-to-" + k.upstream.Format.String() }

// Header is the value of X-Aigateway-Translated.
func (k *Codec) Header() string {
	if k.Estimated {
		return k.Pair() + "; estimated"
	}
	return k.Report.Header(k.Pair())
}

// Line says all that the operator may know.
func (k *Codec) Line() string {
	text := "translated " + k.Header()
	if len(k.Report.Dropped) > 0 {
		text += "; dropped=" + strings.Join(k.Report.Dropped, ",")
	}
	return text
}
