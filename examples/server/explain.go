package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/aigateway-go/aigateway"
)

// explain prints the gateway's plan for a request, and returns the exit code:
// exitFailed if the gateway would refuse it. Nothing is sent. The request has only
// a body and a Content-Type, so strategies see no other header.
func explain(ctx context.Context, o options, stdout io.Writer) int {
	body, err := os.ReadFile(o.explain)
	if err != nil {
		fmt.Fprintln(stdout, err)
		return exitFailed
	}
	cfg, err := o.loadUntil(ctx, nil)
	if err != nil {
		fmt.Fprintln(stdout, err)
		return exitFailed
	}
	gateway, err := aigateway.New(cfg)
	if err != nil {
		fmt.Fprintln(stdout, err)
		return exitFailed
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, o.path, bytes.NewReader(body))
	if err != nil {
		fmt.Fprintln(stdout, err)
		return exitFailed
	}
	r.Header.Set("Content-Type", "application/json")
	// A refusal can come with a result, and then both are printed.
	result, err := gateway.Explain(r)
	if err != nil {
		printRefusal(stdout, err)
	}
	if result != nil {
		printAsked(stdout, result)
		printTried(stdout, result)
		printNotes(stdout, result, o.verbose)
		printMissing(ctx, stdout, gateway, result)
		printNotTried(stdout, result.NotTried, o.verbose)
	}
	if err != nil {
		return exitFailed
	}
	return exitOK
}

// printRefusal prints the reason of a refusal, as the client would get it.
func printRefusal(stdout io.Writer, err error) {
	var refusal *aigateway.Error
	if !errors.As(err, &refusal) {
		fmt.Fprintln(stdout, err)
		return
	}
	fmt.Fprintf(stdout, "refused with %d %s: %s\n\n", refusal.Status, refusal.Code, refusal.Message)
}

// printAsked prints the fate of each name in the request: its models, or the
// reasons against it.
func printAsked(stdout io.Writer, result *aigateway.Result) {
	w := newTable(stdout, "ASKED FOR\tWHAT BECOMES OF IT")
	for _, name := range asked(result.Client) {
		var chosen, problems []string
		ran := false
		for _, run := range result.ModelSelection {
			if run.ClientModel != name {
				continue
			}
			ran = true
			chosen = append(chosen, run.ModelsToTry...)
			if run.Error != "" {
				problems = append(problems, run.Error)
			}
		}
		for _, m := range result.Client.RejectedModels {
			if m.Model == name {
				problems = append(problems, m.Message)
			}
		}
		switch {
		case len(chosen) > 0:
			w.row(name, "tried as "+list(chosen, 5))
		case ran && len(problems) == 0:
			w.row(name, "no strategy of model_selection chose a model for it")
		case len(problems) == 0:
			w.row(name, "the request fails before its turn")
		}
		for _, problem := range problems {
			w.row(name, problem)
			name = "" // once is enough
		}
	}
	w.print()
}

// asked lists the names in a request, in their order and once each. It is empty if
// the request leaves the choice to the gateway.
func asked(r aigateway.ClientRequest) (names []string) {
	for _, name := range append([]string{r.Model}, r.Models...) {
		auto := name == "" || strings.EqualFold(name, "auto") || strings.EqualFold(name, "ngrok/auto")
		if !auto && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// printTried prints the candidates in the order of their turns. It leaves out
// cooldowns: a gateway at its start has none yet.
func printTried(stdout io.Writer, result *aigateway.Result) {
	w := newTable(stdout, "TURN\tPROVIDER\tMODEL\tKEYS")
	for i, m := range result.ModelsTried {
		w.row(fmt.Sprint(i+1), m.Provider, m.Model, keys(m))
	}
	w.print()
}

// keys are a candidate's, by their ids on the debug page and in Results. The ids are
// hashes of the config's text, and not of the keys.
func keys(m aigateway.TriedModel) string {
	switch n := len(m.APIKeySelection); {
	case m.Error != "":
		return "would fail: " + m.Error
	case n == 0:
		return "none is sent"
	default:
		ids := make([]string, n)
		for i, k := range m.APIKeySelection {
			ids[i] = k.ID
		}
		return list(ids, 5)
	}
}

// printNotes prints the notes of the selection. A filter can have one on each model of
// the catalog, so the first few stand for all. A failure for a name of the client stands
// beside the name.
func printNotes(stdout io.Writer, result *aigateway.Result, all bool) {
	var notes []string
	for _, s := range result.ModelSelection {
		if s.Error != "" && s.ClientModel == "" {
			fmt.Fprintf(stdout, "failed: %s\n", s.Error)
		}
		for _, note := range s.Notes {
			notes = append(notes, s.Strategy+": "+note)
		}
	}
	notes = append(notes, result.Notes...)
	most := 3
	if all {
		most = len(notes)
	}
	for _, note := range notes[:min(len(notes), most)] {
		fmt.Fprintf(stdout, "note: %s\n", note)
	}
	if more := len(notes) - most; more > 0 {
		fmt.Fprintf(stdout, "note: %d more like these (-v lists them)\n", more)
	}
}

// printMissing warns of secrets that do not resolve, if the request would be sent with a
// key. It asks for all secrets of the config.
func printMissing(ctx context.Context, stdout io.Writer, gateway *aigateway.Gateway, result *aigateway.Result) {
	hasKeys := func(m aigateway.TriedModel) bool { return len(m.APIKeySelection) > 0 }
	if !slices.ContainsFunc(result.ModelsTried, hasKeys) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if err := gateway.Check(ctx); err != nil {
		for _, problem := range problems(err) {
			fmt.Fprintf(stdout, "warning: %s\n", problem)
		}
	}
}

// printNotTried counts the other models of the catalog by their reasons, or lists them
// all.
func printNotTried(stdout io.Writer, models []aigateway.RejectedModel, all bool) {
	if len(models) == 0 {
		return
	}
	if all {
		w := newTable(stdout, "NOT TRIED\tMODEL\tREASON")
		for _, m := range models {
			w.row(m.Provider, m.Model, m.Reason)
		}
		w.print()
		return
	}
	count := map[string]int{}
	for _, m := range models {
		count[m.Reason]++
	}
	// The most frequent first, and equals by their text: the output is always the same.
	reasons := slices.SortedFunc(maps.Keys(count), func(a, b string) int {
		return cmp.Or(count[b]-count[a], strings.Compare(a, b))
	})
	for i, reason := range reasons {
		reasons[i] = fmt.Sprintf("%d %s", count[reason], reason)
	}
	fmt.Fprintf(stdout, "not tried: %s (-v lists them)\n", strings.Join(reasons, ", "))
}

// list joins the first words, at most that many, and counts the others.
func list(words []string, most int) string {
	more := len(words) - most
	if more <= 0 {
		return strings.Join(words, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(words[:most], ", "), more)
}

// table is printed with its head and a blank line. A table without rows is not printed.
type table struct {
	out  io.Writer
	w    *tabwriter.Writer
	head string
	rows int
}

func newTable(stdout io.Writer, head string) *table {
	return &table{out: stdout, w: tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0), head: head}
}

func (t *table) row(cells ...string) {
	if t.rows++; t.rows == 1 {
		fmt.Fprintln(t.w, t.head)
	}
	fmt.Fprintln(t.w, strings.Join(cells, "\t"))
}

func (t *table) print() {
	t.w.Flush()
	if t.rows > 0 {
		fmt.Fprintln(t.out)
	}
}
