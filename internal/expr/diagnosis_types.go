package expr

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/google/cel-go/common"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/decls"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
)

// types reports the errors of the type checker.
//
// A mistake shows up as several errors: of the wrong name, of the call around
// it, and of the operator around that. Three passes mute the consequences. First
// the misspelt macros and their variables, then macros without a variable, and
// last everything above a bad operand. The rest is reported, one problem for
// each place.
func (d *diagnosis) types(errs []*common.Error) {
	nodes, parents := map[int64]ast.Expr{}, map[int64]ast.Expr{}
	index(d.checked.Expr(), nodes, parents)
	muted := map[int64]bool{}
	for _, err := range errs {
		if e, ok := nodes[err.ExprID]; ok {
			d.muteVariable(e, muted)
		}
	}
	failed := map[int64]bool{}
	for _, err := range errs {
		failed[err.ExprID] = true
	}
	for _, e := range nodes {
		d.lacksVariable(e, failed, muted)
	}
	// A bad operand makes errors of everything above it. The body of a macro
	// does not change the type of its result, and an unknown function is
	// unknown on its own account.
	for _, err := range errs {
		if muted[err.ExprID] {
			continue
		}
		for id, parent := err.ExprID, parents[err.ExprID]; parent != nil; id, parent = parent.ID(), parents[parent.ID()] {
			if parent.Kind() == ast.ComprehensionKind && parent.AsComprehension().IterRange().ID() != id {
				break
			}
			// A name of another kind of expression explains all around it, an unknown
			// function too.
			foreign := nodes[err.ExprID] != nil && d.lang.elsewhere[nodes[err.ExprID].AsIdent()] != ""
			if parent.Kind() != ast.CallKind || foreign || d.lang.env.HasFunction(parent.AsCall().FunctionName()) {
				muted[parent.ID()] = true
			}
		}
	}
	for _, err := range errs {
		// The id may be that of an entry of a map, which is not an expression.
		e, ok := nodes[err.ExprID]
		if !ok {
			d.report(d.offsetOf(err.Location), "", "%s", err.Message)
			continue
		}
		if muted[err.ExprID] {
			continue
		}
		d.typeError(e, parents[err.ExprID], err.Message)
	}
}

// muteVariable finds a misspelt macro, "fliter(m, m.known)", and silences the
// complaints about its undeclared variable.
//
// The function itself is reported as unknown, with the macro as its suggestion.
// The variable is the first name of the first argument: m of m.known as well as
// of m.
func (d *diagnosis) muteVariable(e ast.Expr, muted map[int64]bool) {
	if e.Kind() != ast.CallKind || !e.AsCall().IsMemberFunction() || len(e.AsCall().Args()) == 0 {
		return
	}
	name := e.AsCall().FunctionName()
	if macros := d.lang.macroNames(); !slices.Contains(macros, name) && !slices.Contains(macros, Nearest(name, macros)) {
		return
	}
	variable := e.AsCall().Args()[0]
	for variable.Kind() == ast.SelectKind {
		variable = variable.AsSelect().Operand()
	}
	if variable.Kind() != ast.IdentKind || d.lang.isVariable(variable.AsIdent()) {
		return
	}
	for _, arg := range e.AsCall().Args() {
		ast.PreOrderVisit(arg, ast.NewExprVisitor(func(e ast.Expr) {
			if e.Kind() == ast.IdentKind && e.AsIdent() == variable.AsIdent() {
				muted[e.ID()] = true
			}
		}))
	}
}

