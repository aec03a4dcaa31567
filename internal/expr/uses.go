package expr

import (
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
)

// usesOf reads the dependencies off a checked expression. For a type known at
// run time only, the name of a field decides. A computed name could be any.
//
// A caller skips the work for parts that no expression reads: hashing a body for the
// session, estimating tokens, taking a snapshot of the metrics. A part too many costs
// time. A part too few would give the expression a zero value, so each doubt counts as
// a use.
func usesOf(p *program) Uses {
	var u Uses
	// req.ai.stream is two selections: one reads req.ai, the next one names a field. A
	// surplus of the first kind is a req.ai without a field, such as dyn(req.ai).
	factsRead, factsNamed := 0, 0
	// named notes a field of a value of a type. holder tells m.metrics from a field of
	// the same name in metadata.
	named := func(holder *types.Type, name string) {
		dynamic := holder.Kind() == types.DynKind
		of := func(kinds ...string) bool {
			for _, k := range kinds {
				if holder.TypeName() == "@"+k {
					return true
				}
			}
			return dynamic
		}
		switch name {
		case "metrics", "quota", "error_rate":
			u.Metrics = u.Metrics || of("model", "key")
		case "estimated_input", "estimated_output":
			u.Estimates = u.Estimates || of("token")
		case "session":
			u.Session = u.Session || of("request")
		case "caller":
			u.Caller = u.Caller || of("request")
		case "ai":
			switch {
			case dynamic:
				u.Facts = allFacts
			case of("request"):
				factsRead++
			}
		}
		// A dynamic holder can be req.ai too, so its field counts. It does not count as
		// named: dyn(req.ai).stream stays a req.ai that went somewhere as a whole.
		if of("request_facts") {
			u.Facts |= factBit(name)
			if !dynamic {
				factsNamed++
			}
		}
	}
	ast.PreOrderVisit(p.checked.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.IdentKind:
			if name := e.AsIdent(); name == "req" || name == "conn" {
				u.Request = true
			}
		case ast.SelectKind:
			named(p.checked.GetType(e.AsSelect().Operand().ID()), e.AsSelect().FieldName())
		case ast.CallKind:
			switch call := e.AsCall(); call.FunctionName() {
			case fnRandom, fnRandomize, fnWeighed, fnWeighedBy:
				u.Random = true
			case fnLeastBusy:
				u.Random, u.InFlight, u.Request = true, true, true
			case fnSticky:
				u.Sticky, u.Request = true, true
				// The fifth argument is the bound on load.
				u.InFlight = u.InFlight || len(call.Args()) > 4
			case fnAble:
				u.Request = true
				u.Facts |= ableFacts
			// An index by a name is a selection in another spelling: dyn(m)['metrics'].
			case fnAt:
				holder := p.checked.GetType(call.Args()[0].ID())
				if holder.Kind() != types.DynKind {
					return
				}
				if name, known := constant(call.Args()[1]); known {
					named(holder, name)
				} else {
					u.Metrics, u.Estimates = true, true
					// Only an expression with req in it can read the request.
					if mentions(p.checked.Expr(), "req") {
						u.Session, u.Caller, u.Facts = true, true, allFacts
					}
				}
			}
		}
	}))
	if factsRead > factsNamed {
		u.Facts = allFacts // req.ai went somewhere as a whole
	}
	return u
}

// mentions reports whether a variable stands anywhere in an expression.
//
// It takes a loop variable of the same name for the variable. The mistake is on the
// safe side, see [usesOf].
func mentions(e ast.Expr, variable string) bool {
	found := false
	ast.PreOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		found = found || e.Kind() == ast.IdentKind && e.AsIdent() == variable
	}))
	return found
}
