// Command refdoc writes the reference of the selection language into a document,
// between the markers <!-- reference:begin --> and <!-- reference:end -->. A
// document without markers gets them at its end. With -json it prints the
// reference as JSON instead.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/aigateway-go/aigateway/internal/expr"
)

// begin and end bound the generated part. What a person writes around them
// stays.
const begin, end = "<!-- reference:begin -->\n", "<!-- reference:end -->\n"

// main ends with status 1 after any failure.
func main() {
	file := flag.String("o", "", "the document")
	asJSON := flag.Bool("json", false, "print the reference as JSON")
	flag.Parse()
	if err := run(*file, *asJSON); err != nil {
		fmt.Fprintln(os.Stderr, "refdoc:", err)
		os.Exit(1)
	}
}

// run replaces the text between the markers. A file yet to be made starts with a
// heading.
func run(file string, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(os.Stdout)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(expr.Reference())
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		text, err = []byte("# Model selection\n\n## Reference\n\n"), nil
	}
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(text), begin)
	after := ""
	if ok {
		if _, after, ok = strings.Cut(rest, end); !ok {
			return fmt.Errorf("%s has no %q", file, strings.TrimSpace(end))
		}
	}
	return os.WriteFile(file, []byte(before+begin+expr.ReferenceMarkdown()+end+after), 0o644)
}
