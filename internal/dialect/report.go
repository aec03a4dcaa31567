package dialect

import (
	"slices"
	"strings"
)

// maxNames bounds the names in each list of a report, and maxNameLength each name:
// clients choose the names of their fields.
const (
	maxNames      = 32
	maxNameLength = 64
)

// Report says what of a request the upstream does not get. The names are the
// client's own, made of letters, digits, '_', '-' and '.', each once.
//
// A loss shows in the answer's header and in the Result. A hint, such as a mark for a
// cache, shows in the Result and on the debug page. Repeated losses are one.
type Report struct {
	// Lost names losses with an effect on the answer.
	Lost []string
	// Dropped names hints. They have no effect on the answer.
	Dropped []string
	// Refuse is the reason why the upstream cannot serve the request at all.
	// Empty if it can.
	Refuse string
}

// Header is the value of X-Aigateway-Translated for a translation of this name:
//
//	messages-to-chat; lost=top_k,citations
//
// Dropped hints do not show in it.
func (r *Report) Header(name string) string {
	if len(r.Lost) == 0 {
		return name
	}
	return name + "; lost=" + strings.Join(r.Lost, ",")
}

// Lose names a loss.
func (r *Report) Lose(name string) { r.Lost = add(r.Lost, name) }

// hint names a dropped hint.
func (r *Report) hint(name string) { r.Dropped = add(r.Dropped, name) }

// refuse gives a reason to refuse. The first reason stays.
func (r *Report) refuse(reason string) {
	if r.Refuse == "" {
		r.Refuse = reason
	}
}

// add adds a name to a list, once.
//
// Names beyond the bound are left out: a header must stay short.
func add(names []string, name string) []string {
	name = safeName(name)
	if len(names) == maxNames || slices.Contains(names, name) {
		return names
	}
	return append(names, name)
}

// safeName makes a name fit for a header.
//
// Other bytes become '_', and a long name is cut. An empty name becomes "_".
func safeName(name string) string {
	ok := len(name) <= maxNameLength && name != ""
	for i := 0; i < len(name) && ok; i++ {
		ok = isNameByte(name[i])
	}
	if ok {
		return name
	}
	if name == "" {
		return "_"
	}
	b := []byte(name[:min(len(name), maxNameLength)])
	for i, c := range b {
		if !isNameByte(c) {
			b[i] = '_'
		}
	}
	return string(b)
}

// isNameByte reports whether a byte may stand in a name.
func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.'
}
