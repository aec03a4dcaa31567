package aigateway

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"syscall"
	"time"

	"github.com/aigateway-go/aigateway/internal/confdoc"
	"github.com/aigateway-go/aigateway/internal/expr"
)

// ParseConfig reads a Config from a YAML or JSON document of at most 16 MiB, in
// UTF-8. The document holds the settings themselves. It may also be an
// on_http_request list with one action of type ai-gateway, and the settings under
// its config.
//
// It reports every fault of shape at once, each as a [*ConfigError] with its path
// and line: unknown fields, keys given twice, values of the wrong type. [New]
// checks the meaning of the values. A null means a field that is not given.
//
// On an error the Config holds the readable part of the document. New refuses it,
// and reports the faults of shape together with those of meaning. To show all
// faults, a program calls New in either case. After a syntax error the Config is
// empty.
//
// Paths start at the settings in both forms of the document, and so agree with
// those of New. They start at on_http_request only if that wrapping is at fault.
func ParseConfig(doc []byte) (Config, error) {
	cfg, faults := parseConfig(doc)
	return cfg, faults.err()
}

// LoadConfig reads the file and parses it like [ParseConfig]. Its errors name
// the file.
//
// A pipe or a device, such as /dev/stdin or the <(…) of a shell, must deliver the
// whole document within five seconds.
func LoadConfig(path string) (Config, error) {
	doc, err := readConfigFile(path, pipePatience)
	if err != nil {
		return Config{}, fmt.Errorf("aigateway: %w", err)
	}
	cfg, faults := parseConfig(doc)
	if len(faults) > 0 {
		return cfg, fmt.Errorf("aigateway: %s: invalid config:\n%w", path, faults.list())
	}
	return cfg, nil
}

// pipePatience bounds the wait for a config in a pipe. A reload must not hang for ever.
const pipePatience = 5 * time.Second

// readConfigFile reads a file up to one byte over the limit of a config. The byte
// shows that the file is too large; a path such as /dev/zero delivers bytes for
// ever.
func readConfigFile(path string, patience time.Duration) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	mode := os.O_RDONLY
	if !info.Mode().IsRegular() {
		// Without it, opening a named pipe waits for a writer.
		mode |= syscall.O_NONBLOCK
	}
	f, err := os.OpenFile(path, mode, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if !info.Mode().IsRegular() {
		// A device without deadlines, such as /dev/null, does not wait either.
		if err := f.SetReadDeadline(time.Now().Add(patience)); err != nil && !errors.Is(err, os.ErrNoDeadline) {
			return nil, err
		}
	}
	doc, err := io.ReadAll(io.LimitReader(f, confdoc.MaxBytes+1))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("the pipe did not end within %v", patience)}
	case err != nil:
		return nil, err
	case len(doc) == 0 && info.Mode()&fs.ModeNamedPipe != 0:
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("nothing writes to the pipe")}
	}
	return doc, nil
}

// parseConfig is ParseConfig with the problems as a list.
func parseConfig(doc []byte) (Config, problems) {
	var cfg Config
	d, fault := confdoc.Parse(doc, confdoc.Options{
		Text:     reflect.TypeFor[Template](),
		Duration: reflect.TypeFor[Duration](),
		Switches: []reflect.Type{reflect.TypeFor[Translate](), reflect.TypeFor[Discover]()},
		Secret:   func(field string) bool { return slices.Contains(credentialFields, field) },
		Nearest:  expr.Nearest,
	})
	if fault != nil {
		cfg.shape = []confdoc.Fault{*fault}
	} else {
		r := configReader{cfg: &cfg}
		r.root(d.Root())
		cfg.shape = d.Faults()
	}
	return cfg, shapeProblems(cfg.shape)
}

// credentialFields are the fields of a document with credentials among their values.
var credentialFields = []string{"api_keys", "headers", "query_params", "body"}

// configReader reads either form of a document into a Config.
type configReader struct {
	cfg     *Config
	actions int // of type ai-gateway, found so far
}

// isPhase reports a top-level key of a traffic policy, the outer form of a
// document. The gateway has a part in on_http_request only.
func isPhase(key string) bool {
	return key == "on_http_request" || key == "on_http_response" || key == "on_tcp_connect"
}

// compose is the remedy for an action of another gateway: in Go such an action is a
// handler in front of this one.
const compose = "compose it with an ordinary http.Handler around the gateway instead"

