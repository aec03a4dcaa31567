package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// provider is a provider in the words of the configuration.
type provider struct {
	ID          string    `json:"id"`
	IDAliases   []string  `json:"id_aliases,omitempty"`
	BaseURL     string    `json:"base_url"`
	DisplayName string    `json:"display_name"`
	Website     string    `json:"website"`
	Surfaces    []surface `json:"supported_api_surfaces,omitempty"`

	models []model
}

// surface is a part of an API, in the words of the configuration.
type surface struct {
	Format  string `json:"format"`
	Surface string `json:"surface,omitempty"`
}

// model is a model in the words of the configuration.
//
// Absent numbers are 0 and are left out: 0 reads as unknown in the
// configuration.
type model struct {
	ID                string   `json:"id"`
	IDAliases         []string `json:"id_aliases,omitempty"`
	AuthorID          string   `json:"author_id,omitempty"`
	DisplayName       string   `json:"display_name"`
	InputModalities   []string `json:"input_modalities"`
	OutputModalities  []string `json:"output_modalities"`
	MaxContextWindow  int64    `json:"max_context_window,omitempty"`
	MaxOutputTokens   int64    `json:"max_output_tokens,omitempty"`
	SupportedFeatures []string `json:"supported_features,omitempty"`
	ShutdownDate      string   `json:"shutdown_date,omitempty"`
	Pricing           *pricing `json:"pricing,omitempty"`
}

// pricing is nil for a model without a price in tokens, such as one billed by the hour.
type pricing struct {
	Input             *float64 `json:"input,omitempty"`
	Output            *float64 `json:"output,omitempty"`
	InputCacheRead    *float64 `json:"input_cache_read,omitempty"`
	InputCacheWrite   *float64 `json:"input_cache_write,omitempty"`
	InputCacheWrite1h *float64 `json:"input_cache_write_1h,omitempty"`
	InputBatch        *float64 `json:"input_batch,omitempty"`
	OutputBatch       *float64 `json:"output_batch,omitempty"`
	Tiers             []tier   `json:"tiers,omitempty"`
}

// tier holds the prices of long prompts.
type tier struct {
	AboveInputTokens int64    `json:"above_input_tokens"`
	Input            *float64 `json:"input,omitempty"`
	Output           *float64 `json:"output,omitempty"`
	InputCacheRead   *float64 `json:"input_cache_read,omitempty"`
	InputCacheWrite  *float64 `json:"input_cache_write,omitempty"`
}

// The tables must have exactly these columns: a misspelt column would lose its facts in silence.
var (
	modelColumns = []string{
		"provider", "id", "aliases", "display_name", "author", "context_window", "max_output_tokens", "input_modalities", "output_modalities",
		"features", "input", "output", "cache_read", "cache_write", "cache_write_1h", "tiers", "batch_discount", "shutdown_date", "checked", "source",
	}
	providerColumns = []string{"id", "aliases", "base_url", "display_name", "website", "surfaces", "stream_usage", "source"}
)

