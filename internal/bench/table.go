package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/aigateway-go/aigateway/internal/section"
)

func (b *bench) print(w io.Writer) {
	fmt.Fprintf(w, "Measured by `make bench` on %s: medians of %d rounds in which the two take turns.\n\n", machine(), *rounds)
	if len(b.targets) > 0 {
		table(w, []string{"", "target", "measured", "met"}, b.targets)
	}
	if len(b.socket) > 0 {
		fmt.Fprint(w, "\n<details>\n<summary>Request → answer over loopback sockets</summary>\n\n"+
			"The ratios are gateway to twin, or to the server that the row names; of CPU time, that of the server's process only.\n\n")
		table(w, []string{"", "requests/s", "ratio", "CPU a request", "the other's", "ratio"}, b.socket)
		if !hasNginx() {
			fmt.Fprint(w, "\nThe rows against nginx are left out: it is not installed.\n")
		}
		fmt.Fprint(w, "\n</details>\n")
	}
}

func table(w io.Writer, head []string, rows [][]string) {
	fmt.Fprintf(w, "| %s |\n|---|%s\n", strings.Join(head, " | "), strings.Repeat("---:|", len(head)-1))
	for _, r := range rows {
		fmt.Fprintf(w, "| %s |\n", strings.Join(r, " | "))
	}
}

// write puts the tables into a Markdown file, between its bench markers.
func (b *bench) write(file string) error {
	var out strings.Builder
	b.print(&out)
	return section.Write(file, "bench", out.String())
}
