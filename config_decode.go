package aigateway

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/aigateway-go/aigateway/internal/expr"
	yaml "sigs.k8s.io/yaml/goyaml.v3"
)

// place is where in the settings a node stands. It is a list of steps, put
// into words only where something is wrong: a path for each of many nodes
// under a long key would cost the product of both.
type place struct {
	parent *place
	name   string // of a field or key
	index  int    // of an item, -1 for a field or key
	depth  int
	secret bool // what stands here or below may be a credential
}

// field is a step to a field of a struct. What may hold a credential is known by
// the field's name, and stays so for all that is below it.
func (at *place) field(name string) *place {
	secret := at.secret
	switch name {
	case "api_keys", "headers", "query_params", "body":
		secret = true
	}
	return &place{parent: at, name: name, index: -1, depth: at.depth + 1, secret: secret}
}

// key is a step to the value under a key that the user chose.
func (at *place) key(name string) *place {
	return &place{parent: at, name: name, index: -1, depth: at.depth + 1, secret: at.secret}
}

// item is a step to an item of a list, counted from 0.
func (at *place) item(i int) *place {
	return &place{parent: at, index: i, depth: at.depth + 1, secret: at.secret}
}

// String is the path from the root, which is empty itself.
func (at *place) String() string {
	var steps []*place
	for p := at; p.parent != nil; p = p.parent {
		steps = append(steps, p)
	}
	path := ""
	for _, p := range slices.Backward(steps) {
		if p.index >= 0 {
			path += "[" + strconv.Itoa(p.index) + "]"
		} else {
			path = joinKey(path, p.name)
		}
	}
	return path
}

var plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// joinKey extends a path by a key: headers.X-Team, headers["a.b"].
func joinKey(path, key string) string {
	switch {
	case isKey(key):
		// A credential in the place of a name, as in "sk-…:" under api_keys.
		return path + `["…"]`
	case !plainKey.MatchString(key):
		return path + "[" + strconv.Quote(shorten(key)) + "]"
	case path == "":
		return key
	default:
		return path + "." + key
	}
}

// configDecoder fills a Config from nodes, by the json tags of its fields: a
// field that is added to a struct can be read at once. It goes on after a fault
// so that all of them are found, and gives up only at the limits. What it
// stores next to a fault is of no interest, for the Config is dropped.
type configDecoder struct {
	found   problems
	fields  map[reflect.Type]configFields
	nodes   int // visited so far
	text    int // bytes of scalars visited so far
	stopped bool
}

// configFields are the fields of a struct, by their names in a document.
type configFields struct {
	names []string
	index map[string]int
	// first is the leading field where it is required, for hints.
	first string
}

// fieldsOf lists the fields of a struct type that a document may have. Those
// tagged "-" are the dependencies, which do not exist in it.
func (d *configDecoder) fieldsOf(t reflect.Type) configFields {
	if known, ok := d.fields[t]; ok {
		return known
	}
	f := configFields{index: make(map[string]int)}
	for i := range t.NumField() {
		name, option, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		if i == 0 && option == "" {
			f.first = name
		}
		f.names = append(f.names, name)
		f.index[name] = i
	}
	d.fields[t] = f
	return f
}

// fault notes a problem of the node, with its value where that may be shown.
func (d *configDecoder) fault(n *yaml.Node, at *place, format string, args ...any) {
	if d.stopped {
		return
	}
	if len(d.found) == maxConfigProblems {
		d.stopped = true
		d.found = append(d.found, &ConfigError{Reason: "and more: only the first " + strconv.Itoa(maxConfigProblems) + " are shown"})
		return
	}
	e := &ConfigError{Path: at.String(), Line: n.Line, Reason: fmt.Sprintf(format, args...)}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind == yaml.ScalarNode && n.Tag != "!!null" && !at.secret && !looksSecret(n.Value) {
		e.Value = shorten(n.Value)
	}
	d.found = append(d.found, e)
}

