package confdoc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	// The package is marked as deprecated in favour of the module it forwards
	// to. The project has chosen to depend on it.
	yaml "sigs.k8s.io/yaml/goyaml.v3"
)

// parse turns YAML or JSON into one tree of nodes. JSON has a reader of its own, for
// YAML's refuses tabs and characters written as two \u escapes.
//
// The bounds are checked before a parser sees the document: a tree costs many
// times the bytes of its text.
func parse(doc []byte) (*yaml.Node, *Fault) {
	if len(doc) > MaxBytes {
		return nil, &Fault{Reason: fmt.Sprintf("the document is larger than %d bytes", MaxBytes)}
	}
	doc = bytes.TrimPrefix(doc, []byte("\ufeff"))
	if !utf8.Valid(doc) {
		return nil, &Fault{Reason: "the document must be text in UTF-8", Line: lineOfInvalidUTF8(doc)}
	}
	// The YAML parser compares each of these with all before it. Settings do not
	// need any.
	if bytes.Count(doc, []byte("%TAG")) > 8 {
		return nil, &Fault{Reason: "the document has too many %TAG directives"}
	}
	if indicators(doc) > maxNodes {
		return nil, &Fault{Reason: fmt.Sprintf("the document holds more than %d values", maxNodes)}
	}
	looksJSON := bytes.HasPrefix(bytes.TrimLeft(doc, " \t\r\n"), []byte("{"))
	if looksJSON && json.Valid(doc) {
		return jsonReader{doc: doc}.read()
	}
	root, fault := parseYAML(doc)
	if fault != nil && looksJSON {
		// Somebody who meant JSON needs JSON's complaint.
		var syntax *json.SyntaxError
		if err := json.Unmarshal(doc, new(any)); errors.As(err, &syntax) {
			fault.Line = lineAt(doc, int(syntax.Offset))
			fault.Reason += fmt.Sprintf("; it is not JSON either: line %d: %s", fault.Line, syntax)
		}
	}
	return root, fault
}

// yamlSyntaxError splits the parser's message. The line is only in its text.
var yamlSyntaxError = regexp.MustCompile(`(?s)^yaml: (?:line (\d+): )?(.*)$`)

// parseYAML reads a document of one node. A panic of the parser is a fault of the
// document.
func parseYAML(doc []byte) (root *yaml.Node, fault *Fault) {
	// The parser panics if one of its own assumptions fails.
	defer func() {
		if recover() != nil {
			root, fault = nil, &Fault{Reason: "not valid YAML"}
		}
	}()
	// An empty file is more often a failed mount than a wish for the defaults,
	// which are written {}.
	const want = "expected the settings, such as a list under providers"
	tree, second, err := yamlTrees(doc)
	switch {
	case errors.Is(err, io.EOF):
		return nil, &Fault{Reason: "the document is empty: " + want}
	case err != nil:
		fault := yamlFault(err)
		if line := culprit(doc, err, fault.Line); line > 0 {
			fault.Line = line
		}
		return nil, fault
	case second != nil:
		return nil, &Fault{Line: second.Line, Reason: "a second document starts here: a config is one document"}
	}
	root = tree.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil, &Fault{Reason: "the document is empty: " + want}
	}
	return root, nil
}

// yamlTrees parses the document, and a second one if there is one. For an empty
// text the error is io.EOF.
// A third document and later ones are not looked at.
func yamlTrees(doc []byte) (first, second *yaml.Node, err error) {
	dec := yaml.NewDecoder(bytes.NewReader(doc))
	first, second = new(yaml.Node), new(yaml.Node)
	if err := dec.Decode(first); err != nil {
		return nil, nil, err
	}
	switch err := dec.Decode(second); {
	case errors.Is(err, io.EOF):
		return first, nil, nil
	case err != nil:
		return nil, nil, err
	}
	return first, second, nil
}

// indicators counts the characters that begin nodes. The parser is spared a document
// with too many: its tree would have about two nodes for each of them.
func indicators(doc []byte) int {
	n := 0
	for _, c := range []byte{':', ',', '[', '{', '\n'} {
		n = max(n, bytes.Count(doc, []byte{c}))
	}
	return max(n, bytes.Count(doc, []byte("- ")))
}

// maxSearch bounds the search for a culprit, in bytes parsed.
const maxSearch = 32 << 20

