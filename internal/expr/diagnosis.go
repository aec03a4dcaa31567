package expr

import (
	"slices"
	"strings"
	"unicode"

	"github.com/google/cel-go/common"
	"github.com/google/cel-go/common/ast"
)

// diagnosis turns the errors of CEL into problems. CEL's own messages name its
// internals and do not suggest alternatives. They only serve to find the node;
// the message comes from the node and its types.
//
// For a template, text is all of it and src the one expression, so a problem has
// its place in the config's value. For others both are the expression.
type diagnosis struct {
	lang    *language
	text    []rune // the text of the positions
	base    int    // the place of src in text
	src     []rune
	checked *ast.AST

	problems []Problem
}

// report adds a problem at an offset of src, one for each place.
//
// The first problem of a place wins: callers report the cause before its
// consequences. suggestion is a replacement for the name at the place, or "".
func (d *diagnosis) report(offset int, suggestion, format string, args ...any) {
	p := problemAt(d.text, d.base+offset, suggestion, format, args...)
	same := func(q Problem) bool { return q.Line == p.Line && q.Column == p.Column }
	if !slices.ContainsFunc(d.problems, same) {
		d.problems = append(d.problems, p)
	}
}

// syntax reports the parser's first error. The later ones are mostly its
// consequences.
//
// CEL's syntax errors speak in tokens of its grammar. The message here names the
// character or word at which the parser stopped.
func (d *diagnosis) syntax(errs []*common.Error) {
	first := errs[0]
	offset := d.offsetOf(first.Location)
	if !strings.HasPrefix(first.Message, "Syntax error:") {
		d.report(offset, "", "%s", first.Message)
		return
	}
	offset = d.skipSpace(offset)
	switch rest := d.src[offset:]; {
	case len(rest) == 0:
		d.report(offset, "", "the expression ends too early")
	case rest[0] == '\'' || rest[0] == '"':
		if strings.Contains(first.Message, "token recognition error") {
			d.report(offset, "", "the string has no end")
		} else {
			d.report(offset, "", "unexpected string")
		}
	case isNameChar(rest[0]):
		end := slices.IndexFunc(rest, func(r rune) bool { return !isNameChar(r) })
		if end < 0 {
			end = len(rest)
		}
		d.unexpected(offset, string(rest[:end]))
	default:
		d.unexpected(offset, string(rest[:1]))
	}
}

// unexpected reports a word or a character that cannot stand at its place. Those of
// other languages have a remedy.
func (d *diagnosis) unexpected(offset int, word string) {
	remedy := map[string]string{
		"=": "compare with ==", "#": "a comment begins with //", "and": "write &&", "or": "write ||", "not": "write !", "is": "compare with ==",
	}[word]
	switch {
	case d.base > 0 && d.src[0] == '{':
		remedy = "${{…}} is the notation of another tool: write ${…}"
	case strings.HasPrefix(string(d.src[offset:]), "${"):
		remedy = "an expression stands here by itself: leave out ${ and }"
	}
	if remedy != "" {
		remedy = ": " + remedy
	}
	d.report(offset, "", "unexpected '%s'%s", word, remedy)
}

// offsetOf turns a line and column of CEL into an offset. Lines count from 1,
// columns from 0.
func (d *diagnosis) offsetOf(loc common.Location) int {
	line, column := loc.Line(), loc.Column()
	offset := 0
	for ; line > 1 && offset < len(d.src); offset++ {
		if d.src[offset] == '\n' {
			line--
		}
	}
	return min(max(offset+column, 0), len(d.src))
}

// skipSpace returns the offset of the next character, in runes.
func (d *diagnosis) skipSpace(offset int) int {
	for offset < len(d.src) && unicode.IsSpace(d.src[offset]) {
		offset++
	}
	return offset
}

// isNameChar reports whether a character can stand in a name.
func isNameChar(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }

// at returns the place of a node's name. CEL records the dot of a selection and
// the parenthesis of a call.
//
// Without a recorded place, as for a node of a macro, it is the expression's
// start.
func (d *diagnosis) at(e ast.Expr) int {
	r, ok := d.checked.SourceInfo().GetOffsetRange(e.ID())
	if !ok {
		return 0
	}
	offset := min(max(int(r.Start), 0), len(d.src))
	if offset == len(d.src) {
		return offset
	}
	switch r := d.src[offset]; {
	case e.Kind() == ast.SelectKind && e.AsSelect().IsTestOnly():
		// has(m.x) is recorded at its parenthesis.
		field := []rune("." + e.AsSelect().FieldName())
		for i := offset; i+len(field) <= len(d.src); i++ {
			if slices.Equal(d.src[i:i+len(field)], field) {
				return i + 1
			}
		}
	case r == '.' && e.Kind() == ast.SelectKind:
		return d.skipSpace(offset + 1)
	case r == '(' || e.Kind() == ast.StructKind:
		for offset > 0 && unicode.IsSpace(d.src[offset-1]) {
			offset--
		}
		for offset > 0 && (isNameChar(d.src[offset-1]) || e.Kind() == ast.StructKind && d.src[offset-1] == '.') {
			offset--
		}
	}
	return offset
}

// start returns the leftmost place of a node.
func (d *diagnosis) start(e ast.Expr) int {
	offset := len(d.src)
	ast.PreOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		if _, ok := d.checked.SourceInfo().GetOffsetRange(e.ID()); ok {
			offset = min(offset, d.at(e))
		}
	}))
	return offset
}
