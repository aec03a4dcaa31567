package aigateway

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/aigateway-go/aigateway/internal/bounds"
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
		Nearest:  nearestField,
		Home:     homeOf,
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

// otherNames are names of fields in other tools, with the names here.
var otherNames = map[string][]string{
	"name": {"id"}, "model_name": {"id"}, "alias": {"id_aliases", "aliases"}, "enabled": {"disabled"},
	"url": {"base_url"}, "endpoint": {"base_url"}, "api_base": {"base_url"}, "host": {"base_url"},
	"key": {"api_keys"}, "keys": {"api_keys"}, "token": {"api_keys"},
	"timeout": {"per_request_timeout"}, "retries": {"max_retries"}, "num_retries": {"max_retries"},
	"price": {"pricing"}, "prices": {"pricing"}, "cost": {"pricing"}, "max_tokens": {"max_output_tokens"},
	"context_window": {"max_context_window"}, "context_length": {"max_context_window"}, "features": {"supported_features"},
	"rpm": {"requests_per_minute"}, "tpm": {"tokens_per_minute"}, "max_concurrency": {"in_flight"}, "concurrency": {"in_flight"},
	"strategies": {"strategy", "model_selection"}, "strategy": {"model_selection"}, "rate_limit": {"limits"}, "rate_limits": {"limits", "client_limits"},
	"model_list": {"providers"}, "surfaces": {"supported_api_surfaces"},
}

// nearestField is the field that a misspelt one probably means: a similar name, or the
// name of the same thing in another tool.
func nearestField(field string, known []string) string {
	if near := expr.Nearest(field, known); near != "" {
		return near
	}
	for _, name := range otherNames[strings.ToLower(field)] {
		if slices.Contains(known, name) {
			return name
		}
	}
	return ""
}

// homeOf names the part of a document that has a field, or one that differs from it by a
// slip.
func homeOf(field string) string {
	parts := [...]struct {
		name   string
		fields []string
	}{
		{"the config, outside of its lists", confdoc.FieldNames(&Config{})},
		{"providers[]", confdoc.FieldNames(&Provider{})},
		{"providers[].models[]", confdoc.FieldNames(&Model{})},
	}
	for _, part := range parts {
		if slices.Contains(part.fields, field) {
			return part.name
		}
	}
	for _, part := range parts {
		if near := expr.Misspelt(field, part.fields); near != "" {
			return fmt.Sprintf("%s, written %q", part.name, near)
		}
	}
	return ""
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

// duration reads a duration of the Config. Empty and zero mean the default of its
// row in the table of bounds.
func (p *problems) duration(field string, v Duration) time.Duration {
	return v.parse(p, field, bounds.Of("Config", field).Duration())
}

// number checks a number of the Config. Zero is the default of its row.
func (p *problems) number(field string, v int) int {
	s := bounds.Of("Config", field)
	if !s.Allows(int64(v)) {
		p.add(field, fmt.Sprint(v), "must be from %d to %d", s.Min, s.Max)
	}
	if v == 0 {
		return int(s.Number())
	}
	return v
}

// withDefaults returns a copy of a Config with the defaults in its empty fields.
// It is for the debug page. New takes defaults field by field, from the same
// table.
func withDefaults(cfg Config) Config {
	v := reflect.ValueOf(&cfg).Elem()
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		f := v.Field(i)
		for _, s := range bounds.Table() {
			if s.Struct != "Config" || s.Field != name || !f.IsZero() {
				continue
			}
			switch def := s.Default.(type) {
			case time.Duration:
				f.SetString(def.String())
			case int64:
				f.SetInt(def)
			case string:
				f.SetString(def)
			}
		}
	}
	return cfg
}