// generate makes the catalog. Every mistake in the tables is reported at once.
//
// The order of the providers is that of their table. Models whose shutdown date
// has passed are left out, so the catalog changes with the day in the table, and
// never with the clock of the machine.
func generate(models, providers string) ([]byte, error) {
	var faults []error
	fault := func(line int, format string, args ...any) {
		faults = append(faults, fmt.Errorf("line %d: %s", line, fmt.Sprintf(format, args...)))
	}
	today, err := asOf(models)
	if err != nil {
		faults = append(faults, err)
	}
	var list []*provider
	byID := map[string]*provider{}
	for _, r := range rows(providers, providerColumns, fault) {
		p := r.provider()
		if byID[p.ID] != nil {
			r.fault("provider %q is defined twice", p.ID)
		}
		list, byID[p.ID] = append(list, p), p
	}
	// Names are unique within a provider. The key is "provider name", in lower case; the value is the line.
	names := map[string]int{}
	for _, r := range rows(models, modelColumns, fault) {
		p := byID[r.cells["provider"]]
		if p == nil {
			r.fault("unknown provider %q", r.cells["provider"])
			continue
		}
		m := r.model(p)
		// A successor may take over the names of a model after its shutdown.
		if m.ShutdownDate != "" && m.ShutdownDate < today {
			continue
		}
		for _, name := range append([]string{m.ID}, m.IDAliases...) {
			key := p.ID + " " + strings.ToLower(name)
			if first := names[key]; first > 0 {
				r.fault("%q is already a name in line %d (case does not count)", name, first)
			}
			names[key] = r.line
		}
		p.models = append(p.models, m)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	for _, p := range list {
		slices.SortStableFunc(p.models, func(a, b model) int { return cmp.Compare(a.kind(), b.kind()) })
	}
	return write(list)
}

// kind orders the models of a provider. A request without a model takes the first fitting one.
//
// Chat is first, then embeddings, speech, and images with video. Within a kind
// the table's order stays.
func (m model) kind() int {
	switch {
	case slices.ContainsFunc(m.OutputModalities, func(o string) bool { return o == "image" || o == "video" }):
		return 3
	case slices.Contains(m.OutputModalities, "audio") || !slices.Contains(m.InputModalities, "text"):
		// Speech, as input or output.
		return 2
	case slices.Contains(m.OutputModalities, "embedding"):
		return 1
	}
	return 0
}

// asOf is the day of the table, such as "2006-01-02". Models with an earlier shutdown date are gone.
//
// The day is a comment of the table: "# as of: 2026-01-02". Dates compare as
// text.
func asOf(models string) (string, error) {
	for line := range strings.Lines(models) {
		if day, ok := strings.CutPrefix(line, "# as of:"); ok {
			day = strings.TrimSpace(day)
			_, err := time.Parse(time.DateOnly, day)
			return day, err
		}
	}
	return "", errors.New(`no line says "# as of: YYYY-MM-DD"`)
}

// row is a line of a table.
//
// Its methods read cells by their column, and report faults with the line.
type row struct {
	line  int
	cells map[string]string
	fault func(format string, args ...any)
}

// rows reads a table. Each row needs a source.
//
// Lines that begin with # are comments. A row with a fault in one cell is still
// returned, so that its other faults show too.
func rows(table string, columns []string, fault func(line int, format string, args ...any)) (out []row) {
	line, named := 0, false
	for text := range strings.Lines(table) {
		line++
		text = strings.TrimRight(text, "\r\n")
		if text == "" || text[0] == '#' {
			continue
		}
		cells := strings.Split(text, "\t")
		if !named {
			named = true
			if !slices.Equal(cells, columns) {
				fault(line, "the columns are %q, want %q", cells, columns)
				return nil
			}
			continue
		}
		if len(cells) != len(columns) {
			fault(line, "%d cells, want %d", len(cells), len(columns))
			continue
		}
		r := row{line: line, cells: map[string]string{}}
		at := line
		r.fault = func(format string, args ...any) { fault(at, format, args...) }
		for i, c := range columns {
			r.cells[c] = cells[i]
			if strings.TrimSpace(cells[i]) != cells[i] {
				r.fault("%s has outer spaces", c)
			}
		}
		if r.cells["source"] == "" {
			r.fault("%s has no source: say where its facts are from", r.cells["id"])
		}
		out = append(out, r)
	}
	return out
}

// list is a cell with commas.
//
// An empty cell is an empty list.
func (r row) list(column string) []string {
	if r.cells[column] == "" {
		return nil
	}
	return strings.Split(r.cells[column], ",")
}

// required is a cell that must not be empty.
// The fault names the column. The empty text goes on.
func (r row) required(column string) string {
	if r.cells[column] == "" {
		r.fault("%s is missing", column)
	}
	return r.cells[column]
}

// provider reads a row of providers.tsv.
//
// Surfaces are written as format:surface, or as a format for all of its
// surfaces.
func (r row) provider() *provider {
	p := &provider{
		ID: r.required("id"), IDAliases: r.list("aliases"), BaseURL: r.required("base_url"),
		DisplayName: r.required("display_name"), Website: r.required("website"),
	}
	if u, err := url.Parse(p.BaseURL); err != nil || u.Scheme != "https" {
		r.fault("base_url %q is not an https:// URL", p.BaseURL)
	}
	for _, s := range r.list("surfaces") {
		format, name, _ := strings.Cut(s, ":")
		p.Surfaces = append(p.Surfaces, surface{format, name})
	}
	if s := r.cells["stream_usage"]; s != "" && s != "unasked" {
		r.fault("stream_usage is %q, want nothing or unasked", s)
	}
	return p
}

// The vocabulary of modalities and features, which strategies compare with.
var (
	inputs   = []string{"text", "image", "audio", "video", "pdf"}
	outputs  = []string{"text", "image", "audio", "video", "embedding"}
	features = []string{"tool-calling", "structured-output", "reasoning", "vision"}
)

// words is a list of known words.
//
// An unknown word is a fault: a strategy would compare with the right one and
// never match.
func (r row) words(column string, known []string) []string {
	words := r.list(column)
	for _, w := range words {
		if !slices.Contains(known, w) {
			r.fault("%s: %q is not one of %q", column, w, known)
		}
	}
	return words
}

// model reads a row of models.tsv.
func (r row) model(p *provider) model {
	m := model{
		ID: r.required("id"), IDAliases: r.list("aliases"), AuthorID: r.cells["author"], DisplayName: r.required("display_name"),
		InputModalities: r.words("input_modalities", inputs), OutputModalities: r.words("output_modalities", outputs),
		MaxContextWindow: r.integer("context_window"), MaxOutputTokens: r.integer("max_output_tokens"),
		SupportedFeatures: r.words("features", features), ShutdownDate: r.cells["shutdown_date"], Pricing: r.pricing(),
	}
	r.required("input_modalities")
	r.required("output_modalities")
	if m.AuthorID == p.ID {
		r.fault("author: leave it empty where it is the provider")
	}
	if m.ShutdownDate != "" {
		if _, err := time.Parse(time.DateOnly, m.ShutdownDate); err != nil {
			r.fault("shutdown_date %q is not a date like 2026-12-31", m.ShutdownDate)
		}
	}
	return m
}

// integer is a number of tokens, and zero for an empty cell.
func (r row) integer(column string) int64 {
	if r.cells[column] == "" {
		return 0
	}
	n, err := strconv.ParseInt(r.cells[column], 10, 64)
	if err != nil || n < 0 {
		r.fault("%s: %q is not a number of tokens", column, r.cells[column])
	}
	return n
}

// price is a cell in USD per million tokens, and nil if it is empty.
func (r row) price(column string) *float64 { return r.number(column, r.cells[column]) }

// number is a price, and nil for "" and "-".
//
// Zero is a price, for a model that is free.
func (r row) number(what, text string) *float64 {
	if text == "" || text == "-" {
		return nil
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || !(n >= 0) || math.IsInf(n, 0) {
		r.fault("%s: %q is not a price", what, text)
		return nil
	}
	return &n
}

// pricing needs both main prices: a cost of half the tokens would be wrong in silence.
//
// The batch discount is a factor: 0.5 halves both prices.
func (r row) pricing() *pricing {
	p := &pricing{
		Input: r.price("input"), Output: r.price("output"), InputCacheRead: r.price("cache_read"),
		InputCacheWrite: r.price("cache_write"), InputCacheWrite1h: r.price("cache_write_1h"), Tiers: r.tiers(),
	}
	if p.Input == nil || p.Output == nil {
		if p.Input != p.Output || p.InputCacheRead != nil || p.InputCacheWrite != nil || p.InputCacheWrite1h != nil || p.Tiers != nil {
			r.fault("a model with prices needs input and output")
		}
		return nil
	}
	if discount := r.price("batch_discount"); discount != nil {
		if *discount == 0 || *discount > 1 {
			r.fault("batch_discount: %v is not above 0 and at most 1", *discount)
		}
		p.InputBatch, p.OutputBatch = times(*p.Input, *discount), times(*p.Output, *discount)
	}
	return p
}

// times multiplies two decimal numbers without the noise of binary fractions.
//
// Nine digits behind the point are more than any price list has.
func times(a, b float64) *float64 {
	n := math.Round(a*b*1e9) / 1e9
	return &n
}

// tiers reads "above input output cache_read cache_write; above …".
//
// Tiers ascend. "-" in the place of a cache price is an unknown price.
func (r row) tiers() (out []tier) {
	if r.cells["tiers"] == "" {
		return nil
	}
	for _, text := range strings.Split(r.cells["tiers"], ";") {
		f := strings.Fields(text)
		if len(f) != 5 {
			r.fault("tiers: %q is not \"above input output cache_read cache_write\"", text)
			continue
		}
		above, err := strconv.ParseInt(f[0], 10, 64)
		if err != nil || above <= 0 || len(out) > 0 && above <= out[len(out)-1].AboveInputTokens {
			r.fault("tiers: %q is not a number of tokens above the tier before", f[0])
		}
		t := tier{above, r.number("tiers", f[1]), r.number("tiers", f[2]), r.number("tiers", f[3]), r.number("tiers", f[4])}
		if t.Input == nil || t.Output == nil {
			r.fault("tiers: %q has no input or no output price", text)
		}
		out = append(out, t)
	}
	return out
}

// write lays the catalog out with one model a line: a change of one model is a change of one line.
// The head of a provider ends in a brace, and is cut open for its models.
func write(providers []*provider) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("[\n")
	for i, p := range providers {
		head, err := spaced(p)
		if err != nil {
			return nil, err
		}
		b.WriteString("  " + head)
		if len(p.models) > 0 {
			b.Truncate(b.Len() - 1)
			b.WriteString(`, "models": [` + "\n")
			for j, m := range p.models {
				line, err := spaced(m)
				if err != nil {
					return nil, err
				}
				b.WriteString("    " + line + comma(j, len(p.models)))
			}
			b.WriteString("  ]}")
		}
		b.WriteString(comma(i, len(providers)))
	}
	b.WriteString("]\n")
	return b.Bytes(), nil
}

// comma ends a line of a list with n elements.
func comma(i, n int) string {
	if i == n-1 {
		return "\n"
	}
	return ",\n"
}

// spaced is JSON on one line, with a space after each colon and comma.
//
// A quotation mark behind a backslash counts as a part of its string. The tables hold
// no text that ends in a backslash.
func spaced(v any) (string, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	quoted := false
	for i, c := range raw {
		b.WriteByte(c)
		switch {
		case c == '"' && (i == 0 || raw[i-1] != '\\'):
			quoted = !quoted
		case !quoted && (c == ':' || c == ','):
			b.WriteByte(' ')
		}
	}
	return b.String(), nil
}
