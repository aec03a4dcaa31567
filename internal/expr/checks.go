package expr

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/overloads"
	"github.com/google/cel-go/common/types"
)

// check reports mistakes in a well-typed expression.
//
// A finding stops the compilation. Each check must therefore be sure: the expression
// fails for all requests, or means nothing.
func (d *diagnosis) check() {
	ast.PreOrderVisit(d.checked.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.StructKind:
			d.report(d.start(e), "", "'%s' cannot be constructed", e.AsStruct().TypeName())
		case ast.CallKind:
			d.checkCall(e.AsCall())
		}
	}))
}

// checkCall reports constants and types that the checker lets pass: a predicate
// is "any type" to it, as the step of a macro sees errors.
//
// The third argument of @keep, @rank and @weigh is the body of the macro, see
// macros.go. A body of type "any" passes, and has its type tested at run time.
func (d *diagnosis) checkCall(call ast.CallExpr) {
	args := call.Args()
	switch call.FunctionName() {
	case fnKeep:
		if t := d.checked.GetType(args[2].ID()); t.Kind() != types.BoolKind && t.Kind() != types.DynKind {
			d.report(d.start(args[2]), "", "the predicate must be bool, is %s", plainType(t))
		}
	case fnRank:
		if t := d.checked.GetType(args[2].ID()); !sortable(t) {
			d.report(d.start(args[2]), "", "cannot sort by %s, only by a number, string or bool", plainType(t))
		}
	case fnWeigh:
		if t := d.checked.GetType(args[2].ID()); !isNumber(t) {
			d.report(d.start(args[2]), "", "a weight must be a number, is %s", plainType(t))
		}
	case fnSticky:
		if len(args) > 4 {
			d.checkBound(args[4])
		}
	case "underCost":
		if word, ok := constant(args[0]); ok {
			d.word(args[0], word, "price type", sortedKeys(priceTypes()), toolPricePrefix)
		}
	case "sortBy":
		if word, ok := constant(args[0]); ok {
			d.word(args[0], word, "order", sortWords(), "")
		}
	// RE2's syntax is Go's. A computed pattern can only fail at run time.
	case overloads.Matches:
		if pattern, ok := constant(args[len(args)-1]); ok {
			if _, err := regexp.Compile(pattern); err != nil {
				d.report(d.at(args[len(args)-1]), "", "%v", err)
			}
		}
	case overloads.TimeGetFullYear, overloads.TimeGetMonth, overloads.TimeGetDayOfYear, overloads.TimeGetDayOfMonth, overloads.TimeGetDate,
		overloads.TimeGetDayOfWeek, overloads.TimeGetHours, overloads.TimeGetMinutes, overloads.TimeGetSeconds, overloads.TimeGetMilliseconds:
		if len(args) > 0 {
			d.checkZone(args[0])
		}
	}
}

// checkZone checks a constant time zone: the name of one that this machine knows, or an
// offset. Images of containers often lack the names.
func (d *diagnosis) checkZone(e ast.Expr) {
	zone, ok := constant(e)
	if !ok || strings.Contains(zone, ":") {
		return
	}
	if _, err := time.LoadLocation(zone); err != nil {
		d.report(d.at(e), "", "%v: write its name, such as 'Europe/Berlin', or an offset, such as '+01:00'; the names need the tzdata of the system", err)
	}
}

// word checks a constant against the words of a function.
//
// prefix, if not empty, begins an open set of words: "tools." and any name after it. The
// suggestion is the nearest known word; a word far from all gets the whole list.
func (d *diagnosis) word(e ast.Expr, word, kind string, known []string, prefix string) {
	if slices.Contains(known, word) || (prefix != "" && strings.HasPrefix(word, prefix) && len(word) > len(prefix)) {
		return
	}
	nearest := Nearest(word, known)
	if nearest == "" {
		list := strings.Join(known, ", ")
		if prefix != "" {
			list += ", " + prefix + "*"
		}
		d.report(d.at(e), "", "unknown %s '%s', known: %s", kind, word, list)
		return
	}
	d.report(d.at(e), nearest, "unknown %s '%s'", kind, word)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// constant returns the text of a string literal.
func constant(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	s, ok := e.AsLiteral().(types.String)
	return string(s), ok
}

// isNumber reports whether values of a type can be numbers.
//
// Null and "any" can: a price may be unknown, and metadata has no type before it is
// read.
func isNumber(t *types.Type) bool {
	switch t.Kind() {
	case types.IntKind, types.UintKind, types.DoubleKind, types.DynKind, types.NullTypeKind:
		return true
	}
	return false
}

// sortable reports whether values of a type can be keys of sortBy.
//
// Values of different types have an order among each other, see [compareKeys].
func sortable(t *types.Type) bool {
	switch t.Kind() {
	case types.IntKind, types.UintKind, types.DoubleKind, types.StringKind, types.BoolKind, types.DynKind, types.NullTypeKind:
		return true
	}
	return false
}
