package expr

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// plainType names a type in a message: "list of models".
//
// A type of the vocabulary loses its "@": "@request_facts" becomes "request
// facts".
// The words are those of the reference.
func plainType(t *types.Type) string {
	switch t.Kind() {
	case types.ListKind:
		if elem := t.Parameters()[0]; elem.Kind() != types.DynKind && elem.Kind() != types.TypeParamKind {
			return "list of " + plural(plainType(elem))
		}
		return "list"
	case types.MapKind:
		return "map"
	case types.TypeParamKind, types.DynKind:
		return "any value"
	case types.NullTypeKind:
		return "null"
	}
	return plainTypeName(t)
}

// plainError translates one message of CEL with internals in it. Null quotas
// and prices make it a common one.
//
// Data:
//
//	no such overload: _>_(…)
//
// CEL writes its inner name of a function. The author of the strategy wrote the
// symbol.
func plainError(err error) error {
	function, ok := strings.CutPrefix(err.Error(), "no such overload: ")
	switch {
	case err.Error() == "no such overload":
		return errNoOverload
	case !ok:
		return err
	}
	function, _, _ = strings.Cut(function, "(")
	if symbol, isOperator := operators.FindReverse(function); isOperator {
		function = symbol
	}
	return fmt.Errorf("'%s' is not defined for null or for values of these types", function)
}

// errNoOverload is the error if the operator is not known.
var errNoOverload = errors.New("an operator is not defined for null or for values of these types")

// plainTypeName names the type of a value at run time.
func plainTypeName(t ref.Type) string {
	switch name := t.TypeName(); name {
	case "null_type":
		return "null"
	default:
		return strings.ReplaceAll(strings.TrimPrefix(name, "@"), "_", " ")
	}
}

// plural is the plural of a type's name: "lists of strings".
// The first word of a list's type takes the s: "list of models" becomes "lists
// of models".
func plural(name string) string {
	if first, rest, ok := strings.Cut(name, " of "); ok {
		return first + "s of " + rest
	}
	return strings.TrimSuffix(name, "s") + "s"
}

// plainTypes joins the names of several types.
func plainTypes(ts []*types.Type, separator string) string {
	names := make([]string, len(ts))
	for i, t := range ts {
		names[i] = plainType(t)
	}
	return strings.Join(names, separator)
}
