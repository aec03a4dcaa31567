package aigateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	// The package is marked as deprecated in favour of the module it forwards
	// to. It is the one that this project has chosen to depend on.
	yaml "sigs.k8s.io/yaml/goyaml.v3" //nolint:staticcheck // chosen dependency

	"github.com/aigateway-go/aigateway/internal/expr"
)

// What a document may cost. The limits are far above what a gateway's settings
// need, and low enough that a document from elsewhere cannot hurt the process
// that only wanted to know whether it is right. Aliases are counted where they
// are used, so that a few lines of them cannot grow into gigabytes.
const (
	maxConfigBytes    = 1 << 20
	maxConfigText     = 4 << 20
	maxConfigNodes    = 200_000
	maxConfigDepth    = 64
	maxConfigProblems = 100
)

// ParseConfig reads a Config from a YAML or JSON document of at most 1 MiB,
// in UTF-8. The document is either the settings themselves, or an
// on_http_request list that holds one action of type ai-gateway with the
// settings under its config.
//
// It reports every fault of shape at once, each as a [*ConfigError] with its
// path and line: fields that do not exist, keys given twice, values of the
// wrong type. What the values mean is checked by [New]. On an error the Config
// is zero. A null is the same as a field that is not given.
//
// Paths start at the settings, whichever form the document has, so that they
// agree with those of New. They start at on_http_request only where that
// wrapping is at fault.
func ParseConfig(doc []byte) (Config, error) {
	cfg, found := parseConfig(doc)
	if err := found.err(); err != nil {
		return Config{}, err
	}
	return cfg, nil
}

// LoadConfig reads the file and parses it like [ParseConfig]. Its errors name
// the file.
func LoadConfig(path string) (Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return Config{}, fmt.Errorf("aigateway: %w", err)
	}
	defer f.Close()
	// One byte more than is allowed tells too large from just fitting, without
	// ever holding what a path such as /dev/zero would deliver.
	doc, err := io.ReadAll(io.LimitReader(f, maxConfigBytes+1))
	if err != nil {
		return Config{}, fmt.Errorf("aigateway: %w", err)
	}
	cfg, found := parseConfig(doc)
	if len(found) > 0 {
		return Config{}, fmt.Errorf("aigateway: %s: invalid config:\n%w", path, errors.Join(found...))
	}
	return cfg, nil
}

func parseConfig(doc []byte) (Config, problems) {
	var cfg Config
	root, fault := parseDocument(doc)
	if fault != nil {
		return cfg, problems{fault}
	}
	d := configDecoder{fields: make(map[reflect.Type]configFields)}
	d.root(root, &cfg)
	return cfg, d.found
}

// isPhase reports a top-level key of a traffic policy, which is the outer form
// of a document. on_http_request is the one that the gateway has a part in.
func isPhase(key string) bool {
	return key == "on_http_request" || key == "on_http_response" || key == "on_tcp_connect"
}

// compose is the way out for what other gateways do in the same document: in Go
// it is a handler in front of this one.
const compose = "compose it with an ordinary http.Handler around the gateway instead"

// root decodes either form of a document. A phase at the top level tells that
// it is the outer one; everything else is taken for the settings, so that a
// misspelt field is reported as such.
func (d *configDecoder) root(n *yaml.Node, cfg *Config) {
	at := &place{index: -1}
	n, ok := d.visit(n, at)
	if !ok {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.fault(n, at, "the document must be a mapping with fields such as providers, not %s", describe(n))
		return
	}
	entries := d.entries(n, at)
	if !slices.ContainsFunc(entries, func(e entry) bool { return isPhase(e.name) }) {
		d.assign(entries, reflect.ValueOf(cfg).Elem(), at)
		return
	}
	own := d.fieldsOf(reflect.TypeFor[Config]()).index
	actions := 0
	for _, e := range entries {
		_, misplaced := own[e.name]
		switch {
		case e.name == "on_http_request":
			d.rules(e.value, at.field(e.name), cfg, true, &actions)
		case isPhase(e.name):
			d.fault(&yaml.Node{Line: e.key.Line}, at.field(e.name), "is not supported: %s", compose)
		case misplaced:
			d.fault(&yaml.Node{Line: e.key.Line}, at.field(e.name), "belongs under the config of the ai-gateway action, not beside on_http_request")
		default:
			d.unknown(e, at, []string{"on_http_request"})
		}
	}
	// Where something else is wrong, that is probably why there is no action.
	if actions == 0 && len(d.found) == 0 {
		d.fault(&yaml.Node{Line: n.Line}, at.field("on_http_request"), `must hold an action "type: ai-gateway" with its config`)
	}
}

// rules decodes the value of on_http_request (outer), or the list of actions
// that one of its rules has. It adds to the number of actions found so far.
func (d *configDecoder) rules(n *yaml.Node, at *place, cfg *Config, outer bool, actions *int) {
	n, ok := d.visit(n, at)
	switch {
	case !ok:
	case n.Kind != yaml.SequenceNode:
		d.fault(n, at, "must be a list, not %s", describe(n))
	default:
		for i, item := range n.Content {
			d.rule(item, at.item(i), cfg, outer, actions)
		}
	}
}