// stop ends the decoding: what would follow could cost too much.
func (d *configDecoder) stop(n *yaml.Node, at *place, format string, args ...any) {
	if !d.stopped {
		d.found = append(d.found, &ConfigError{Path: at.String(), Line: n.Line, Reason: fmt.Sprintf(format, args...)})
		d.stopped = true
	}
}

// visit counts a node and follows an alias. It is called for each node that is
// looked at, and false means not to look.
func (d *configDecoder) visit(n *yaml.Node, at *place) (*yaml.Node, bool) {
	n = unaliased(n)
	if d.stopped {
		return n, false
	}
	d.nodes++
	d.text += len(n.Value)
	switch {
	case at.depth > maxConfigDepth:
		// An anchor that holds its own alias ends here as well.
		d.stop(n, at, "nested more than %d levels deep", maxConfigDepth)
	case d.nodes > maxConfigNodes:
		d.stop(n, at, "the document holds more than %d values, with aliases counted where they are used", maxConfigNodes)
	case d.text > maxConfigText:
		d.stop(n, at, "the document holds more than %d bytes of text, with aliases counted where they are used", maxConfigText)
	case n.Style&yaml.TaggedStyle != 0 && !slices.Contains([]string{"!!str", "!!seq", "!!map"}, n.Tag):
		// To YAML, a password that starts with ! is a tag.
		tag := shorten(n.Tag)
		if at.secret || looksSecret(n.Tag) {
			tag = "(!…)"
		}
		d.fault(&yaml.Node{Line: n.Line}, at, "the tag %s is not supported: leave it out, or put a text that starts with ! in quotes", tag)
		return n, false
	}
	return n, !d.stopped
}

// entry is one key of a mapping with its value.
type entry struct {
	name       string
	key, value *yaml.Node
}

// entries lists what a mapping holds, in its order, and then what its merge
// keys (<<) add. A key of the mapping itself wins over a merged one, and of
// merged mappings the one named first.
func (d *configDecoder) entries(n *yaml.Node, at *place) []entry {
	list := make([]entry, 0, len(n.Content)/2)
	lines := make(map[string]int)
	var merges []*yaml.Node
	for pair := range slices.Chunk(n.Content, 2) {
		key, ok := d.visit(pair[0], at)
		switch {
		case d.stopped:
			return nil
		case !ok:
			continue
		case key.Tag == "!!merge":
			merges = append(merges, pair[1])
			continue
		case key.Tag != "!!str" && key.Tag != "!!timestamp":
			d.fault(&yaml.Node{Line: key.Line}, at, "a key must be a string, not %s: put it in quotes", describe(key))
			continue
		}
		if line, twice := lines[key.Value]; twice {
			d.fault(&yaml.Node{Line: key.Line}, at.key(key.Value), "duplicate key: it is also on line %d", line)
			continue
		}
		lines[key.Value] = key.Line
		list = append(list, entry{key.Value, key, pair[1]})
	}
	for _, m := range merges {
		for _, e := range d.merged(m, at.field("<<")) {
			if _, given := lines[e.name]; !given {
				lines[e.name] = e.key.Line
				list = append(list, e)
			}
		}
	}
	return list
}

// merged lists what the value of a merge key adds: a mapping, or several in a
// list.
func (d *configDecoder) merged(n *yaml.Node, at *place) []entry {
	n, ok := d.visit(n, at)
	switch {
	case !ok:
		return nil
	case n.Kind == yaml.MappingNode:
		return d.entries(n, at)
	case n.Kind != yaml.SequenceNode:
		d.fault(n, at, "a merge key takes a mapping or a list of mappings, not %s", describe(n))
		return nil
	}
	var list []entry
	for i, item := range n.Content {
		// A list in the list is refused: merging is one level deep.
		if item, ok := d.visit(item, at.item(i)); ok && item.Kind == yaml.MappingNode {
			list = append(list, d.entries(item, at.item(i))...)
		} else if ok {
			d.fault(item, at.item(i), "must be a mapping, not %s", describe(item))
		}
	}
	return list
}