// lacksVariable finds sortBy(m.id), meant as sortBy(m, m.id), and silences the
// complaints about it.
//
// The advice is the whole call as it should be, with the user's own expression.
func (d *diagnosis) lacksVariable(e ast.Expr, failed, muted map[int64]bool) {
	if e.Kind() != ast.CallKind || !e.AsCall().IsMemberFunction() || len(e.AsCall().Args()) != 1 {
		return
	}
	name, arg := e.AsCall().FunctionName(), e.AsCall().Args()[0]
	if !strings.Contains(usages()[name], "(variable,") {
		return
	}
	variable := ""
	ast.PreOrderVisit(arg, ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() == ast.IdentKind && failed[e.ID()] {
			variable = e.AsIdent()
		}
	}))
	start := d.start(arg)
	end := expressionEnd(d.src, start, '(', ')')
	if variable == "" || variable == arg.AsIdent() || end < 0 {
		return
	}
	muted[e.ID()] = true
	ast.PreOrderVisit(arg, ast.NewExprVisitor(func(e ast.Expr) { muted[e.ID()] = true }))
	d.report(d.at(e), "", "'%s' takes a name for the element first: write %s(%s, %s)", name, name, variable, strings.TrimSpace(string(d.src[start:end])))
}

// index collects the nodes of an expression by id, and the parent of each.
//
// An error of the checker carries an id. Neither CEL's errors nor its nodes know
// the node above.
func index(e ast.Expr, nodes, parents map[int64]ast.Expr) {
	ast.PreOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		nodes[e.ID()] = e
		for _, child := range children(e) {
			parents[child.ID()] = e
		}
	}))
}

// children returns the operands of a call, loop or selection.
//
// Elements of lists and entries of maps are left out. Callers that need them add
// them.
func children(e ast.Expr) []ast.Expr {
	switch e.Kind() {
	case ast.CallKind:
		call := e.AsCall()
		if call.IsMemberFunction() {
			return append([]ast.Expr{call.Target()}, call.Args()...)
		}
		return call.Args()
	case ast.ComprehensionKind:
		c := e.AsComprehension()
		return []ast.Expr{c.IterRange(), c.AccuInit(), c.LoopCondition(), c.LoopStep(), c.Result()}
	case ast.SelectKind:
		return []ast.Expr{e.AsSelect().Operand()}
	}
	return nil
}

// typeError reports one error of the type checker. message is CEL's own, for
// kinds of nodes without a better one.
func (d *diagnosis) typeError(e, parent ast.Expr, message string) {
	// Two errors stand at a node with a good type in the wrong place.
	if t := d.checked.GetType(e.ID()); parent != nil && t != nil && t.Kind() != types.ErrorKind {
		if parent.Kind() == ast.ComprehensionKind && parent.AsComprehension().IterRange().ID() == e.ID() {
			d.report(d.at(parent), "", "'%s' needs a list, not %s", d.nameAt(parent), plainType(t))
			return
		}
		if parent.Kind() == ast.CallKind {
			if fn := parent.AsCall().FunctionName(); fn == operators.LogicalAnd || fn == operators.LogicalOr {
				d.report(d.start(e), "", "must be bool, is %s", plainType(t))
				return
			}
		}
	}
	switch e.Kind() {
	case ast.IdentKind:
		d.undeclared(e)
	case ast.SelectKind:
		d.undefinedField(e)
	case ast.CallKind:
		d.badCall(e)
	case ast.StructKind:
		d.report(d.start(e), "", "'%s' cannot be constructed", e.AsStruct().TypeName())
	default:
		d.report(d.start(e), "", "%s", message)
	}
}

// nameAt reads the name of a macro back from the source.
//
// The parser replaced the macro by a loop, which has no name.
func (d *diagnosis) nameAt(e ast.Expr) string {
	start := d.at(e)
	end := start
	for end < len(d.src) && isNameChar(d.src[end]) {
		end++
	}
	return string(d.src[start:end])
}

