package ids_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/aigateway-go/aigateway/internal/ids"
)

// refs are ids of one kind.
func refs(kind ids.Kind, names ...string) (list []ids.Ref) {
	for _, name := range names {
		list = append(list, ids.Ref{Kind: kind, ID: name})
	}
	return list
}

// TestInRequest finds ids in requests, where a provider would read them.
func TestInRequest(t *testing.T) {
	for _, row := range []struct {
		name, body string
		want       []ids.Ref
	}{
		{"a response", `{"previous_response_id":"a"}`, refs(ids.Response, "a")},
		{"a response below the top", `{"x":{"previous_response_id":"a","conversation":"b"}}`, nil},
		{"a conversation", `{"conversation":"a"}`, refs(ids.Conversation, "a")},
		{"a conversation as an object", `{"conversation":{"x":1,"id":"a"}}`, refs(ids.Conversation, "a")},
		{"an object in an object", `{"conversation":{"id":"a","x":{"id":"b","file_id":"c"}}}`, append(refs(ids.Conversation, "a"), refs(ids.File, "c")...)},
		{"a file", `{"messages":[{"content":[{"type":"file","file":{"file_id":"a"}}]}]}`, refs(ids.File, "a")},
		{"a file is not an object", `{"file_id":{"id":"a","file_id":"b"}}`, refs(ids.File, "b")},
		{"lists", `{"tools":[{"vector_store_ids":["a","b"]},{"container":{"type":"auto","file_ids":["c",{"file_id":"d"}]}}]}`,
			append(refs(ids.VectorStore, "a", "b"), refs(ids.File, "c", "d")...)},
		{"a container", `{"container":"a","tools":[{"container":"b"}]}`, refs(ids.Container, "a", "b")},
		{"a container of a tool", `{"tools":[{"environment":{"type":"container_reference","container_id":"a"}}]}`, refs(ids.Container, "a")},
		{"a container of the past", `{"input":[{"type":"code_interpreter_call","id":"b","container_id":"a"}]}`, []ids.Ref{{Kind: ids.Container, ID: "a", Past: true}}},
		{"an item", `{"input":[{"type":"item_reference","id":"a"},{"id":"b"},{"id":"c","type":null}]}`, refs(ids.Item, "a", "b", "c")},
		{"an item of a conversation", `{"items":[{"type":"item_reference","id":"a"}]}`, refs(ids.Item, "a")},
		{"a whole item", `{"input":[{"type":"message","id":"a","role":"user"},{"id":"b","role":"user"},{"text":"c","id":"d"}]}`, nil},
		{"an image by its id", `{"input":[{"type":"image_generation_call","id":"a"},{"type":"image_generation_call","id":"b","result":""}]}`, refs(ids.Item, "a", "b")},
		{"a whole image", `{"input":[{"type":"image_generation_call","id":"a","result":"AAAA"}]}`, nil},
		{"an item that is not one", `{"input":"a","x":{"input":[{"id":"b"}],"items":[{"id":"c"}]}}`, nil},
		{"an earlier answer's sound", `{"audio":{"voice":{"id":"v"}},"messages":[{"role":"assistant","audio":{"id":"a"}},{"audio":"b"}]}`, refs(ids.Audio, "a")},
		{"a batch's file", `{"input_file_id":"a"}`, refs(ids.File, "a")},
		{"a repeated one", `{"file_id":"a","x":{"file_id":"a"}}`, refs(ids.File, "a", "a")},
		{"a repeated name", `{"previous_response_id":"a","previous_response_id":"b"}`, refs(ids.Response, "a", "b")},
		{"input at the top", `{"input":[{"file_id":"a"}]}`, refs(ids.File, "a")},
		{"input of a tool", `{"messages":[{"content":[{"type":"tool_use","input":{"file_id":"a"}}]}]}`, nil},
		{"a client's own fields", `{"metadata":{"file_id":"a"},"tools":[{"parameters":{"file_id":"b"},"input_schema":{"file_id":"c"}}],"annotations":[{"file_id":"d"}]}`, nil},
		{"attributes of a file in a vector store", `{"file_id":"a","attributes":{"file_id":"b"},"files":[{"file_id":"c","attributes":{"container_id":"d"}}]}`, refs(ids.File, "a", "c")},
		{"in capitals", `{"Previous_Response_ID":"a","FILE_ID":"b"}`, append(refs(ids.Response, "a"), refs(ids.File, "b")...)},
		{"escaped", `{"file\u005fid":"\u0061\/"}`, refs(ids.File, "a/")},
		{"up to a NUL", `{"file_id\u0000x":"a"}`, refs(ids.File, "a")},
		{"a long s", `{"file_id\u017f":"a"}`, refs(ids.File, "a")},
		{"an empty id", `{"file_id":"","previous_response_id":null,"file_ids":[]}`, nil},
		{"not a text", `{"file_id":7,"file_ids":[7,true,null]}`, nil},
		{"a word in a text", `{"input":"the file_id is a"}`, nil},
		{"not an object", `["file_id"]`, nil},
		{"cut off", `{"file_id":"a","x":{"file_id":"b`, refs(ids.File, "a")},
		{"nothing", ``, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			assert.Equal(t, row.want, slices.Collect(ids.InRequest([]byte(row.body))))
		})
	}
}

