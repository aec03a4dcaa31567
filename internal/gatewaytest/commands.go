package gatewaytest

import (
	"regexp"
	"strings"
)

// Commands returns the shell commands of a Markdown text. A command over several
// lines is one.
func Commands(markdown string) []string {
	var list []string
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(markdown, -1) {
		for line := range strings.Lines(strings.ReplaceAll(block[1], "\\\n", " ")) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				list = append(list, strings.Join(strings.Fields(line), " "))
			}
		}
	}
	return list
}
