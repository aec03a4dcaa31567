package expr

import (
	"fmt"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/functions"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/cel-go/ext"
	"github.com/google/cel-go/interpreter"
)

const (
	// maxText is the longest text made by a function, in bytes. One call can
	// make gigabytes of a few bytes, and CEL counts it as one step.
	maxText = 1 << 20

	// maxPrecision bounds the digits of format.
	maxPrecision = 100

	// textStep is how many bytes of text count as a step, as in CEL's own "+".
	textStep = 10
)

// textFunctions are CEL's extension for strings, less the power to make texts
// of any length.
//
// The functions of [growing] are declared again over CEL's own, with the same
// ids, types and results. A new version of cel-go with other overloads fails
// here, at the first compilation, and not in a request.
func textFunctions() ([]cel.EnvOption, error) {
	library := ext.Strings(ext.StringsVersion(4), ext.StringsMaxPrecision(maxPrecision))
	env, err := cel.NewCustomEnv(library)
	if err != nil {
		return nil, err
	}
	opts := []cel.EnvOption{
		library,
		cel.Function("hash", cel.Overload("hash_string", []*cel.Type{cel.StringType}, cel.IntType, cel.UnaryBinding(hash))),
	}
	for name, size := range growing() {
		fn := env.Functions()[name]
		bindings, err := fn.Bindings()
		if err != nil {
			return nil, err
		}
		for _, o := range fn.OverloadDecls() {
			call := binding(bindings, o.ID())
			if call == nil || !o.IsMemberFunction() {
				return nil, fmt.Errorf("%s of CEL's strings is not what it was", o.ID())
			}
			opts = append(opts, cel.Function(name, cel.MemberOverload(o.ID(), o.ArgTypes(), o.ResultType(), cel.FunctionBinding(
				func(args ...ref.Val) ref.Val {
					// A panic, as an error value could be absorbed.
					if size(args) > maxText {
						panic(tooCostly())
					}
					return call(args...)
				}))))
		}
	}
	return opts, nil
}

// hash is hash(text), see [Hash].
func hash(arg ref.Val) ref.Val {
	text, ok := arg.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(arg)
	}
	return types.Int(Hash(string(text)))
}

// binding is the Go function of an overload.
// CEL keeps functions of one, two and more arguments apart. Nil means that the
// library has no such overload any more.
func binding(bindings []*functions.Overload, id string) func(args ...ref.Val) ref.Val {
	for _, b := range bindings {
		switch {
		case b.Operator != id:
		case b.Unary != nil:
			return func(args ...ref.Val) ref.Val { return b.Unary(args[0]) }
		case b.Binary != nil:
			return func(args ...ref.Val) ref.Val { return b.Binary(args[0], args[1]) }
		default:
			return b.Function
		}
	}
	return nil
}

// growing are the functions whose results can be much longer than their
// arguments, each with a bound of its result's length.
//
// A bound may be above the real length.
func growing() map[string]func(args []ref.Val) int {
	return map[string]func(args []ref.Val) int{
		"replace": func(args []ref.Val) int {
			text, from, to := string(args[0].(types.String)), string(args[1].(types.String)), string(args[2].(types.String))
			n := strings.Count(text, from)
			// The product of the two could overflow an int.
			if n > 0 && len(to) > maxText/n {
				return maxText + 1
			}
			return len(text) + n*len(to)
		},
		"join": func(args []ref.Val) int {
			total := textSize(args[0], 0)
			if n, ok := args[0].(traits.Sizer).Size().(types.Int); ok && len(args) > 1 && total <= maxText {
				total += min(int(n), maxText) * textSize(args[1], 0)
			}
			return total
		},
		"format": func(args []ref.Val) int { return textSize(args[1], textSize(args[0], 0)) },
	}
}

// textSize adds to a number how long a value is as text, at least about: it
// stops counting beyond maxText, as lists can hold the same list many times.
func textSize(v ref.Val, n int) int {
	const other = 16 // numbers, times, punctuation
	switch v := v.(type) {
	case types.String:
		return n + len(v)
	case types.Bytes:
		return n + len(v)
	case traits.Mapper: // before Iterable, a map is both
		for it := v.Iterator(); n <= maxText && it.HasNext() == types.True; {
			k := it.Next()
			n = textSize(v.Get(k), textSize(k, n+other))
		}
	case traits.Lister:
		for it := v.Iterator(); n <= maxText && it.HasNext() == types.True; {
			n = textSize(it.Next(), n+2)
		}
	default:
		n += other
	}
	return n
}

// textCost charges the functions over text for its length, under CEL's tracker.
type textCost struct{}

var _ interpreter.ActualCostEstimator = textCost{}

// CallCost counts a tenth of the bytes that go in and come out. Nil leaves a
// function to CEL.
// The list holds every function of the library over text, and hash.
func (textCost) CallCost(function, _ string, args []ref.Val, result ref.Val) *uint64 {
	switch function {
	case "replace", "join", "format", "split", "substring", "trim", "reverse", "strings.quote",
		"indexOf", "lastIndexOf", "charAt", "lowerAscii", "upperAscii", "hash":
	default:
		return nil // CEL's own
	}
	n := textSize(result, 0)
	for _, a := range args {
		n = textSize(a, n)
	}
	cost := uint64(n/textStep + 1)
	return &cost
}