// TestInRequestStops: a reader that has enough ends the search.
func TestInRequestStops(t *testing.T) {
	for _, body := range []string{
		`{"file_ids":["a","b"],"file_id":"c"}`, `{"x":[{"file_id":"a"},{"file_id":"b"}]}`, `{"container":{"id":"a","file_id":"b"}}`,
	} {
		n := 0
		for ref := range ids.InRequest([]byte(body)) {
			assert.Equal(t, "a", ref.ID)
			n++
			break
		}
		assert.Equal(t, 1, n, body)
	}
}

// TestDepth: a body of brackets is not followed to its end.
func TestDepth(t *testing.T) {
	const n = 100_000
	deep := strings.Repeat("[", n) + `{"file_id":"a"}` + strings.Repeat("]", n)
	assert.Empty(t, slices.Collect(ids.InRequest([]byte(deep))))
	deep = strings.Repeat(`{"container":`, n) + `"a"` + strings.Repeat("}", n)
	assert.LessOrEqual(t, len(slices.Collect(ids.InRequest([]byte(deep)))), 1)
	assert.LessOrEqual(t, len(ids.Made([]byte(deep))), 1)
}

func TestMentions(t *testing.T) {
	for _, body := range []string{`{"previous_response_id":1}`, `{"conversation":1}`, `{"input_file_id":1}`, `{"vector_store_ids":1}`, `{"container":1}`} {
		assert.True(t, ids.Mentions([]byte(body)), body)
	}
	assert.False(t, ids.Mentions([]byte(`{"input":"a conversation about a container"}`)))
}

// TestInForm finds the ids in a part of a form.
func TestInForm(t *testing.T) {
	part := func(name, value string, file bool) []ids.Ref {
		return slices.Collect(ids.InForm([]byte(name), []byte(value), file))
	}
	const padded = " file_id "
	for name, kind := range map[string]ids.Kind{
		"file_id": ids.File, padded: ids.File, "FILE_ID": ids.File, "input_reference[file_id]": ids.File, "input_reference.file_id": ids.File,
		"file_ids[]": ids.File, "file_ids[0]": ids.File, "vector_store_ids[12]": ids.VectorStore, "container[id]": ids.Container,
		"conversation[0][id]": ids.Conversation, "file%5Fid": ids.File, "input_reference%5Bfile_id%5D": ids.File,
		"%zz[file_id]": ids.File,
	} {
		assert.Equal(t, refs(kind, "a"), part(name, " a\n", false), name)
		assert.Equal(t, refs(kind, "a"), part(name, "a"+strings.Repeat(" ", 600), true), name)
		assert.Equal(t, refs(kind, "a", "b"), part(name, ` ["a","b"]`, false), name)
	}
	for _, name := range []string{"", "[]", "id", "file", "file_id[name]", "prompt", "0"} {
		assert.Empty(t, part(name, "a", false), name)
	}
	for _, value := range []string{"", " ", strings.Repeat("a", 513)} {
		assert.Empty(t, part("file_id", value, false))
	}
	// JSON in a part, and a file of JSON.
	assert.Equal(t, refs(ids.File, "a", "b"), part("input_reference", `{"file_id":"a","x":[{"file_ids":["b"]}]}`, false))
	assert.Equal(t, refs(ids.Container, "a"), part("container", `{"id":"a"}`, false))
	assert.Empty(t, part("file", `{"file_id":"a"}`, true))
	assert.Empty(t, part("prompt", `{"previous_response_id":"a","text":"file_id"`, false))
	for range ids.InForm([]byte("file_ids"), []byte(`["a","b"]`), false) {
		break // stopping early must be possible
	}
}