// value stores what n holds in v, which stands at the place.
func (d *configDecoder) value(n *yaml.Node, v reflect.Value, at *place) {
	line := n.Line
	n, ok := d.visit(n, at)
	if !ok {
		return
	}
	if n.Line != line {
		// Show where the alias is used, not where its anchor is.
		here := *n
		here.Line = line
		n = &here
	}
	switch v.Kind() {
	case reflect.Struct:
		d.structure(n, v, at)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem(), at)
	case reflect.Slice:
		d.list(n, v, at)
	case reflect.Map:
		d.mapping(n, v, at)
	case reflect.Interface:
		if free := d.free(n, at); free != nil {
			v.Set(reflect.ValueOf(free))
		}
	default:
		d.scalar(n, v, at)
	}
}

// structure decodes a mapping whose keys are known. A null leaves its field
// alone, as templates that fill in nothing write one.
func (d *configDecoder) structure(n *yaml.Node, v reflect.Value, at *place) {
	fields := d.fieldsOf(v.Type())
	if n.Kind != yaml.MappingNode {
		hint := ""
		if fields.first != "" {
			hint = fmt.Sprintf(" with %q", fields.first)
		}
		d.fault(n, at, "must be a mapping%s, not %s", hint, describe(n))
		return
	}
	d.assign(d.entries(n, at), v, at)
}

// assign stores the entries of a mapping in the fields of the struct v.
func (d *configDecoder) assign(entries []entry, v reflect.Value, at *place) {
	fields := d.fieldsOf(v.Type())
	for _, e := range entries {
		i, ok := fields.index[e.name]
		switch {
		case !ok && at.parent == nil && e.name == "config":
			d.fault(&yaml.Node{Line: e.key.Line}, at.field(e.name), "is no field: let the document start with what stands under it, or give the whole on_http_request list")
		case !ok && at.parent == nil:
			d.unknown(e, at, append(slices.Clone(fields.names), "on_http_request"))
		case !ok:
			d.unknown(e, at, fields.names)
		case !isNull(e.value):
			d.value(e.value, v.Field(i), at.field(e.name))
		}
	}
}

// unknown reports a field that does not exist. Its value is not shown: a
// misspelt field may hold anything.
func (d *configDecoder) unknown(e entry, at *place, known []string) {
	if d.stopped {
		return
	}
	reason := "unknown field"
	if near := expr.Nearest(e.name, known); near != "" {
		reason = fmt.Sprintf("unknown field; did you mean %q?", near)
	} else if len(known) <= 8 {
		reason = "unknown field; known here: " + strings.Join(known, ", ")
	}
	d.fault(&yaml.Node{Line: e.key.Line}, at.key(e.name), "%s", reason)
}

// list decodes a list. A null in it is a fault of the item's own type: there is
// no default that it could stand for.
func (d *configDecoder) list(n *yaml.Node, v reflect.Value, at *place) {
	if n.Kind != yaml.SequenceNode {
		d.fault(n, at, "must be a list, not %s", describe(n))
		return
	}
	// Grown item by item: a size taken from the document could be a lie that
	// the limits have not seen yet.
	for i, item := range n.Content {
		if d.stopped {
			return
		}
		elem := reflect.New(v.Type().Elem()).Elem()
		d.value(item, elem, at.item(i))
		v.Set(reflect.Append(v, elem))
	}
}

// mapping decodes a mapping whose keys are the user's.
func (d *configDecoder) mapping(n *yaml.Node, v reflect.Value, at *place) {
	if n.Kind != yaml.MappingNode {
		d.fault(n, at, "must be a mapping, not %s", describe(n))
		return
	}
	entries := d.entries(n, at)
	v.Set(reflect.MakeMapWithSize(v.Type(), len(entries)))
	for _, e := range entries {
		elem := reflect.New(v.Type().Elem()).Elem()
		if elem.Type() == reflect.TypeFor[Template]() {
			d.headerValue(e.value, elem, at.key(e.name))
		} else {
			d.value(e.value, elem, at.key(e.name))
		}
		v.SetMapIndex(reflect.ValueOf(e.name), elem)
	}
}

