package dialect

import "strings"

// anthropicTools are the tools of Anthropic's types that the client runs itself. Claude
// models know how to call them, and other models are told here. A date follows the prefix
// of the type.
//
// Tools that run at Anthropic have no stand-in, nor has the computer: its coordinates are
// learned.
var anthropicTools = []struct {
	prefix, description, schema string
}{
	{
		"bash_", "Runs a command in a shell that stays open between calls. restart starts a new shell.",
		`{"type":"object","properties":{"command":{"type":"string"},"restart":{"type":"boolean"}}}`,
	},
	{
		"text_editor_20241022", editor + " undo_edit takes the last change of the file back.", editorSchema(`,"undo_edit"`, "new_str"),
	},
	{
		"text_editor_20250124", editor + " undo_edit takes the last change of the file back.", editorSchema(`,"undo_edit"`, "new_str"),
	},
	{
		"text_editor_", editor, editorSchema("", "insert_text"),
	},
	{
		"memory_", "Files below /memories that stay between conversations. view shows a file or lists a directory, create writes file_text, str_replace puts new_str in the place of old_str, " +
			"insert puts insert_text behind the line insert_line, delete removes path, and rename moves old_path to new_path.",
		`{"type":"object","properties":{"command":{"type":"string","enum":["view","create","str_replace","insert","delete","rename"]},"path":{"type":"string"},"view_range":{"type":"array","items":{"type":"integer"}},` +
			`"file_text":{"type":"string"},"old_str":{"type":"string"},"new_str":{"type":"string"},"insert_line":{"type":"integer"},"insert_text":{"type":"string"},"old_path":{"type":"string"},"new_path":{"type":"string"}},"required":["command"]}`,
	},
}

const editor = "Views and edits files. view shows a file, or the lines of view_range, or lists a directory. create writes file_text. str_replace puts new_str in the place of old_str, which stands in the file once. insert adds a text behind the line insert_line."

func editorSchema(more, inserted string) string {
	schema := `{"type":"object","properties":{"command":{"type":"string","enum":["view","create","str_replace","insert"` + more + `]},"path":{"type":"string"},"view_range":{"type":"array","items":{"type":"integer"}},` +
		`"file_text":{"type":"string"},"old_str":{"type":"string"},"new_str":{"type":"string"},"insert_line":{"type":"integer"}`
	if inserted != "new_str" {
		schema += `,"` + inserted + `":{"type":"string"}`
	}
	return schema + `},"required":["command","path"]}`
}

// describe makes a function of a tool of Anthropic's, and reports whether it can.
func (t *tool) describe(what string) bool {
	for _, a := range anthropicTools {
		if strings.HasPrefix(what, a.prefix) {
			t.description, t.schema = quote(a.description), raw(a.schema)
			return true
		}
	}
	return false
}