// parse reads a duration. Empty and zero mean the default.
// A bad one becomes a problem, and reads as the default, so that the checks
// after it have a value to work with.
func (d Duration) parse(p *problems, path string, def time.Duration) time.Duration {
	if d == "" {
		return def
	}
	v, err := time.ParseDuration(string(d))
	switch {
	case err != nil && strings.Trim(string(d), "0123456789.hmsµun") == "" && len(d) > 6:
		p.add(path, string(d), "is too long, or not a duration: write it like \"90s\" or \"3m\"")
	case err != nil:
		p.add(path, string(d), "is not a duration: write it like \"90s\" or \"3m\"")
	case v < 0:
		p.add(path, string(d), "must not be negative")
	case v > 0:
		return v
	}
	return def
}

// oneOf checks a word; the first one is the default.
// An unknown word becomes a problem, and is returned as it is: the config is
// refused by then.
func oneOf[T ~string](p *problems, path string, v T, words ...T) T {
	if v == "" {
		return words[0]
	}
	if !slices.Contains(words, v) {
		p.add(path, string(v), "%s", notOneOf(string(v), words))
	}
	return v
}

// notOneOf lists the valid words, and suggests the most similar one.
func notOneOf[T ~string](v string, words []T) string {
	known := make([]string, len(words))
	for i, w := range words {
		known[i] = string(w)
	}
	if near := expr.Nearest(v, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "must be one of " + strings.Join(known, ", ")
}

// sortedKeys returns the keys of a map in order. Errors and compiled lists then do
// not change from run to run.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// warnings finds the slips of the catalog as a whole.
func (s *selector) warnings(cfg Config) problems {
	var p problems
	if s.catalog == nil {
		return nil
	}
	for i, over := range cfg.Providers {
		for j, m := range over.Models {
			s.warnHidden(&p, fmt.Sprintf("providers[%d].models[%d].id", i, j), over.ID, m.ID)
			for n, alias := range m.IDAliases {
				s.warnHidden(&p, fmt.Sprintf("providers[%d].models[%d].id_aliases[%d]", i, j, n), over.ID, alias)
			}
		}
	}
	for i, st := range s.strategies {
		if st.eval == nil {
			continue
		}
		providers, models := st.eval.Names()
		path := fmt.Sprintf("model_selection.strategy[%d]", i)
		warnUnknown(&p, path, "provider", providers, s.providerIDs(), func(name string) bool { return s.byName[fold(name)] != nil })
		warnUnknown(&p, path, "model", models, s.modelIDs(), func(name string) bool { return s.models[fold(name)] != nil })
	}
	return p
}

// warnHidden warns of a name that means something else in a request: it begins like
// another provider's prefix, or leaves the choice to the gateway.
func (s *selector) warnHidden(p *problems, path, provider, id string) {
	if id != "" && isAuto(id) {
		p.add(path, id, "is hidden: a request for %q leaves the choice to the gateway; clients reach this model as %q", id, provider+":"+id)
		return
	}
	prefix, rest, _ := strings.Cut(id, ":")
	other := s.byName[fold(prefix)]
	if rest == "" || other == nil || !other.configured || other == s.byName[fold(provider)] {
		return
	}
	p.add(path, id, "is hidden: %q is a provider, so that a client that sends this name asks it for %q; clients reach this model as %q",
		other.id, rest, provider+":"+id)
}

// warnUnknown warns of unknown names in a strategy, if a known name is similar.
// Without a similar one, the name may be an unlisted model.
func warnUnknown(p *problems, path, kind string, names []expr.Literal, known []string, knows func(string) bool) {
	for _, n := range names {
		if knows(n.Value) {
			continue
		}
		if near := expr.Nearest(n.Value, known); near != "" {
			p.add(path, n.Value, "%d:%d: no %s has this id, did you mean %q?", n.Line, n.Column, kind, near)
		}
	}
}

// providerIDs lists the ids and aliases of all providers.
func (s *selector) providerIDs() []string {
	var ids []string
	for _, p := range s.providers {
		ids = append(append(ids, p.id), p.view.IDAliases...)
	}
	return ids
}

// modelIDs lists the ids and aliases of all listed models.
func (s *selector) modelIDs() []string {
	var ids []string
	for _, m := range s.listed {
		ids = append(append(ids, m.id), m.view.IDAliases...)
	}
	return ids
}
