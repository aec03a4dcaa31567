package aigateway

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aigateway-go/aigateway/internal/confdoc"
	"github.com/aigateway-go/aigateway/internal/redact"
)

// ConfigError is one problem of a Config. All problems are reported at once, up to a
// hundred, as [ConfigErrors].
type ConfigError struct {
	// Path is the place in the words of the YAML, such as
	// "providers[1].models[0].id". Empty means the document itself.
	Path string
	// Line is the line of the document, from 1. Zero if it is not known.
	Line int
	// Value is the value at the place. Empty if it could be a secret.
	Value string
	// Reason says what is wrong, and the remedy.
	Reason string
}

// Error returns the place, the value and the reason in one line.
func (e *ConfigError) Error() string {
	var b strings.Builder
	if e.Path != "" {
		b.WriteString(e.Path)
		b.WriteString(": ")
	}
	if e.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", e.Line)
	}
	if e.Value != "" {
		fmt.Fprintf(&b, "%q: ", e.Value)
	}
	b.WriteString(e.Reason)
	return b.String()
}

// ConfigErrors are the problems of a Config: the error of
// [ParseConfig], [LoadConfig], [New], [Gateway.Reload] and [Gateway.Check] wraps one.
type ConfigErrors []*ConfigError

// Error returns the errors, one a line.
func (e ConfigErrors) Error() string {
	lines := make([]string, len(e))
	for i, err := range e {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the errors, for [errors.Is] and [errors.As].
func (e ConfigErrors) Unwrap() []error {
	list := make([]error, len(e))
	for i, err := range e {
		list[i] = err
	}
	return list
}

// maxProblems bounds the reported problems. A config with more has one problem many
// times.
const maxProblems = 100

// problems collects the problems of a config, up to maxProblems. A last one counts
// the others.
type problems []*ConfigError

// add notes a problem. It leaves out a value that could be a secret: people put
// secrets into any field by mistake.
func (p *problems) add(path, value, format string, args ...any) {
	if redact.HasKey(value) {
		value = ""
	}
	p.append(&ConfigError{Path: path, Value: value, Reason: fmt.Sprintf(format, args...)})
}

// append notes a problem as it is. Its texts are cut to a bounded length.
func (p *problems) append(e *ConfigError) {
	switch {
	case len(*p) < maxProblems:
		short := *e
		short.Path, short.Value, short.Reason = clip(e.Path), clip(e.Value), clip(e.Reason)
		*p = append(*p, &short)
	case len(*p) == maxProblems:
		*p = append(*p, &ConfigError{Reason: fmt.Sprintf("and more: only the first %d are shown", maxProblems)})
	}
}

// clip bounds a text of an error to 1 KiB. Characters stay whole.
func clip(s string) string {
	const limit = 1 << 10
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}

// list returns the problems as ConfigErrors.
func (p problems) list() ConfigErrors {
	var all problems
	for _, e := range p {
		all.append(e)
	}
	return ConfigErrors(all)
}

// err returns the problems as an error. Nil without problems.
func (p problems) err() error {
	if len(p) == 0 {
		return nil
	}
	return fmt.Errorf("aigateway: invalid config:\n%w", p.list())
}

// shapeProblems makes problems of the faults of a document.
func shapeProblems(faults []confdoc.Fault) problems {
	var p problems
	for _, f := range faults {
		p = append(p, &ConfigError{Path: f.Path, Line: f.Line, Value: f.Value, Reason: f.Reason})
	}
	return p
}

// withShape returns the problems of a Config after the faults of shape of its
// document. It leaves out the problems of an unreadable value: they follow from its
// fault.
func (p problems) withShape(shape []confdoc.Fault) problems {
	if len(shape) == 0 {
		return p
	}
	all := shapeProblems(shape)
	for _, e := range p {
		if !slices.ContainsFunc(shape, func(f confdoc.Fault) bool {
			// Providers that could not be read are missing to only_allow_….
			return within(e.Path, f.Path) || within(f.Path, e.Path) || f.Meant != "" && within(e.Path, f.Meant) ||
				within(f.Path, "providers") && strings.HasPrefix(e.Path, "only_allow_configured_")
		}) {
			all.append(e)
		}
	}
	return all
}

// within reports whether a path equals another one, or leads to a place below it.
func within(path, of string) bool {
	rest, ok := strings.CutPrefix(path, of)
	return ok && (of == "" || rest == "" || rest[0] == '.' || rest[0] == '[')
}
