// Package expr is the expression language of the gateway: CEL with a
// vocabulary of models, providers, authors, keys and requests.
//
// There are four kinds of expressions, with their own variables:
//
//   - A [Strategy] chooses models. It sees ai.models, ai.providers,
//     ai.authors, req and conn.
//   - A [KeyStrategy] chooses API keys. It sees ai.keys, req and conn.
//   - A [Template] is text with ${…} in it. It sees secrets, req and conn.
//   - An [Identity] names the sender of a request. It sees req and conn.
//
// All of them are compiled once, with every name and type checked. Any number of
// goroutines may evaluate them. The cost of an evaluation is bounded.
//
// CEL defines the language. Strategies run as plans of Go closures, with the same
// results, see [Prepared].
//
// The package has types of its own for the values of the language. Changes of Go
// types elsewhere do not break configurations.
//
// [Reference] documents the language. A new name needs a row there, and an update
// of testdata/vocabulary.txt.
//
// # Files
//
// The way of an expression, from its text to its result:
//
//   - expr.go compiles: it parses, rewrites, checks and makes a program of CEL.
//     diagnosis.go and diagnosis_types.go turn CEL's complaints into the values of
//     problem.go, with a place and a suggestion. messages.go puts types into words,
//     and names.go finds the nearest name.
//   - checks.go refuses expressions that CEL accepts and that can never be right,
//     such as an unknown word of sortBy. literals.go lists the names of models in
//     an expression, for warnings about misspelt ones.
//   - strategy.go, template.go and identity.go are the four kinds of expressions.
//   - run.go is one evaluation by CEL. budget.go bounds its steps.
//   - plan.go and the files plan_*.go are the same evaluation by closures, and
//     prepared.go is a strategy bound to its models.
//
// The vocabulary:
//
//   - vocabulary.go holds the Go values that callers hand in. schema.go gives
//     their fields names and types in CEL; metrics.go and facts.go do so for
//     metrics and for req.ai.
//   - objects.go makes CEL values of them, with layers of metadata.
//   - macros.go, functions.go, names_functions.go, chance.go, affinity.go and
//     text.go are the macros and functions. reference.go documents them.
//   - uses.go finds out which parts of its input an expression reads.
package expr

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/checker"
	"github.com/google/cel-go/common"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/containers"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/interpreter"
)

const (
	// maxSource is the longest expression in bytes. It bounds the compiler, as
	// costLimit bounds the evaluation.
	maxSource = 8 << 10

	// interruptEvery is how many iterations go by between two looks at the
	// context.
	interruptEvery = 128

	// maxRegexProgram bounds a compiled pattern, which may come from a request.
	maxRegexProgram = 1 << 12
)

var (
	// ErrTooCostly is in the error of an evaluation with too many steps.
	ErrTooCostly = errors.New("expression takes too many steps")

	errNotPlain = errors.New("not a plain value")
)

// EvalError is a failure at run time.
type EvalError struct {
	Source string // the expression
	Err    error  // why; never nil, and may wrap an error of a callback or context
}

// Error shows the expression and the reason, for operators.
func (e *EvalError) Error() string { return fmt.Sprintf("%s: %v", e.Source, e.Err) }
func (e *EvalError) Unwrap() error { return e.Err }

// Public is a text for the client. Error shows the expression and the details,
// and is for operators.
func (e *EvalError) Public() string {
	if errors.Is(e.Err, ErrTooCostly) {
		return "the gateway's rules take too many steps for this request"
	}
	return "the gateway's rules failed for this request"
}

// language is the environment of one kind of expression. It is immutable.
type language struct {
	env     *cel.Env
	checker *checker.Env
	vocab   *vocabulary

	// elsewhere explains names of the other languages.
	elsewhere map[string]string
}

// Environments take milliseconds to build and never change, so each is built
// once for the process, when first used.
var (
	strategyLanguage = sync.OnceValues(func() (*language, error) {
		return newLanguage(strategyTypes(), append(strategyFunctions(),
			cel.Macros(choiceMacros()...), cel.Macros(cel.ReceiverMacro("able", 0, expandWithRun(fnAble)))), []string{"ai"}, map[string]string{
			"secrets": "secrets are not visible to a strategy, only to ${…} in keys, headers, query_params and body",
			"ai.keys": "'ai.keys' is visible in api_key_selection alone",
		})
	})
	keyStrategyLanguage = sync.OnceValues(func() (*language, error) {
		const modelsOnly = "is visible in model_selection alone; here is 'ai.keys'"
		return newLanguage(keyStrategyTypes(), append(keyStrategyFunctions(), cel.Macros(choiceMacros()...)), []string{"ai"}, map[string]string{
			"secrets":      "secrets are not visible to a strategy, only to ${…} in keys, headers, query_params and body",
			"ai.models":    "'ai.models' " + modelsOnly,
			"ai.providers": "'ai.providers' " + modelsOnly,
			"ai.authors":   "'ai.authors' " + modelsOnly,
		})
	})
	identityLanguage = sync.OnceValues(func() (*language, error) {
		return newLanguage(requestTypes(), nil, nil, map[string]string{
			"ai":      "'ai' is visible to strategies alone; here are 'req' and 'conn'",
			"secrets": "'secrets' is visible in ${…} alone; here are 'req' and 'conn'",
		})
	})
	templateLanguage = sync.OnceValues(func() (*language, error) {
		return newLanguage(templateTypes(), templateFunctions(), []string{"secrets"}, map[string]string{
			"ai": "'ai' is not visible in ${…}, only to strategies",
		})
	})
)

