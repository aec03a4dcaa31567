package suite_test

import (
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/gatewaytest"
)

// TestMarkdown looks up the links and commands of every Markdown file, and checks
// the shape of its tables.
func TestMarkdown(t *testing.T) {
	t.Chdir(docsRoot)
	files := markdownFiles(t)
	assert.Contains(t, files, "README.md")
	assert.Contains(t, files, "docs/selection.md")
	assert.Contains(t, files, "examples/ollama/README.md")
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			text, err := os.ReadFile(filepath.FromSlash(file))
			require.NoError(t, err)
			prose := markdownBlock.ReplaceAllString(string(text), "")
			for _, problem := range markdownLinks(file, prose) {
				t.Error(problem)
			}
			for _, problem := range markdownTables(prose) {
				t.Error(problem)
			}
			for _, command := range append(gatewaytest.Commands(string(text)), markdownInline(prose)...) {
				for _, problem := range markdownCommand(file, string(text), command) {
					t.Errorf("%s: %s", command, problem)
				}
			}
		})
	}
}

// TestMarkdownChecks shows each check what it must find.
func TestMarkdownChecks(t *testing.T) {
	t.Chdir(docsRoot)
	for _, row := range []struct {
		name, text, want string // of links and tables
		command          string // or of a command
	}{
		{name: "no such file", text: "[a](no/such.md)", want: "no/such.md"},
		{name: "no such heading", text: "# One\n\n[a](#two)", want: "#two"},
		{name: "a heading", text: "# One, two `three`\n\n[a](#one-two-three)"},
		{name: "a file and its heading", text: "[a](CONTRIBUTING.md#no-such-heading)", want: "#no-such-heading"},
		{name: "out of the repository", text: "[a](../../etc)", want: "../../etc"},
		{name: "plain http", text: "[a](http://example.com)", want: "http://example.com"},
		{name: "a page", text: "[a](https://example.com/x)"},
		{name: "a row too short", text: "| a | b |\n|---|---|\n| c |\n", want: "| c |"},
		{name: "a table", text: "| a | b |\n|---|---|\n| c \\| d | e |\n"},

		{name: "no such package", command: "go run ./examples/nothing", want: "examples/nothing"},
		{name: "no such config", command: "go run ./examples/server -config examples/nothing.yaml", want: "examples/nothing.yaml"},
		{name: "no such flag", command: "go run ./examples/server -confg examples/server/gateway.yaml", want: "-confg"},
		{name: "no such target", command: "make coffee", want: "coffee"},
		{name: "no such script", command: "bash .ci/nothing", want: ".ci/nothing"},
		{name: "no such package of the module", command: "go run github.com/aigateway-go/aigateway/examples/nothing", want: "examples/nothing"},
		{name: "no such flag, from another module", command: "go run github.com/aigateway-go/aigateway/examples/server -confg gateway.yaml", want: "-confg"},
		{name: "all there, from another module", command: "go run github.com/aigateway-go/aigateway/examples/server -config gateway.yaml -check"},
		{name: "all there", command: "A=b go run ./examples/server -config examples/server/gateway.yaml -check"},
		{name: "the target is there", command: "make test race"},
		{name: "every package", command: "go test -race ./..."},
		{name: "another directory", command: "go run -C contrib/redis ./example"},
		{name: "not in the other directory", command: "go run -C contrib/redis ./nothing", want: "./nothing"},
	} {
		t.Run(row.name, func(t *testing.T) {
			problems := append(markdownLinks("README.md", row.text), markdownTables(row.text)...)
			if row.command != "" {
				problems = markdownCommand("README.md", "", row.command)
			}
			if row.want == "" {
				assert.Empty(t, problems)
				return
			}
			require.Len(t, problems, 1)
			assert.Contains(t, problems[0], row.want)
		})
	}
}

var (
	markdownBlock   = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	markdownCode    = regexp.MustCompile("`[^`\n]*`")
	markdownLink    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	markdownHeading = regexp.MustCompile(`(?m)^#+ +(.*)$`)
)

// markdownFiles lists them from the root of the repository.
func markdownFiles(t *testing.T) (files []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." && (slices.Contains([]string{"node_modules", "testdata", "bin"}, d.Name()) || strings.HasPrefix(d.Name(), ".")) {
			return filepath.SkipDir
		}
		if filepath.Ext(path) == ".md" {
			files = append(files, filepath.ToSlash(path))
		}
		return nil
	}))
	return files
}

