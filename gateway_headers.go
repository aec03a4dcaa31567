package aigateway

import (
	"fmt"
	"net/http"
	"strings"
)

// maxListed bounds the names in one header.
const maxListed = 32

// The names of the headers.
const (
	answerPrefix         = "X-Aigateway-"
	headerRequestID      = answerPrefix + "Request-Id"
	headerModel          = answerPrefix + "Model"
	headerAttempts       = answerPrefix + "Attempts"
	headerRemovedParams  = answerPrefix + "Removed-Params"
	headerRejectedModels = answerPrefix + "Rejected-Models"
	headerCost           = answerPrefix + "Cost"
)

// answerHeaders says which headers an answer gets.
type answerHeaders struct{ requestID, model, attempts, removed, rejected, cost bool }

// parse reads response_headers. A nil list is the default.
func (a *answerHeaders) parse(p *problems, list []ResponseHeader) {
	if list == nil {
		a.requestID, a.model, a.attempts = true, true, true
		return
	}
	known := map[ResponseHeader]*bool{
		HeaderRequestID: &a.requestID, HeaderModel: &a.model, HeaderAttempts: &a.attempts,
		HeaderRemovedParams: &a.removed, HeaderRejectedModels: &a.rejected, HeaderCost: &a.cost,
	}
	for i, name := range list {
		if on := known[name]; on != nil {
			*on = true
			continue
		}
		p.add(fmt.Sprintf("response_headers[%d]", i), string(name), "%s", notOneOf(string(name), []ResponseHeader{
			HeaderRequestID, HeaderModel, HeaderAttempts, HeaderRemovedParams, HeaderRejectedModels, HeaderCost,
		}))
	}
}

// before stamps an answer to a request that no attempt was made for.
func (a *answerHeaders) before(h http.Header, id string) {
	if a.requestID {
		h[headerRequestID] = []string{id}
	}
	if a.attempts {
		h[headerAttempts] = zeroAttempts
	}
}

var zeroAttempts = []string{"0"}

// listed is a list of names as a header holds it.
func listed(names []string) string {
	var b strings.Builder
	for i, name := range names {
		if i == maxListed {
			fmt.Fprintf(&b, ", and %d more", len(names)-i)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(strings.ReplaceAll(asciiName(shown(name)), ",", "%2C"))
	}
	return b.String()
}

// asciiName is a name in visible ASCII. Other bytes are percent-encoded.
func asciiName(name string) string {
	odd := func(c byte) bool { return c <= ' ' || c >= 0x7f }
	i := 0
	for i < len(name) && !odd(name[i]) {
		i++
	}
	if i == len(name) {
		return name
	}
	var b strings.Builder
	for i := range len(name) {
		if odd(name[i]) {
			fmt.Fprintf(&b, "%%%02X", name[i])
		} else {
			b.WriteByte(name[i])
		}
	}
	return b.String()
}
