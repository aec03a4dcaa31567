package confdoc

import (
	"errors"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	yaml "sigs.k8s.io/yaml/goyaml.v3"
)

// scalar decodes a string, a number or a boolean. Nothing is converted: an id
// written 4.10 would become "4.1" in some readers, so a text must be written as
// one.
//
// The reason of a fault names the remedy, where one is likely: quotes, a unit,
// or the end of quotes.
func (d *Document) scalar(n *yaml.Node, v reflect.Value, at *place) {
	switch v.Kind() {
	case reflect.String:
		switch {
		case isText(n):
			v.SetString(n.Value)
		// A switch is a text with a boolean's two words among its values:
		// "translate: true" reads as "true".
		case slices.Contains(d.opts.Switches, v.Type()):
			b, ok := boolean(n)
			if !ok {
				d.fault(n, at, "must be true, false or a word, not %s", describe(n))
				return
			}
			v.SetString(strconv.FormatBool(b))
		case v.Type() == d.opts.Duration && isNumber(n) && strings.Trim(n.Value, "0123456789.") == "" && !strings.HasPrefix(n.Value, "."):
			d.fault(n, at, `must be a duration with its unit, such as "%ss"`, n.Value)
		case v.Type() == d.opts.Duration:
			d.fault(n, at, `must be a duration such as "120s", not %s`, describe(n))
		case n.Kind == yaml.ScalarNode && n.Tag != "!!null":
			d.fault(n, at, "must be a string, not %s: put it in quotes", describe(n))
		default:
			d.fault(n, at, "must be a string, not %s", describe(n))
		}
	case reflect.Int, reflect.Int64:
		switch i, err := number(n); i := i.(type) {
		case int64:
			if v.OverflowInt(i) {
				d.fault(n, at, "is too large")
				return
			}
			v.SetInt(i)
		case uint64:
			d.fault(n, at, "is too large")
		case float64:
			d.fault(n, at, "must be an integer in plain digits, within 64 bits")
		default:
			d.notNumber(n, at, "an integer", err)
		}
	case reflect.Float64:
		switch f, err := number(n); f := f.(type) {
		case int64:
			v.SetFloat(float64(f))
		case uint64:
			v.SetFloat(float64(f))
		case float64:
			v.SetFloat(f)
		default:
			d.notNumber(n, at, "a number", err)
		}
	case reflect.Bool:
		b, ok := boolean(n)
		if !ok {
			d.fault(n, at, "must be true or false, not %s", describe(n))
			return
		}
		v.SetBool(b)
	default:
		// No field of Config gets here; a test walks them all.
		d.fault(n, at, "cannot be set in a document")
	}
}

// notNumber reports a value in the place of a number. An err is that of [number].
// A text of mere digits was a number once, before somebody quoted it.
func (d *Document) notNumber(n *yaml.Node, at *place, want string, err error) {
	switch {
	case err != nil:
		d.fault(n, at, "%s", err)
	case isText(n) && n.Value != "" && strings.Trim(n.Value, "0123456789") == "":
		d.fault(n, at, "must be %s, not a string: take the quotes off", want)
	default:
		d.fault(n, at, "must be %s, not %s", want, describe(n))
	}
}

// free reads a value of any shape of JSON, into a string, a bool, nil, []any,
// map[string]any or a number. A number is an int64, else a uint64, else a float64.
//
// It is for metadata and for values of request bodies. A fault leaves nil at its
// place.
func (d *Document) free(n *yaml.Node, at *place) any {
	switch n.Kind {
	case yaml.MappingNode:
		entries := d.entries(n, at)
		m := make(map[string]any, len(entries))
		for _, e := range entries {
			m[e.Name] = d.freeChild(e.Value.node, e.Value.at)
		}
		return m
	case yaml.SequenceNode:
		list := []any{}
		for i, item := range n.Content {
			if d.stopped {
				break
			}
			list = append(list, d.freeChild(item, at.item(i)))
		}
		return list
	}
	if b, ok := boolean(n); ok {
		return b
	}
	if isText(n) {
		return n.Value
	}
	if n.Tag == "!!null" {
		return nil
	}
	f, err := number(n)
	if err != nil {
		d.fault(n, at, "%s", err)
	}
	return f
}

// freeChild is free with the count of [Document.visit].
func (d *Document) freeChild(n *yaml.Node, at *place) any {
	n, ok := d.visit(n, at)
	if !ok {
		return nil
	}
	return d.free(n, at)
}

// isText reports a string. A date without quotes is a string too: few people expect
// a type of its own.
// The merge key is one too, where it stands as a value: "<<" is a text there.
func isText(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && (n.Tag == "!!str" || n.Tag == "!!timestamp" || n.Tag == "!!merge")
}

// isNumber reports a number in YAML's notation.
func isNumber(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && (n.Tag == "!!int" || n.Tag == "!!float")
}

// unaliased returns the node behind an alias, and another node as it is.
// An alias of an alias cannot be written, but costs nothing to follow.
func unaliased(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// isNull reports a null, or an alias to one. A null with a tag is not reported, so
// that visit can refuse the tag.
func isNull(n *yaml.Node) bool {
	n = unaliased(n)
	return n.Kind == yaml.ScalarNode && n.Tag == "!!null" && n.Style&yaml.TaggedStyle == 0
}

// boolean reads true and false. To the parser, the yes, no, on and off of older YAML
// are strings.
func boolean(n *yaml.Node) (value, ok bool) {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" {
		return false, false
	}
	return strings.EqualFold(n.Value, "true"), true
}

// leadingZero matches numbers such as 010: they are octal in YAML 1.1 and decimal
// in 1.2.
var leadingZero = regexp.MustCompile(`^[-+]?0[0-9]`)

// number reads a number as an int64, else a uint64, else a float64. For another node
// it returns nil. Numbers beyond JSON (.inf, .nan) are an error, for any number may
// go into the body of a request.
//
// Underscores between digits are YAML 1.1's, and are taken out.
func number(n *yaml.Node) (any, error) {
	if !isNumber(n) {
		return nil, nil
	}
	text := strings.ReplaceAll(n.Value, "_", "")
	if leadingZero.MatchString(text) {
		return nil, errors.New("starts with a zero, which is octal in YAML 1.1 and decimal in 1.2: drop the zero, or put a string in quotes")
	}
	if n.Tag == "!!int" {
		if i, err := strconv.ParseInt(text, 0, 64); err == nil {
			return i, nil
		}
		if u, err := strconv.ParseUint(text, 0, 64); err == nil {
			return u, nil
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil { // of range, or one of YAML's own: .inf, .nan
		return nil, errors.New("must be a finite number")
	}
	return f, nil
}

// describe names the kind of a node in the words of a document's author.
func describe(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case isText(n):
		return "a string"
	case isNumber(n):
		return "a number"
	case n.Tag == "!!bool":
		return "a boolean"
	default:
		return "null"
	}
}
