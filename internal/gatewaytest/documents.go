package gatewaytest

import (
	"os"
	"strings"
	"testing"
)

// Block returns the first code block of a language in a Markdown text.
func Block(t testing.TB, markdown, language string) string {
	t.Helper()
	block, _, _ := strings.Cut(after(t, markdown, "```"+language+"\n"), "```")
	return block
}

// Recipe returns the YAML of a recipe in a cookbook.
func Recipe(t testing.TB, cookbook, title string) string {
	t.Helper()
	return Block(t, after(t, read(t, cookbook), "\n## "+title+"\n"), "yaml")
}

// READMEIsExample compares the program of README.md with the body of Example in
// example_test.go, which the compiler has seen. Both are in the working directory.
func READMEIsExample(t testing.TB) {
	t.Helper()
	body := strings.TrimSuffix(strings.TrimSpace(after(t, read(t, "example_test.go"), "func Example() {\n")), "}")
	want := strings.TrimSpace(strings.ReplaceAll("\n"+body, "\n\t", "\n"))
	if got := strings.TrimSpace(Block(t, read(t, "README.md"), "go")); got != want {
		t.Errorf("the program of README.md is\n%s\n\nand Example is\n%s", got, want)
	}
}

func read(t testing.TB, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	noError(t, err)
	return string(text)
}

// after returns the text after the first mark.
func after(t testing.TB, text, mark string) string {
	t.Helper()
	_, rest, ok := strings.Cut(text, mark)
	if !ok {
		t.Fatalf("%q is not there", mark)
	}
	return rest
}