// headerValue reads the value of a header or a query parameter. Those are text
// by nature, so numbers and booleans mean the text that they are written as.
func (d *configDecoder) headerValue(n *yaml.Node, v reflect.Value, at *place) {
	target, ok := d.visit(n, at)
	switch {
	case !ok:
	case target.Kind == yaml.ScalarNode && target.Tag != "!!null":
		v.SetString(target.Value)
	case target.Kind == yaml.ScalarNode:
		d.fault(n, at, `must not be null: an empty value is written ""`)
	default:
		d.fault(n, at, "must be a string, not %s", describe(target))
	}
}

// scalar decodes a value that holds no others. Nothing is converted: an id
// written 4.10 would become "4.1" in one reader and stay in another, so what is
// meant as text must say so.
func (d *configDecoder) scalar(n *yaml.Node, v reflect.Value, at *place) {
	switch v.Kind() {
	case reflect.String:
		switch {
		case isText(n):
			v.SetString(n.Value)
		case v.Type() == reflect.TypeFor[Duration]() && isNumber(n) && strings.Trim(n.Value, "0123456789.") == "" && !strings.HasPrefix(n.Value, "."):
			d.fault(n, at, `must be a duration with its unit, such as "%ss"`, n.Value)
		case v.Type() == reflect.TypeFor[Duration]():
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

// notNumber reports what stands where a number should: err if it is one that
// number refused.
func (d *configDecoder) notNumber(n *yaml.Node, at *place, want string, err error) {
	switch {
	case err != nil:
		d.fault(n, at, "%s", err)
	case isText(n) && n.Value != "" && strings.Trim(n.Value, "0123456789") == "":
		d.fault(n, at, "must be %s, not a string: take the quotes off", want)
	default:
		d.fault(n, at, "must be %s, not %s", want, describe(n))
	}
}

// free reads a value of any shape that JSON can hold: string, bool, int64,
// uint64 or float64 where those are too small, nil, []any, map[string]any.
func (d *configDecoder) free(n *yaml.Node, at *place) any {
	switch n.Kind {
	case yaml.MappingNode:
		entries := d.entries(n, at)
		m := make(map[string]any, len(entries))
		for _, e := range entries {
			m[e.name] = d.freeChild(e.value, at.key(e.name))
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

// freeChild is free with the count of [configDecoder.visit].
func (d *configDecoder) freeChild(n *yaml.Node, at *place) any {
	n, ok := d.visit(n, at)
	if !ok {
		return nil
	}
	return d.free(n, at)
}

// isText reports a string. A date without quotes is one: that it would be a
// type of its own surprises everybody who writes one.
func isText(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && (n.Tag == "!!str" || n.Tag == "!!timestamp" || n.Tag == "!!merge")
}

func isNumber(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && (n.Tag == "!!int" || n.Tag == "!!float")
}

// unaliased is what an alias stands for, and other nodes as they are.
func unaliased(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// isNull reports a null, or an alias to one. With a tag it is none: visit is to
// refuse the tag.
func isNull(n *yaml.Node) bool {
	n = unaliased(n)
	return n.Kind == yaml.ScalarNode && n.Tag == "!!null" && n.Style&yaml.TaggedStyle == 0
}

// boolean reads true and false. The yes, no, on and off of older YAML are
// strings to the parser, and refused where a boolean is needed.
func boolean(n *yaml.Node) (value, ok bool) {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" {
		return false, false
	}
	return strings.EqualFold(n.Value, "true"), true
}

var leadingZero = regexp.MustCompile(`^[-+]?0[0-9]`)

// number reads an int64, a uint64 or float64 where that is too small, and nil
// where n is no number. What JSON cannot hold (.inf, .nan) is an error, as all
// of this may go into a request's body.
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

// describe names what a node is in words of the people who write documents.
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

// shorten bounds what an error shows of the document.
func shorten(s string) string {
	const limit = 60
	if len(s) <= limit {
		return s
	}
	cut := limit
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