// markdownLinks lists the links of a text that lead nowhere. Links to other hosts
// are not followed: a test over the network fails for the wrong reasons.
func markdownLinks(file, text string) (problems []string) {
	for _, m := range markdownLink.FindAllStringSubmatch(markdownCode.ReplaceAllString(text, ""), -1) {
		u, err := url.Parse(m[1])
		if err != nil || u.Scheme != "" && (u.Scheme != "https" || u.Host == "") {
			problems = append(problems, m[1]+" is not an https link")
			continue
		}
		if u.Scheme != "" {
			continue
		}
		there := text
		if u.Path != "" {
			target := filepath.Join(filepath.Dir(file), filepath.FromSlash(u.Path))
			info, err := os.Stat(target)
			if err != nil || !filepath.IsLocal(target) {
				problems = append(problems, m[1]+" is not there")
				continue
			}
			if u.Fragment != "" && !info.IsDir() {
				data, err := os.ReadFile(target)
				if err != nil {
					problems = append(problems, err.Error())
				}
				there = markdownBlock.ReplaceAllString(string(data), "")
			}
		}
		if u.Fragment != "" && !slices.Contains(markdownAnchors(there), u.Fragment) {
			problems = append(problems, m[1]+": there is no heading #"+u.Fragment)
		}
	}
	return problems
}

// markdownAnchors are the fragments that GitHub gives the headings of a text.
func markdownAnchors(text string) (anchors []string) {
	drop := regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	for _, m := range markdownHeading.FindAllStringSubmatch(text, -1) {
		anchors = append(anchors, strings.ReplaceAll(drop.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-"))
	}
	return anchors
}

// markdownTables lists the rows with more or fewer cells than their table's head.
func markdownTables(text string) (problems []string) {
	cells := 0
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			cells = 0
			continue
		}
		n := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|")
		if cells == 0 {
			cells = n
		}
		if n != cells || !strings.HasSuffix(line, "|") {
			problems = append(problems, "this row is not like its table's head: "+line)
		}
	}
	return problems
}

// markdownInline are the commands that a text names in passing.
func markdownInline(text string) (commands []string) {
	for _, code := range markdownCode.FindAllString(text, -1) {
		code = strings.Trim(code, "`")
		if strings.HasPrefix(code, "make ") || strings.HasPrefix(code, "go run ") || strings.HasPrefix(code, ".ci/") {
			commands = append(commands, code)
		}
	}
	return commands
}

// markdownCommand lists the paths, flags and targets of a shell command that do
// not exist. Paths count from the root of the repository or from the file's
// folder; packages may also go by the module's path, as in other modules.
func markdownCommand(file, text, command string) (problems []string) {
	command = strings.ReplaceAll(command, " github.com/aigateway-go/aigateway/", " ./")
	words := strings.Fields(command)
	for len(words) > 0 && regexp.MustCompile(`^[A-Z_]+=`).MatchString(words[0]) {
		words = words[1:]
	}
	if len(words) == 0 {
		return nil
	}
	dir := filepath.Dir(file)
	if at := slices.Index(words, "-C"); at > 0 && at+1 < len(words) { // go run -C contrib/redis ./example
		dir = words[at+1]
	}
	isServer := strings.Contains(command, "go run ./examples/server") || words[0] == "bin/server"
	for i, word := range words {
		switch path := strings.TrimSuffix(word, "/..."); {
		case words[0] == "make" && i > 0:
			problems = append(problems, markdownTarget(word)...)
		case isServer && i > 0 && strings.HasPrefix(word, "-"):
			problems = append(problems, markdownFlag(word)...)
		case strings.HasPrefix(word, "./"), strings.HasPrefix(word, ".ci/"), strings.HasPrefix(word, "examples/"),
			strings.HasPrefix(word, "contrib/"), strings.HasPrefix(word, "internal/"), strings.HasPrefix(word, "testdata/"):
			_, inRoot := os.Stat(filepath.FromSlash(path))
			_, beside := os.Stat(filepath.Join(filepath.FromSlash(dir), filepath.FromSlash(path)))
			if inRoot != nil && beside != nil {
				problems = append(problems, path+" is not there")
			}
		case strings.HasPrefix(word, "bin/") && i == 0 && !strings.Contains(text, "-o "+word):
			problems = append(problems, word+" is not built")
		}
	}
	return problems
}

// markdownTarget looks a word of a make command up in the Makefile.
func markdownTarget(word string) []string {
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		return []string{err.Error()}
	}
	if name, _, isVar := strings.Cut(word, "="); isVar && strings.Contains(string(makefile), "\n"+name+" ?=") {
		return nil
	}
	if !strings.Contains(string(makefile), "\n"+word+":") {
		return []string{"the Makefile has no " + word}
	}
	return nil
}

// markdownFlag looks a flag up in the source of examples/server.
func markdownFlag(word string) []string {
	source, err := os.ReadFile("examples/server/main.go")
	if err != nil {
		return []string{err.Error()}
	}
	if !strings.Contains(string(source), `"`+strings.TrimLeft(word, "-")+`"`) {
		return []string{"the server has no flag " + word}
	}
	return nil
}