// rule decodes one item of such a list. What selects requests is refused and
// not ignored: a gateway that serves more than its document says is worse than
// one that does not start.
func (d *configDecoder) rule(n *yaml.Node, at *place, cfg *Config, outer bool, actions *int) {
	n, ok := d.visit(n, at)
	if !ok {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.fault(n, at, `must be a mapping with "type: ai-gateway", not %s`, describe(n))
		return
	}
	var kind, settings, inner *yaml.Node
	known := []string{"type", "config"}
	if outer {
		known = append(known, "name", "actions")
	}
	for _, e := range d.entries(n, at) {
		switch {
		case e.name == "type":
			kind = e.value
		case e.name == "config":
			settings = e.value
		case e.name == "name" && outer:
			d.value(e.value, reflect.New(reflect.TypeFor[string]()).Elem(), at.field(e.name))
		case e.name == "actions" && outer:
			inner = e.value
		case e.name == "expressions" && isNull(e.value):
		case e.name == "expressions":
			d.fault(&yaml.Node{Line: e.key.Line}, at.field(e.name), "is not supported, the gateway serves every request that reaches it: %s", compose)
		default:
			d.unknown(e, at, known)
		}
	}
	switch {
	case inner != nil && (kind != nil || settings != nil):
		d.fault(n, at, "has an action of its own and a list of actions: give one of them")
	case inner != nil:
		d.rules(inner, at.field("actions"), cfg, false, actions)
	case kind == nil:
		d.fault(n, at, `must have "type: ai-gateway"`)
	default:
		d.action(kind, settings, at, cfg, actions)
	}
}

// action decodes the settings of an ai-gateway action, and refuses any other.
func (d *configDecoder) action(kind, settings *yaml.Node, at *place, cfg *Config, actions *int) {
	const want = "ai-gateway"
	var name string
	before := len(d.found)
	d.value(kind, reflect.ValueOf(&name).Elem(), at.field("type"))
	if len(d.found) > before || d.stopped {
		return
	}
	if name != want {
		if near := expr.Nearest(name, []string{want}); near != "" {
			d.fault(kind, at.field("type"), "unknown action; did you mean %q?", near)
		} else {
			d.fault(kind, at.field("type"), "the only action here is %q: %s", want, compose)
		}
		return
	}
	*actions++
	if *actions > 1 {
		d.fault(&yaml.Node{Line: kind.Line}, at, "a second ai-gateway action: a Config is one gateway, so %s", compose)
		return
	}
	// An action without settings is the zero Config, which is valid. The paths
	// start anew here, so that they are those of New.
	if settings != nil && !isNull(settings) {
		d.value(settings, reflect.ValueOf(cfg).Elem(), &place{index: -1})
	}
}

// parseDocument turns the text into one tree of nodes, whether it is YAML or
// JSON. JSON gets a reader of its own because YAML's refuses some of it: tabs,
// and characters written as two \u escapes.
func parseDocument(doc []byte) (*yaml.Node, *ConfigError) {
	if len(doc) > maxConfigBytes {
		return nil, &ConfigError{Reason: fmt.Sprintf("the document is larger than %d bytes", maxConfigBytes)}
	}
	doc = bytes.TrimPrefix(doc, []byte("\ufeff"))
	if !utf8.Valid(doc) {
		return nil, &ConfigError{Reason: "the document must be text in UTF-8", Line: lineOfInvalidUTF8(doc)}
	}
	// The YAML parser compares each of these with all before it. Settings need
	// none at all.
	if bytes.Count(doc, []byte("%TAG")) > 8 {
		return nil, &ConfigError{Reason: "the document has too many %TAG directives"}
	}
	looksJSON := bytes.HasPrefix(bytes.TrimLeft(doc, " \t\r\n"), []byte("{"))
	if looksJSON && json.Valid(doc) {
		return jsonReader{doc: doc}.read()
	}
	root, fault := parseYAML(doc)
	if fault != nil && looksJSON {
		// Either may have been meant. Only JSON's complaint is of use to
		// those who meant JSON.
		var syntax *json.SyntaxError
		if err := json.Unmarshal(doc, new(any)); errors.As(err, &syntax) {
			fault.Reason += fmt.Sprintf("; nor is it JSON: line %d: %s", lineAt(doc, int(syntax.Offset)), syntax)
		}
	}
	return root, fault
}

// yamlSyntaxError splits the parser's message, whose line is only in its text.
var yamlSyntaxError = regexp.MustCompile(`(?s)^yaml: (?:line (\d+): )?(.*)$`)