// TestInAnswer finds the ids of a made thing.
func TestInAnswer(t *testing.T) {
	batch := `{"id":"b","input_file_id":"in","output_file_id":"out","error_file_id":null}`
	for _, row := range []struct {
		name, answer string
		kind         ids.Kind
		want         []ids.Ref
	}{
		{"a file", `{"object":"file","id":"a","bytes":1}`, ids.File, refs(ids.File, "a")},
		{"a batch with its files", batch, ids.Batch, append(refs(ids.Batch, "b"), refs(ids.File, "out")...)},
		{"an upload with its file", `{"id":"u","file":{"x":{"id":"y"},"id":"f"},"status":"completed"}`, ids.Upload, append(refs(ids.Upload, "u"), refs(ids.File, "f")...)},
		{"an upload without one", `{"file":null,"id":"u"}`, ids.Upload, refs(ids.Upload, "u")},
		{"another thing's file", `{"id":"b","file":{"id":"f"}}`, ids.Batch, refs(ids.Batch, "b")},
		{"another thing's files", batch, ids.Response, refs(ids.Response, "b")},
		{"below the top", `{"x":{"id":"a"},"data":[{"id":"b"}]}`, ids.File, nil},
		{"not a text", `{"id":7}`, ids.File, nil},
		{"an id that is not one", `{"id":"../a"}`, ids.File, nil},
		{"cut off behind it", `{"id":"a","x":[1,{"y`, ids.File, refs(ids.File, "a")},
		{"cut off in it", `{"x":1,"id":"abc`, ids.File, nil},
		{"a list", `[{"id":"a"}]`, ids.File, nil},
		{"nothing", ``, ids.File, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			assert.Equal(t, row.want, ids.InAnswer(row.kind, []byte(row.answer)))
		})
	}
}

// TestItems finds the items of an answer or an event.
func TestItems(t *testing.T) {
	for data, want := range map[string][]ids.Ref{
		`{"id":"r","output":[{"type":"message","id":"a"},{"id":"b"},7,{"id":"../c"}]}`:  refs(ids.Item, "a", "b"),
		`{"object":"list","data":[{"id":"a","content":[{"id":"x"}]}]}`:                  refs(ids.Item, "a"),
		`{"type":"response.output_item.done","item":{"content":[{"id":"x"}],"id":"a"}}`: refs(ids.Item, "a"),
		`{"output":"text","item":null,"data":{"id":"x"}}`:                               nil,
		`{"output":[{"id":"a"},{"id":"b`:                                                refs(ids.Item, "a"),
		`[]`:                                                                            nil,
	} {
		assert.Equal(t, want, ids.Items([]byte(data)), data)
	}
}

// TestInEvent finds the id in an event of a stream.
func TestInEvent(t *testing.T) {
	for data, want := range map[string]string{
		`{"type":"response.created","response":{"object":"response","id":"a"}}`: "a",
		`{"response":{"id":"a"},"type":"response.created"}`:                     "a",
		`{"response":"x","response":{"id":"a"}}`:                                "a",
		`{"id":"a"}`:                                                            "",
		`{"item":{"id":"a"}}`:                                                   "",
		`{"response":{"status":"completed"}}`:                                   "",
		`{"response":{"id":"a/b"}}`:                                             "",
		`[DONE]`:                                                                "",
		``:                                                                      "",
	} {
		ref, ok := ids.InEvent(ids.Response, []byte(data))
		assert.Equal(t, want != "", ok, data)
		assert.Equal(t, want, ref.ID, data)
	}
}

// TestMade finds the containers that an answer worked in, each once, and the files that
// its code wrote.
func TestMade(t *testing.T) {
	for data, want := range map[string][]ids.Ref{
		`{"output":[{"type":"code_interpreter_call","container_id":"a"},{"container_id":"a"},{"container_id":"b"}]}`: refs(ids.Container, "a", "b"),
		`{"container":{"id":"a","expires_at":"x"}}`:                                       refs(ids.Container, "a"),
		`{"output":[{"content":[{"annotations":[{"container_id":"a","file_id":"b"}]}]}]}`: nil,
		`{"output":[{"arguments":{"container_id":"a"}}]}`:                                 nil,
		`{"container_id":"a/b"}`:                                                          nil,
		`{"container_id":7,"container":null}`:                                             nil,
		`{"container":{"id":"a","x":{"id":"b","container_id":"c"}}}`:                      refs(ids.Container, "a"),
		`{"content":[{"type":"bash_code_execution_tool_result","content":{"type":"bash_code_execution_result","content":[{"type":"bash_code_execution_output","file_id":"a"}]}}]}`: refs(ids.File, "a"),
		`{"content":[{"content":{"content":[{"file_id":"a","type":"code_execution_output"}]}}],"container":{"id":"b"}}`:                                                            append(refs(ids.File, "a"), refs(ids.Container, "b")...),
		`{"content":[{"type":"tool_use","input":{"type":"code_execution_output","file_id":"a","container_id":"b"}}]}`:                                                              nil,
		`{"type":"response.created","response":{"instructions":[{"container_id":"a"}],"tools":[{"container":"b"}]}}`:                                                               nil,
		`{"output":[{"type":"file_search_call","results":[{"file_id":"a"}]},{"container_id":"b"}]}`:                                                                                refs(ids.Container, "b"),
		`{"choices":[{"message":{"audio":{"data":"x","id":"a"}}},{"delta":{"audio":{"id":"b","x":{"id":"c"}}}},{"audio":"d"}]}`:                                                    refs(ids.Audio, "a", "b"),
		`{"text":"a container_id"}`: nil,
		`{"file_id":"a"}`:           nil,
	} {
		assert.Equal(t, want, ids.Made([]byte(data)), data)
	}
}

