package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"text/tabwriter"

	"github.com/aigateway-go/aigateway"
)

// explain prints what the gateway would do with a request, and returns the exit
// code: exitFailed where it would refuse it.
func explain(o options, stdout io.Writer) int {
	body, err := os.ReadFile(o.explain)
	if err != nil {
		fmt.Fprintln(stdout, err)
		return exitFailed
	}
	cfg, err := o.load(slog.New(slog.DiscardHandler))
	if err != nil {
		fmt.Fprintln(stdout, err)
		return exitFailed
	}
	gateway, err := aigateway.New(cfg)
	if err != nil {
		fmt.Fprintln(stdout, err)
		return exitFailed
	}
	r, err := http.NewRequest(http.MethodPost, o.path, bytes.NewReader(body))
	if err != nil {
		fmt.Fprintln(stdout, err)
		return exitFailed
	}
	r.Header.Set("Content-Type", "application/json")
	result, err := gateway.Explain(r)
	if result != nil {
		printTable(stdout, result)
	}
	if err != nil {
		fmt.Fprintln(stdout, err)
		return exitFailed
	}
	return exitOK
}

// printTable shows a dry run: first what would be tried, in order, then the
// rest, each with its reason.
func printTable(stdout io.Writer, result *aigateway.Result) {
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TURN\tPROVIDER\tMODEL\tWHY")
	for i, m := range result.ModelsTried {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\n", i+1, m.Provider, m.Model, whyTried(m))
	}
	for _, m := range result.Client.RejectedModels {
		if m.Provider == "" {
			fmt.Fprintf(w, "-\t-\t%s\t%s\n", m.Model, m.Message)
		}
	}
	for _, m := range result.NotTried {
		fmt.Fprintf(w, "-\t%s\t%s\t%s\n", m.Provider, m.Model, m.Reason)
	}
	w.Flush()
	for _, s := range result.ModelSelection {
		for _, note := range s.Notes {
			fmt.Fprintf(stdout, "note: %s: %s\n", s.Strategy, note)
		}
	}
}

// whyTried says what is worth saying of a candidate.
func whyTried(m aigateway.TriedModel) string {
	switch {
	case m.Error != "":
		return "would be refused: " + m.Error
	case m.RestingMS > 0:
		return fmt.Sprintf("rests for %.1f s, and so comes last", m.RestingMS/1000)
	case len(m.APIKeySelection) == 0:
		return "without a key"
	case len(m.APIKeySelection) == 1:
		return "with its key"
	default:
		return fmt.Sprintf("with %d keys", len(m.APIKeySelection))
	}
}