// root reads the whole document. A phase at the top level marks the outer form. Any
// other key counts as a setting, so that a misspelt field is reported as such.
func (r *configReader) root(v confdoc.Value) {
	entries, ok := v.Mapping("the document must be a mapping with fields such as providers")
	if !ok {
		return
	}
	if !slices.ContainsFunc(entries, func(e confdoc.Entry) bool { return isPhase(e.Name) }) {
		entries = slices.DeleteFunc(entries, func(e confdoc.Entry) bool {
			if e.Name == "config" {
				e.Faultf("is not a field: let the document start with its content, or give the whole on_http_request list")
			}
			return e.Name == "config"
		})
		v.Assign(entries, r.cfg, "on_http_request")
		return
	}
	own := confdoc.FieldNames(r.cfg)
	for _, e := range entries {
		switch {
		case e.Name == "on_http_request":
			r.rules(e.Value, true)
		case isPhase(e.Name):
			e.Faultf("is not supported: %s", compose)
		case slices.Contains(own, e.Name):
			e.Faultf("belongs under the config of the ai-gateway action, not beside on_http_request")
		default:
			e.Unknown([]string{"on_http_request"})
		}
	}
	// After another fault the action is probably missing because of it.
	if r.actions == 0 && !v.Faulty() {
		v.FieldFaultf("on_http_request", `must hold an action "type: ai-gateway" with its config`)
	}
}

// rules reads the value of on_http_request (outer), or the list of actions of one
// rule.
func (r *configReader) rules(v confdoc.Value, outer bool) {
	for _, item := range v.List() {
		r.rule(item, outer)
	}
}

// rule reads one item of such a list. A condition is refused and not ignored: a
// gateway must not serve more than its document says.
func (r *configReader) rule(v confdoc.Value, outer bool) {
	entries, ok := v.Mapping(`must be a mapping with "type: ai-gateway"`)
	if !ok {
		return
	}
	var kind, settings, inner confdoc.Value
	known := []string{"type", "config"}
	if outer {
		known = append(known, "name", "actions")
	}
	for _, e := range entries {
		switch {
		case e.Name == "type":
			kind = e.Value
		case e.Name == "config":
			settings = e.Value
		case e.Name == "name" && outer:
			e.Value.Text() // for people; only its shape counts
		case e.Name == "actions" && outer:
			inner = e.Value
		case e.Name == "expressions" && e.Value.IsNull():
		case e.Name == "expressions":
			e.Faultf("is not supported, the gateway serves every request that reaches it: %s", compose)
		default:
			e.Unknown(known)
		}
	}
	switch {
	case inner.Given() && (kind.Given() || settings.Given()):
		v.Faultf("has an action of its own and a list of actions: give one of them")
	case inner.Given():
		r.rules(inner, false)
	case !kind.Given():
		v.Faultf(`must have "type: ai-gateway"`)
	default:
		r.action(v, kind, settings)
	}
}

// action reads the settings of an ai-gateway action, and refuses any other.
func (r *configReader) action(v, kind, settings confdoc.Value) {
	const want = "ai-gateway"
	name, ok := kind.Text()
	if !ok {
		return
	}
	if name != want {
		if near := expr.Nearest(name, []string{want}); near != "" {
			kind.Faultf("unknown action; did you mean %q?", near)
		} else {
			kind.Faultf("the only action here is %q: %s", want, compose)
		}
		return
	}
	r.actions++
	if r.actions > 1 {
		v.Faultf("a second ai-gateway action: a Config is one gateway, so %s", compose)
		return
	}
	// An action without settings is the zero Config, which is valid.
	switch {
	case !settings.Given() || settings.IsNull():
	case !settings.IsMapping():
		settings.Faultf("must be a mapping, not %s", settings.Kind())
	default:
		// The paths start anew here, and so agree with those of New.
		settings.AsRoot().Decode(r.cfg)
	}
}

//go:generate go run ./internal/schema/gen

//go:embed config.schema.json
var configSchema string

// ConfigSchema returns the JSON Schema (draft 2020-12) of the documents that
// [ParseConfig] reads, for editors that complete and check YAML. It constrains each
// field by itself. [New] checks the fields together, and the expressions. The caller
// owns the bytes.
func ConfigSchema() []byte { return []byte(configSchema) }
