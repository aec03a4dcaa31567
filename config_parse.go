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
	yaml "sigs.k8s.io/yaml/goyaml.v3"

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
		return Config{}, fmt.Errorf("aigateway: %s: invalid config:\n%w", path, ConfigErrors(found))
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
	switch node := settings; {
	case node == nil || isNull(node):
	case unaliased(node).Kind != yaml.MappingNode:
		d.fault(node, at.field("config"), "must be a mapping, not %s", describe(unaliased(node)))
	default:
		d.value(node, reflect.ValueOf(cfg).Elem(), &place{index: -1})
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
	if strings.HasPrefix(reason, "found character that cannot start any token") {
		reason += " (a tab? YAML indents by spaces)"
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
