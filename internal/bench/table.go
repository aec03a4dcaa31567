package main

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// The tables stand between these lines of the README.
const (
	beginMark = "<!-- make bench writes from here -->\n"
	endMark   = "<!-- to here -->\n"
)

func (b *bench) print(w io.Writer) {
	fmt.Fprintf(w, "Measured by `make bench` on %s: medians of %d rounds in which the two take turns.\n\n", machine(), *rounds)
	if len(b.targets) > 0 {
		table(w, []string{"", "target", "measured", "met"}, b.targets)
	}
	if len(b.socket) > 0 {
		fmt.Fprint(w, "\n<details>\n<summary>Request → answer over loopback sockets</summary>\n\n"+
			"The ratios are gateway to twin; of CPU time, that of the server's process alone.\n\n")
		table(w, []string{"", "requests/s", "ratio", "CPU a request", "twin's", "ratio"}, b.socket)
		fmt.Fprint(w, "\n</details>\n")
	}
}

func table(w io.Writer, head []string, rows [][]string) {
	fmt.Fprintf(w, "| %s |\n|---|%s\n", strings.Join(head, " | "), strings.Repeat("---:|", len(head)-1))
	for _, r := range rows {
		fmt.Fprintf(w, "| %s |\n", strings.Join(r, " | "))
	}
}

// write puts the tables between the markers of a file.
func (b *bench) write(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(text), beginMark)
	_, after, ok2 := strings.Cut(rest, endMark)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no lines %q and %q", file, beginMark, endMark)
	}
	var out strings.Builder
	out.WriteString(before + beginMark)
	b.print(&out)
	out.WriteString(endMark + after)
	return os.WriteFile(file, []byte(out.String()), 0o644)
}