// undeclared reports an unknown variable, with the nearest one.
//
// The advice is tried in this order: a variable of another kind of expression, a
// field of ai, req or conn, a misspelt variable, and an environment variable.
func (d *diagnosis) undeclared(e ast.Expr) {
	name := e.AsIdent()
	if why, ok := d.lang.elsewhere[name]; ok {
		d.report(d.at(e), "", "%s", why)
		return
	}
	known := d.lang.variables()
	// A reader of the documents writes "models" and means ai.models.
	for _, v := range known {
		if st := d.lang.vocab.structs["@"+v]; st != nil {
			if _, ok := st.fields[name]; ok {
				d.report(d.at(e), v+"."+name, "undeclared reference to '%s'", name)
				return
			}
		}
	}
	near := Nearest(name, known)
	if near == "" && slices.Contains(known, "secrets") && strings.ToUpper(name) == name {
		d.report(d.at(e), "", "undeclared reference to '%s': the environment is read by secrets.get('my-provider', 'api-key'), which is MY_PROVIDER_API_KEY", name)
		return
	}
	d.report(d.at(e), near, "undeclared reference to '%s'", name)
}

// variables lists the gateway's variables.
//
// A language without ai or secrets does not list them.
func (l *language) variables() []string {
	var names []string
	for _, v := range l.env.Variables() {
		if name := v.Name(); l.isVariable(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// isVariable tells the gateway's variables from hidden ones and from names of
// types. CEL holds these to be variables too.
func (l *language) isVariable(name string) bool {
	return slices.Contains([]string{"ai", "req", "conn", "secrets"}, name)
}

// undefinedField reports an unknown field, with the nearest one of the type.
//
// A type of the vocabulary has known fields. A path such as req.ai.strem is
// named as a whole if it begins with a variable. A name behind a macro's
// variable is named by the type: "model has no field 'pricng'".
func (d *diagnosis) undefinedField(e ast.Expr) {
	sel := e.AsSelect()
	operand := d.checked.GetType(sel.Operand().ID())
	path, rooted := d.path(e)
	if why, ok := d.lang.elsewhere[path]; ok {
		d.report(d.at(e), "", "%s", why)
		return
	}
	st := d.lang.vocab.structs[operand.TypeName()]
	if st == nil {
		suggestion := ""
		if slices.Contains(d.lang.memberFunctions(operand), sel.FieldName()) {
			suggestion = sel.FieldName() + "()"
		}
		d.report(d.at(e), suggestion, "%s has no field '%s'", plainType(operand), sel.FieldName())
		return
	}
	nearest := Nearest(sel.FieldName(), st.fieldNames())
	if nearest == "" {
		// The field may be meant one step further down.
		nearest = d.deeper(st, sel.FieldName())
	}
	if !rooted {
		d.report(d.at(e), nearest, "%s has no field '%s'", plainType(operand), sel.FieldName())
		return
	}
	if nearest != "" {
		nearest = strings.TrimSuffix(path, sel.FieldName()) + nearest
	}
	d.report(d.at(e), nearest, "undeclared reference to '%s'", path)
}

// deeper finds the one field of a name a step further down: "url.path" for
// "path" of a request.
func (d *diagnosis) deeper(st *structType, name string) string {
	var found []string
	for _, f := range st.fieldNames() {
		if inner := d.lang.vocab.structs[st.fields[f].Type.TypeName()]; inner != nil && inner != st {
			if _, ok := inner.fields[name]; ok {
				found = append(found, f+"."+name)
			}
		}
	}
	if len(found) == 1 {
		return found[0]
	}
	return ""
}

// path spells a chain of selections, and says whether it begins with one of
// our variables rather than with a macro's.
func (d *diagnosis) path(e ast.Expr) (string, bool) {
	switch e.Kind() {
	case ast.IdentKind:
		return e.AsIdent(), d.lang.isVariable(e.AsIdent())
	case ast.SelectKind:
		prefix, rooted := d.path(e.AsSelect().Operand())
		return prefix + "." + e.AsSelect().FieldName(), rooted
	}
	return "", false
}

// usages shows how macros are written. With another number of arguments a macro
// is an unknown function to CEL.
func usages() map[string]string {
	return map[string]string{
		"sortBy":     "sortBy(variable, expression)",
		"filter":     "filter(variable, predicate)",
		"random":     "random() or random(variable, weight)",
		"randomize":  "randomize() or randomize(variable, weight)",
		"sticky":     "sticky(string) or sticky(string, number)",
		"leastBusy":  "leastBusy()",
		"able":       "able()",
		"all":        "all(variable, predicate)",
		"exists":     "exists(variable, predicate)",
		"exists_one": "exists_one(variable, predicate)",
		"existsOne":  "existsOne(variable, predicate)",
		"map":        "map(variable, expression)",
		"has":        "has(value.field)",
	}
}

// badCall reports a call of an unknown function, or with wrong arguments.
// Operators and macros are functions, too.
func (d *diagnosis) badCall(e ast.Expr) {
	call := e.AsCall()
	name := call.FunctionName()
	args := call.Args()
	argTypes := make([]*types.Type, len(args))
	for i, a := range args {
		argTypes[i] = d.checked.GetType(a.ID())
	}
	var target *types.Type
	if call.IsMemberFunction() {
		target = d.checked.GetType(call.Target().ID())
	}

	switch name {
	case fnAt:
		d.report(d.at(e), "", "%s cannot be indexed with %s", plainType(argTypes[0]), plainType(argTypes[1]))
		return
	case fnRandom, fnRandomize:
		d.report(d.at(e), "", "'%s' needs a list, not %s", strings.TrimPrefix(name, "@"), plainType(argTypes[1]))
		return
	case fnSticky, fnLeastBusy, fnAble:
		want := d.lang.env.Functions()[name].OverloadDecls()[0].ArgTypes()[1]
		if plain := strings.TrimPrefix(name, "@"); !want.IsExactType(argTypes[1]) {
			d.report(d.at(e), "", "'%s' needs a %s, not %s", plain, plainType(want), plainType(argTypes[1]))
		} else {
			d.report(d.at(e), "", "%s(%s) does not exist: it is %s", plain, plainTypes(argTypes[3:], ", "), usages()[plain])
		}
		return
	case operators.Conditional:
		if k := argTypes[0].Kind(); k != types.BoolKind && k != types.DynKind {
			d.report(d.start(args[0]), "", "the condition must be bool, is %s", plainType(argTypes[0]))
		} else {
			hint := ""
			if isListOf(argTypes[1], argTypes[2]) || isListOf(argTypes[2], argTypes[1]) {
				hint = "; a list of one is written [x]"
			}
			d.report(d.at(e), "", "both results must have one type, they are %s and %s%s", plainType(argTypes[1]), plainType(argTypes[2]), hint)
		}
		return
	}
	if symbol, ok := operators.FindReverse(name); ok && symbol != "" {
		hint := ""
		if mixesNumbers(argTypes) {
			hint = "; write numbers as 1.0, or convert them with double(…)"
		}
		d.report(d.at(e), "", "'%s' is not defined for %s%s", symbol, plainTypes(argTypes, " and "), hint)
		return
	}

	fn, known := d.lang.env.Functions()[name]
	usage, isMacro := usages()[name]
	isMacro = isMacro && (name == "has" || slices.Contains(d.lang.macroNames(), name))
	switch {
	case isMacro && !known && target == nil && name != "has":
		d.report(d.at(e), "", "'%s' is called on a list: ai.models.%s", name, usage)
	case isMacro && !known:
		d.report(d.at(e), "", "wrong number of arguments: it is %s", usage)
	case !known:
		candidates := d.lang.globalFunctions()
		if target != nil {
			candidates = d.lang.memberFunctions(target)
		}
		suggestion := Nearest(name, candidates)
		// A function of another type may be meant, such as only() of a list, called
		// on a model.
		if suggestion == "" && target != nil {
			suggestion = Nearest(name, d.lang.memberFunctions(nil))
		}
		d.report(d.at(e), suggestion, "undeclared function '%s'", name)
	default:
		d.noOverload(e, fn, target, argTypes)
	}
}

// noOverload reports a known function with the wrong types.
//
// Overloads for the receiver's type show their parameters. Without one the
// message lists the types that have the function.
func (d *diagnosis) noOverload(e ast.Expr, fn *decls.FunctionDecl, target *types.Type, args []*types.Type) {
	var fitting, receivers []string
	for _, o := range fn.OverloadDecls() {
		params := o.ArgTypes()
		if target == nil {
			if !o.IsMemberFunction() {
				fitting = append(fitting, fmt.Sprintf("%s(%s)", fn.Name(), plainTypes(params, ", ")))
			}
			continue
		}
		if !o.IsMemberFunction() {
			continue
		}
		if r := plainType(params[0]); !slices.Contains(receivers, r) {
			receivers = append(receivers, r)
		}
		if params[0].IsAssignableType(target) {
			fitting = append(fitting, fmt.Sprintf("%s(%s)", fn.Name(), plainTypes(params[1:], ", ")))
		}
	}
	if fn.Name() == "sortBy" && len(fitting) > 0 {
		fitting = append(fitting, "sortBy(variable, expression)")
	}
	switch {
	case len(fitting) > 0:
		d.report(d.at(e), "", "%s(%s) does not exist: it is %s", fn.Name(), plainTypes(args, ", "), strings.Join(fitting, " or "))
	case target == nil:
		d.report(d.at(e), "", "'%s' is called on a value: it is for %s", fn.Name(), strings.Join(memberReceivers(fn), ", "))
	case len(receivers) > 0:
		d.report(d.at(e), "", "'%s' is for %s, not for %s", fn.Name(), strings.Join(receivers, ", "), plainType(target))
	default:
		d.report(d.at(e), "", "'%s' is not called on a value", fn.Name())
	}
}

// memberReceivers lists the types with a member function of a name.
func memberReceivers(fn *decls.FunctionDecl) []string {
	var receivers []string
	for _, o := range fn.OverloadDecls() {
		if r := plainType(o.ArgTypes()[0]); o.IsMemberFunction() && !slices.Contains(receivers, r) {
			receivers = append(receivers, r)
		}
	}
	return receivers
}

// memberFunctions lists the functions of a type. Nil stands for any type.
func (l *language) memberFunctions(t *types.Type) []string {
	var names []string
	if t == nil || t.Kind() == types.ListKind || t.Kind() == types.DynKind {
		names = l.macroNames()
	}
	for name, fn := range l.env.Functions() {
		callable := func(o *decls.OverloadDecl) bool {
			return o.IsMemberFunction() && (t == nil || o.ArgTypes()[0].IsAssignableType(t))
		}
		if isWord(name) && slices.ContainsFunc(fn.OverloadDecls(), callable) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// globalFunctions lists the functions called without a receiver.
func (l *language) globalFunctions() []string {
	names := []string{"has"}
	for name, fn := range l.env.Functions() {
		if isWord(name) && slices.ContainsFunc(fn.OverloadDecls(), func(o *decls.OverloadDecl) bool { return !o.IsMemberFunction() }) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// isWord tells the names of source text from operators and from the functions
// behind macros.
func isWord(name string) bool {
	return name != "" && unicode.IsLetter(rune(name[0]))
}

// isListOf reports whether one type is a list of the other.
func isListOf(list, elem *types.Type) bool {
	return list.Kind() == types.ListKind && list.Parameters()[0].IsExactType(elem)
}

// mixesNumbers reports an int beside a double: CEL compares them, but does not
// calculate with both.
func mixesNumbers(ts []*types.Type) bool {
	var ints, doubles bool
	for _, t := range ts {
		ints = ints || t.Kind() == types.IntKind || t.Kind() == types.UintKind
		doubles = doubles || t.Kind() == types.DoubleKind
	}
	return ints && doubles
}
