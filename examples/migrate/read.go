package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	yaml "sigs.k8s.io/yaml/goyaml.v3"
)

// note is a field without a counterpart. It never holds the field's value, which may be
// a secret.
type note struct{ path, reason string }

func (n note) String() string { return plainPath(n.path) + ": " + n.reason }

// plainName is a name that may stand in a comment as it is.
var plainName = regexp.MustCompile(`^[A-Za-z0-9_.\[\]/*-]{1,200}$`)

// plainPath keeps the comment on its line.
func plainPath(path string) string {
	if plainName.MatchString(path) {
		return path
	}
	return strconv.QuoteToASCII(path[:min(len(path), 200)])
}

// reader collects the faults of the file, so that all are reported at once.
type reader struct{ faults []error }

func (r *reader) fault(path, reason string) {
	r.faults = append(r.faults, fmt.Errorf("%s: %s", plainPath(path), reason))
}

// section is a mapping of the file. Fields that nobody took are its rest.
type section struct {
	r      *reader
	path   string
	fields map[string]any
}

// open parses the file. The parser bounds aliases and depth.
func (r *reader) open(data []byte) (section, error) {
	var doc, next any
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	if err := decoder.Decode(&doc); errors.Is(err, io.EOF) {
		return section{}, errors.New("the file is empty")
	} else if err != nil {
		return section{}, fmt.Errorf("the file is not YAML: %w", err)
	}
	if err := decoder.Decode(&next); !errors.Is(err, io.EOF) {
		return section{}, errors.New("the file holds more than one document")
	}
	root := r.mapping("config", doc)
	root.path = ""
	return root, nil
}

// mapping reads a value as a mapping. It copies it: an anchor may share it.
func (r *reader) mapping(path string, v any) section {
	fields, ok := v.(map[string]any)
	if !ok && v != nil {
		r.fault(path, "is not a mapping of names")
	}
	return section{r, path, maps.Clone(fields)}
}

func (s section) at(name string) string {
	if s.path == "" {
		return name
	}
	return s.path + "." + name
}

// take removes a field. Null counts as left out.
func (s section) take(name string) any {
	v := s.fields[name]
	delete(s.fields, name)
	return v
}

func (s section) section(name string) section { return s.r.mapping(s.at(name), s.take(name)) }

func (s section) list(name string) []any {
	v := s.take(name)
	list, ok := v.([]any)
	if !ok && v != nil {
		s.r.fault(s.at(name), "is not a list")
	}
	return list
}

func (s section) text(name string) string {
	v := s.take(name)
	text, ok := v.(string)
	if !ok && v != nil {
		s.r.fault(s.at(name), "is not a text")
	}
	return strings.TrimSpace(text)
}

// number is zero if the field is left out.
func (s section) number(name string) float64 {
	var n float64
	switch v := s.take(name).(type) {
	case nil:
		return 0
	case int:
		n = float64(v)
	case float64:
		n = v
	case string:
		var err error
		if n, err = strconv.ParseFloat(v, 64); err != nil {
			n = math.NaN()
		}
	default:
		n = math.NaN()
	}
	if !(n >= 0 && n <= 1e12) {
		s.r.fault(s.at(name), "is not a number from 0 to 1e12")
		return 0
	}
	return n
}

// names reads a list of texts.
func (r *reader) names(path string, v any) (names []string) {
	list, ok := v.([]any)
	if !ok {
		r.fault(path, "is not a list of names")
	}
	for i, v := range list {
		name, ok := v.(string)
		if !ok {
			r.fault(fmt.Sprintf("%s[%d]", path, i), "is not a name")
			continue
		}
		names = append(names, name)
	}
	return names
}

// rest notes the fields that nobody took.
func (s section) rest() (notes []note) {
	for _, name := range slices.Sorted(maps.Keys(s.fields)) {
		reason := reasons[name]
		if reason == "" {
			reason = "has no counterpart"
		}
		notes = append(notes, note{s.at(name), reason})
	}
	return notes
}

// reasons say what to do about a field without a counterpart.
var reasons = map[string]string{
	"master_key":               "your own middleware lets clients in",
	"database_url":             "there is no database: limits of clients stand in client_limits",
	"api_version":              "Azure's v1 API needs none",
	"allowed_fails":            "fixed: a cooldown begins after five failures in a row",
	"cooldown_time":            "fixed: a cooldown begins with 5s, and probes end it",
	"drop_params":              "see unsupported_params of a model and supported_params of a provider",
	"success_callback":         "see Hooks and contrib/otel",
	"failure_callback":         "see Hooks and contrib/otel",
	"callbacks":                "see Hooks and contrib/otel",
	"max_budget":               "see client_limits",
	"redis_host":               "replicas share by Config.Shared: see contrib/redis",
	"redis_port":               "replicas share by Config.Shared: see contrib/redis",
	"redis_password":           "replicas share by Config.Shared: see contrib/redis",
	"cache":                    "answers are not cached",
	"cache_params":             "answers are not cached",
	"guardrails":               "your own middleware checks prompts",
	"environment_variables":    "set them for the process",
	"context_window_fallbacks": "list the larger model in fallbacks",
	"content_policy_fallbacks": "list the model in fallbacks, and set refusals: fail_over",
	"max_tokens":               "see body of the provider, or max_output_tokens of the config",
	"extra_body":               "see body of the provider",
}