// newLanguage builds the environment of one kind of expression. All kinds share
// CEL's standard library, the macros, req and conn.
func newLanguage(structs []*structType, functions []cel.EnvOption, vars []string, elsewhere map[string]string) (*language, error) {
	vocab, err := newVocabulary(structs)
	if err != nil {
		return nil, err
	}
	texts, err := textFunctions()
	if err != nil {
		return nil, err
	}
	opts := []cel.EnvOption{
		cel.CustomTypeAdapter(vocab),
		cel.CustomTypeProvider(vocab),
		cel.StdLib(),
		cel.ClearMacros(),
		cel.Macros(macros()...),
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
		cel.ParserExpressionSizeLimit(maxSource),
		cel.RegexProgramSizeLimit(maxRegexProgram),
		cel.Variable("req", object("request")),
		cel.Variable("conn", object("connection")),
	}
	for _, v := range vars {
		opts = append(opts, cel.Variable(v, object(v)))
	}
	opts = append(opts, texts...)
	opts = append(append(opts, append(macroFunctions(), spendFunction())...), functions...)
	env, err := cel.NewCustomEnv(opts...)
	if err != nil {
		return nil, err
	}

	// The checker runs directly rather than through env.Check: the latter drops
	// the inferred types when there are errors. The types say which names could
	// have been meant.
	chk, err := checker.NewEnv(containers.DefaultContainer, vocab, checker.CrossTypeNumericComparisons(true))
	if err != nil {
		return nil, err
	}
	if err := chk.AddIdents(env.Variables()...); err != nil {
		return nil, err
	}
	for _, fn := range env.Functions() {
		if err := chk.AddFunctions(fn); err != nil {
			return nil, err
		}
	}
	return &language{env: env, checker: chk, vocab: vocab, elsewhere: elsewhere}, nil
}

// program is a compiled expression.
//
// checked keeps the types for later questions: which parts of the input it uses,
// which names it has, and whether it can be planned.
type program struct {
	source  string
	lang    *language
	checked *ast.AST
	prog    cel.Program
}

// compile checks and plans src, a part of text at the offset base. Problems are
// placed in text. want adds the checks beyond CEL's own.
func (l *language) compile(src string, text []rune, base int, want func(*diagnosis)) (*program, []Problem) {
	// The bound comes before the parser.
	if len(src) > maxSource {
		return nil, []Problem{problemAt(text, base, "", "the expression has %d bytes, at most %d are allowed", len(src), maxSource)}
	}
	d := &diagnosis{lang: l, text: text, base: base, src: []rune(src)}
	if len(d.src) == 0 || d.skipSpace(0) == len(d.src) {
		return nil, []Problem{problemAt(text, base, "", "the expression is empty")}
	}
	parsed, issues := l.env.Parse(src)
	if issues.Err() != nil {
		d.syntax(issues.Errors())
		return nil, d.problems
	}
	// Both rewrites come before the checker, which types the new nodes.
	rewriteIndexing(parsed.NativeRep().Expr())
	chargeLoops(parsed.NativeRep())
	checked, errs := checker.Check(parsed.NativeRep(), common.NewTextSource(src), l.checker)
	d.checked = checked
	if len(errs.GetErrors()) > 0 {
		d.types(errs.GetErrors())
		return nil, d.problems
	}
	d.check()
	want(d)
	if len(d.problems) > 0 {
		return nil, d.problems
	}
	opts := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize), cel.InterruptCheckFrequency(interruptEvery)}
	if !boundedNodes(checked) {
		opts = append(opts, cel.CostTracking(textCost{}), cel.CostLimit(costLimit))
	}
	prog, err := l.env.PlanProgram(checked, opts...)
	if err != nil {
		d.report(0, "", "%v", err)
		return nil, d.problems
	}
	return &program{source: src, lang: l, checked: checked, prog: prog}, nil
}

// rewriteIndexing turns operand[index] into a call of our own, see [at].
func rewriteIndexing(root ast.Expr) {
	factory := ast.NewExprFactory()
	ast.PostOrderVisit(root, ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() == ast.CallKind && e.AsCall().FunctionName() == operators.Index {
			e.SetKindCase(factory.NewCall(e.ID(), fnAt, e.AsCall().Args()...))
		}
	}))
}

// eval evaluates the program. Its errors are unwrapped from CEL's own, and not
// yet an [EvalError].
func (p *program) eval(ctx context.Context, r *run) (ref.Val, error) {
	r.ctx, r.vocab = ctx, p.lang.vocab
	val, _, err := p.prog.ContextEval(ctx, r)
	if err == nil {
		return val, nil
	}
	var cancelled interpreter.EvalCancelledError
	if errors.As(err, &cancelled) && cancelled.Cause == interpreter.CostLimitExceeded {
		return nil, ErrTooCostly
	}
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, interpreter.InterruptError{}) {
		return nil, cause
	}
	// types.Err compares by text in errors.Is, but its cause does not.
	for {
		celErr, ok := err.(*types.Err) //nolint:errorlint // CEL's wrapping comes off, nothing else
		if !ok || celErr.Unwrap() == nil {
			return nil, plainError(err)
		}
		err = celErr.Unwrap()
	}
}