// culprit returns the line of a syntax error. The parser often names the start of
// the block around the line. The culprit is the last line of the shortest beginning
// of the document with the same error. The search starts at the line guess. It gives
// up on a large document, and returns 0.
func culprit(doc []byte, err error, guess int) int {
	var ends []int // of the lines
	for i := 0; i < len(doc); {
		n := bytes.IndexByte(doc[i:], '\n') + 1
		if n == 0 {
			n = len(doc) - i
		}
		i += n
		ends = append(ends, i)
	}
	searched := 0
	same := func(lines int) bool {
		searched += ends[lines-1]
		_, _, e := yamlTrees(doc[:ends[lines-1]])
		return e != nil && e.Error() == err.Error()
	}
	// Each longer beginning has the same error. Doubling steps find one of them
	// without parsing a long rest.
	low, high := 0, min(max(guess, 1), len(ends))
	for step := 1; !same(high); step *= 2 {
		if high == len(ends) || searched > maxSearch {
			return 0
		}
		low, high = high, min(high+step, len(ends))
	}
	for low+1 < high {
		if searched > maxSearch {
			return 0
		}
		if middle := (low + high) / 2; same(middle) {
			high = middle
		} else {
			low = middle
		}
	}
	return high
}

// yamlFault is the parser's error in the words of a Fault.
//
// Remedies are for the slips that people make most: tabs, indents, a colon in a
// text.
func yamlFault(err error) *Fault {
	m := yamlSyntaxError.FindStringSubmatch(err.Error())
	if m == nil {
		return &Fault{Reason: "not valid YAML"}
	}
	// The parser counts lines from 0 in some of its messages, and leaves out
	// the first.
	line, _ := strconv.Atoi(m[1])
	reason := m[2]
	if line == 0 || strings.HasPrefix(reason, "did not find expected") {
		line++
	}
	if strings.HasPrefix(reason, "unknown anchor") {
		// A password without quotes that starts with * is an alias to YAML.
		reason = "an alias (*name) without its anchor (&name): put a text that starts with * in quotes"
	}
	for prefix, remedy := range map[string]string{
		"found character that cannot start any token": "a tab? YAML indents by spaces",
		"did not find expected key":                   "is this line indented like its neighbours?",
		"did not find expected '-' indicator":         "is this line indented like the list above it?",
		"mapping values are not allowed":              "is this line indented too far, or is a colon in a text without quotes?",
		"could not find expected ':'":                 "a key is followed by a colon and a space",
	} {
		if strings.HasPrefix(reason, prefix) {
			reason += " (" + remedy + ")"
		}
	}
	return &Fault{Line: line, Reason: "not valid YAML: " + reason}
}

// lineAt is the line of a byte, from 1.
// An offset behind the end counts as the end.
func lineAt(doc []byte, offset int) int {
	return 1 + bytes.Count(doc[:min(offset, len(doc))], []byte("\n"))
}

// lineOfInvalidUTF8 is the line of the first invalid byte, from 1. Zero if all
// bytes are valid.
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

// jsonReader builds the nodes of the same document in YAML, so that one decoder
// with one set of messages serves both. Unlike encoding/json it keeps the lines,
// and keys that are given twice.
type jsonReader struct {
	doc     []byte
	dec     *json.Decoder
	line    int
	counted int // bytes whose line ends are in line
}

// read expects that the document is valid JSON.
func (r jsonReader) read() (*yaml.Node, *Fault) {
	r.line = 1
	r.dec = json.NewDecoder(bytes.NewReader(r.doc))
	r.dec.UseNumber()
	root, err := r.value()
	if err != nil {
		return nil, &Fault{Line: r.line, Reason: "not valid JSON: " + err.Error()}
	}
	return root, nil
}

// value reads one value with all its children. json.Valid has bounded its depth.
// The nodes carry YAML's tags, as its parser would have given them.
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

// YAML writes a JSON value as YAML, with its keys in their order. False means that
// it is not valid JSON.
// It goes through the nodes of the JSON reader, so numbers keep their spelling.
func YAML(value []byte) (string, bool) {
	if !json.Valid(value) {
		return "", false
	}
	root, fault := jsonReader{doc: value}.read()
	if fault != nil {
		return "", false
	}
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(root); err != nil {
		return "", false
	}
	return b.String(), true
}