func parseYAML(doc []byte) (root *yaml.Node, fault *ConfigError) {
	// The parser panics where its own assumptions fail. A document is not
	// trusted to spare them.
	defer func() {
		if recover() != nil {
			root, fault = nil, &ConfigError{Reason: "not valid YAML"}
		}
	}()
	// An empty file is more often a mount that failed than a wish for the
	// defaults, which are written {}.
	const want = "expected the settings, such as a list under providers"
	dec := yaml.NewDecoder(bytes.NewReader(doc))
	var tree, more yaml.Node
	switch err := dec.Decode(&tree); {
	case errors.Is(err, io.EOF):
		return nil, &ConfigError{Reason: "the document is empty: " + want}
	case err != nil:
		return nil, yamlFault(err)
	}
	switch err := dec.Decode(&more); {
	case err == nil:
		return nil, &ConfigError{Line: more.Line, Reason: "a second document starts here: a config is one document"}
	case !errors.Is(err, io.EOF):
		return nil, yamlFault(err)
	}
	root = tree.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil, &ConfigError{Reason: "the document is empty: " + want}
	}
	return root, nil
}

// yamlFault is the parser's error in the words of a ConfigError.
func yamlFault(err error) *ConfigError {
	m := yamlSyntaxError.FindStringSubmatch(err.Error())
	if m == nil {
		return &ConfigError{Reason: "not valid YAML"}
	}
	// The parser counts lines from 0 in some of its messages, and leaves out
	// the first.
	line, _ := strconv.Atoi(m[1])
	reason := m[2]
	if line == 0 || strings.HasPrefix(reason, "did not find expected") {
		line++
	}
	if strings.HasPrefix(reason, "unknown anchor") {
		// An unquoted value that starts with * is an alias to YAML, and may
		// have been meant as a password.
		reason = "an alias (*name) without its anchor (&name): put a text that starts with * in quotes"
	}
	return &ConfigError{Line: line, Reason: "not valid YAML: " + reason}
}

func lineAt(doc []byte, offset int) int {
	return 1 + bytes.Count(doc[:min(offset, len(doc))], []byte("\n"))
}

func lineOfInvalidUTF8(doc []byte) int {
	for i := 0; i < len(doc); {
		r, size := utf8.DecodeRune(doc[i:])
		if r == utf8.RuneError && size == 1 {
			return lineAt(doc, i)
		}
		i += size
	}
	return 0
}

// jsonReader builds the nodes that the same document would have in YAML, so
// that one decoder with one set of messages serves both. Unlike encoding/json's
// own decoding it keeps keys that are given twice, and the lines.
type jsonReader struct {
	doc     []byte
	dec     *json.Decoder
	line    int
	counted int // bytes whose line ends are in line
}

// read expects that the document is valid JSON.
func (r jsonReader) read() (*yaml.Node, *ConfigError) {
	r.line = 1
	r.dec = json.NewDecoder(bytes.NewReader(r.doc))
	r.dec.UseNumber()
	root, err := r.value()
	if err != nil {
		return nil, &ConfigError{Line: r.line, Reason: "not valid JSON: " + err.Error()}
	}
	return root, nil
}

// value reads one value with all that it holds. Its depth is bounded by what
// json.Valid accepts.
func (r *jsonReader) value() (*yaml.Node, error) {
	token, err := r.dec.Token()
	if err != nil {
		return nil, err
	}
	// A token holds no line ends, so its end is on the line of its start.
	end := int(r.dec.InputOffset())
	r.line += bytes.Count(r.doc[r.counted:end], []byte("\n"))
	r.counted = end

	n := &yaml.Node{Kind: yaml.ScalarNode, Line: r.line}
	switch t := token.(type) {
	case string:
		n.Tag, n.Value = "!!str", t
	case json.Number:
		n.Tag, n.Value = "!!int", t.String()
		if strings.ContainsAny(n.Value, ".eE") {
			n.Tag = "!!float"
		}
	case bool:
		n.Tag, n.Value = "!!bool", strconv.FormatBool(t)
	case nil:
		n.Tag, n.Value = "!!null", "null"
	case json.Delim:
		n.Kind, n.Tag = yaml.MappingNode, "!!map"
		if t == '[' {
			n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
		}
		for r.dec.More() {
			// In an object, keys and values come in turn, as they stand in
			// the Content of a mapping.
			child, err := r.value()
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, child)
		}
		if _, err := r.dec.Token(); err != nil {
			return nil, err
		}
	}
	return n, nil
}

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
	case len(key) >= 16 && secretPrefix.MatchString(key):
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
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
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
		case v.Type() == reflect.TypeFor[Duration]() && isNumber(n):
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

// isNull reports a null, or an alias to one. With a tag it is none: visit is to
// refuse the tag.
func isNull(n *yaml.Node) bool {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
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

var (
	secretPrefix = regexp.MustCompile(`(?i)^(sk|pk|gsk|xai|ghp|hf|key|token|bearer|basic|AIza)([-_ ]|Sy)`)
	secretShape  = regexp.MustCompile(`^[A-Za-z0-9_+/=.-]{20,}$`)
)

// looksSecret reports that s could be a credential that was put in the wrong
// place. It errs on the side of hiding: a long model name is hidden as well.
func looksSecret(s string) bool {
	return secretPrefix.MatchString(s) ||
		strings.Contains(s, "@") ||
		secretShape.MatchString(s) && strings.ContainsAny(s, "0123456789")
}
