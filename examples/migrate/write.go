package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// writer writes YAML. Texts are quoted as in JSON, which YAML reads.
type writer struct{ bytes.Buffer }

func (w *writer) line(indent int, format string, args ...any) {
	w.WriteString(strings.Repeat(" ", indent))
	fmt.Fprintf(w, format, args...)
	w.WriteByte('\n')
}

func (w *writer) comments(indent int, notes []note) {
	for _, n := range notes {
		w.line(indent, "# %s", n)
	}
}

// text writes a field, unless it is empty.
func (w *writer) text(indent int, name, value string) {
	if value != "" {
		w.line(indent, "%s: %s", name, quoted(value))
	}
}

// number writes a field, unless it is zero.
func (w *writer) number(indent int, name string, n float64) {
	if n > 0 {
		w.line(indent, "%s: %s", name, decimal(n))
	}
}

// seconds writes a duration, unless it is zero.
func (w *writer) seconds(indent int, name string, n float64) {
	if n > 0 {
		w.text(indent, name, decimal(n)+"s")
	}
}

func (w *writer) list(indent int, name string, values []string) {
	if len(values) == 0 {
		return
	}
	all := make([]string, len(values))
	for i, v := range values {
		all[i] = quoted(v)
	}
	w.line(indent, "%s: [%s]", name, strings.Join(all, ", "))
}

// decimal rounds: prices per token are small, and those per million are not.
func decimal(n float64) string {
	short, _ := strconv.ParseFloat(strconv.FormatFloat(n, 'g', 12, 64), 64)
	return strconv.FormatFloat(short, 'f', -1, 64)
}

func quoted(text string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(text) // a text can be encoded
	return strings.TrimSpace(b.String())
}

// write writes the config: providers first, then the rest, then what is left over.
func (r *result) write() []byte {
	var w writer
	w.line(0, "providers:")
	for _, p := range r.providers {
		r.provide(&w, p)
	}
	if slices.ContainsFunc(r.providers, func(p *provider) bool { return p.real != "" }) {
		w.line(0, "internal_endpoints:")
		for _, p := range r.providers {
			w.text(2, p.id+".internal", p.real)
		}
	}
	if len(r.aliases) > 0 {
		w.line(0, "aliases:")
		for _, name := range slices.Sorted(maps.Keys(r.aliases)) {
			w.list(2, quoted(name), r.aliases[name])
		}
	}
	w.line(0, "only_allow_configured_providers: true")
	if !r.wildcards {
		w.line(0, "only_allow_configured_models: true")
	}
	w.number(0, "max_retries", r.retries)
	w.seconds(0, "per_request_timeout", r.timeout)
	w.seconds(0, "first_token_timeout", r.firstToken)
	w.seconds(0, "total_timeout", r.total)
	if r.strategy != "" {
		w.line(0, "model_selection:")
		w.line(2, "strategy:")
		w.line(4, "- %s", quoted(r.strategy))
	}
	if len(r.notes) > 0 {
		w.line(0, "\n# Without a counterpart:")
		w.comments(0, r.notes)
	}
	return w.Bytes()
}

func (r *result) provide(w *writer, p *provider) {
	w.comments(2, p.notes)
	w.line(2, "- id: %s", quoted(p.id))
	w.text(4, "base_url", p.base)
	if p.format != "" {
		w.line(4, "supported_api_surfaces:")
		w.line(6, "- format: %s", quoted(p.format))
		w.line(4, "translate: true")
	}
	if p.key != "" {
		w.line(4, "api_keys:")
		w.line(6, "- value: %s", quoted(p.key))
	}
	if len(p.headers) > 0 {
		w.line(4, "headers:")
		for _, name := range slices.Sorted(maps.Keys(p.headers)) {
			w.line(6, "%s: %s", quoted(name), quoted(p.headers[name]))
		}
	}
	if len(p.models) > 0 {
		w.line(4, "models:")
	}
	for _, m := range p.models {
		r.model(w, m)
	}
}

func (r *result) model(w *writer, m *model) {
	w.comments(6, m.notes)
	w.line(6, "- id: %s", quoted(m.id))
	w.list(8, "id_aliases", m.aliases)
	w.list(8, "fallbacks", m.fallbacks)
	w.seconds(8, "per_request_timeout", m.timeout)
	w.seconds(8, "first_token_timeout", m.firstToken)
	if m.rpm > 0 || m.tpm > 0 || m.inFlight > 0 {
		w.line(8, "limits:")
		w.number(10, "in_flight", m.inFlight)
		w.number(10, "requests_per_minute", m.rpm)
		w.number(10, "tokens_per_minute", m.tpm)
	}
	if m.input > 0 || m.output > 0 {
		w.line(8, "pricing:")
		w.number(10, "input", m.input)
		w.number(10, "output", m.output)
	}
	if r.weighted {
		weight := m.weight
		if weight == 0 {
			weight = 1
		}
		w.line(8, "metadata:")
		w.number(10, "weight", weight)
	}
}
