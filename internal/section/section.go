// Package section replaces the generated parts of Markdown files. A part called
// "bench" stands between these two lines:
//
//	<!-- bench:begin -->
//	<!-- bench:end -->
package section

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// Text returns the part of a document with the given name, without the lines of
// its markers.
func Text(doc, name string) (string, error) {
	begin, end, err := find(doc, name)
	if err != nil {
		return "", err
	}
	return doc[begin:end], nil
}

// Replace returns the document with another text in the part of that name. The
// text ends in one line break, whether or not it was given with one.
func Replace(doc, name, text string) (string, error) {
	begin, end, err := find(doc, name)
	if err != nil {
		return "", err
	}
	return doc[:begin] + strings.TrimRight(text, "\n") + "\n" + doc[end:], nil
}

// Write replaces a part of a file. After an error the file is as it was.
func Write(file, name, text string) error {
	doc, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	changed, err := Replace(string(doc), name, text)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return os.WriteFile(file, []byte(changed), 0o644)
}

// find returns the offsets of a part's text.
func find(doc, name string) (begin, end int, err error) {
	first, last := "<!-- "+name+":begin -->\n", "<!-- "+name+":end -->\n"
	if strings.Count(doc, first) != 1 || strings.Count(doc, last) != 1 {
		return 0, 0, fmt.Errorf("the lines %q and %q must be there once each", strings.TrimSpace(first), strings.TrimSpace(last))
	}
	begin, end = strings.Index(doc, first)+len(first), strings.Index(doc, last)
	if end < begin {
		return 0, 0, errors.New("the part " + name + " ends before it begins")
	}
	return begin, end, nil
}