// TestPieces: an answer that is cut off at any byte tells the ids before the cut, and
// never a part of one.
func TestPieces(t *testing.T) {
	for _, row := range []struct {
		whole string
		find  func([]byte) []ids.Ref
	}{
		{`{"object":"batch","id":"batch_abc","output_file_id":"file-\u0061bc","x":[{"id":"y"}]}`, func(b []byte) []ids.Ref { return ids.InAnswer(ids.Batch, b) }},
		{`{"type":"response.created","response":{"object":"response","id":"resp_abc","x":1}}`, func(b []byte) []ids.Ref {
			if ref, ok := ids.InEvent(ids.Response, b); ok {
				return []ids.Ref{ref}
			}
			return nil
		}},
		{`{"output":[{"container_id":"cntr_a"},{"container_id":"cntr_ab"}]}`, ids.Made},
		{`{"previous_response_id":"resp_a","input":[{"file_id":"file-ab"},{"file_ids":["file-abc","file-b"]}]}`, func(b []byte) []ids.Ref { return slices.Collect(ids.InRequest(b)) }},
	} {
		all := row.find([]byte(row.whole))
		assert.NotEmpty(t, all)
		most := 0
		for end := range row.whole {
			found := row.find([]byte(row.whole[:end]))
			assert.LessOrEqual(t, len(found), len(all))
			assert.Equal(t, all[:len(found)], append([]ids.Ref{}, found...), row.whole[:end])
			assert.GreaterOrEqual(t, len(found), most, "an id is found once it is whole")
			most = len(found)
		}
		assert.Len(t, all, most, "it is found before the end")
	}
}

// FuzzIDs looks for ids in any bytes. Ids of answers may stand in a path, and ids of
// valid requests are texts of the body.
func FuzzIDs(f *testing.F) {
	for _, seed := range []string{
		`{"previous_response_id":"a","input":[{"file_id":"b"}]}`, `{"conversation":{"id":"a"}}`, `{"id":"a","output_file_id":"b"}`,
		`{"response":{"id":"a"}}`, `{"output":[{"container_id":"a"}]}`, `{"container":{"container":{"id":"a"}}}`, `{"file\u005fid":"\ud800"}`,
		`{"file_id":"a`, `{"input":[{"id":"a"},{"type":"item_reference","id":"b"}]}`, `{"data":[{"id":"a"}],"item":{"id":"b"}}`,
		`{"audio":{"id":"a"}}`, "input_reference[file_id]", `[[[[`, "{\"container\":{\"id\":\"\x89\"}}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		texts := texts(body)
		for ref := range ids.InRequest(body) {
			if ref.Kind == ids.None || ref.ID == "" || json.Valid(body) && !texts[ref.ID] {
				t.Fatalf("%q has %v", body, ref)
			}
		}
		found := append(ids.InAnswer(ids.Batch, body), append(ids.Made(body), ids.Items(body)...)...)
		if ref, ok := ids.InEvent(ids.Response, body); ok {
			found = append(found, ref)
		}
		for _, ref := range found {
			if ref.Kind == ids.None || !ids.Valid(ref.ID) {
				t.Fatalf("%q tells %v", body, ref)
			}
		}
		for ref := range ids.InForm(body, body, false) {
			if ref.Kind == ids.None || ref.ID == "" || len(ref.ID) > 3*len(body) {
				t.Fatalf("%q holds %v", body, ref)
			}
		}
		ids.Mentions(body)
	})
}

// texts are all texts of a document, names and repeated fields included.
func texts(body []byte) map[string]bool {
	all := map[string]bool{}
	d := json.NewDecoder(bytes.NewReader(body))
	for {
		token, err := d.Token()
		if err != nil {
			return all
		}
		if text, ok := token.(string); ok {
			all[text] = true
		}
	}
}
