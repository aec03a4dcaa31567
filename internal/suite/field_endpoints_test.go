package suite_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// endpoint is a gateway in front of one provider with an answer for everything.
type endpoint struct {
	gateway *aigateway.Gateway
	sent    []string // method, path, and body of each request
	result  *aigateway.Result
	answer  http.HandlerFunc
}

// openEndpoint opens a gateway of bothFormats. More of a config may follow.
func openEndpoint(t *testing.T, more string, answer http.HandlerFunc) *endpoint {
	t.Helper()
	cfg, err := aigateway.ParseConfig([]byte(bothFormats + more))
	require.NoError(t, err)
	e := &endpoint{answer: answer}
	cfg.Transport = gatewaytest.TransportFunc(func(r *http.Request) (*http.Response, error) {
		body := []byte(nil)
		if r.Body != nil {
			body, _ = io.ReadAll(r.Body)
		}
		e.sent = append(e.sent, r.Method+" "+r.URL.RequestURI()+" "+string(body))
		w := httptest.NewRecorder()
		e.answer(w, r)
		return w.Result(), nil
	})
	cfg.Hooks = testbed.KeepResult(&e.result)
	e.gateway, err = aigateway.New(cfg)
	require.NoError(t, err)
	return e
}

// send sends a request. A body beginning with dashes is a form, and any other is JSON.
func (e *endpoint) send(method, path, body string, header ...string) *httptest.ResponseRecorder {
	e.sent, e.result = nil, nil
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	switch {
	case strings.HasPrefix(body, "--B"):
		r.Header.Set("Content-Type", "multipart/form-data; boundary=B")
	case body != "":
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	e.gateway.ServeHTTP(w, r)
	return w
}

// formOf is a form of names and values in turn.
func formOf(fields ...string) string {
	var b strings.Builder
	for i := 0; i+1 < len(fields); i += 2 {
		fmt.Fprintf(&b, "--B\r\nContent-Disposition: form-data; name=%q\r\n\r\n%s\r\n", fields[i], fields[i+1])
	}
	return b.String() + "--B--\r\n"
}

// TestFieldSlashes: slashes in a row, as a base URL with a slash at its end makes them, count
// as one (traefik#7032). A path without its id is not another endpoint's.
func TestFieldSlashes(t *testing.T) {
	e := openEndpoint(t, "", gatewaytest.JSON(200, `{"id":"x","choices":[{"message":{"role":"assistant","content":"hi"}}]}`))
	const chat = `{"model":"m","messages":[]}`
	for _, tt := range []struct{ method, path, body, want string }{
		{"POST", "//v1//chat//completions", chat, "POST /v1/chat/completions "},
		{"POST", "/v1///chat/completions//", chat, "POST /v1/chat/completions "},
		{"GET", "/v1//files//file-1///content", "", "GET /v1/files/file-1/content "},
		{"GET", "/v1/messages//batches/msgbatch_1", "", "GET /v1/messages/batches/msgbatch_1 "},
		{"POST", "/v1/messages//batches", `{"requests":[{"custom_id":"a","params":` + chat + `}]}`, "POST /v1/messages/batches "},
		{"DELETE", "/v1/vector_stores/vs_1//files/file-1", "", "DELETE /v1/vector_stores/vs_1/files/file-1 "},
		// The file itself must stay.
		{"DELETE", "/v1/vector_stores//files/file-1", "", ""},
		{"DELETE", "/v1/vector_stores/files/file-1", "", ""},
		{"GET", "/v1/vector_stores//files/file-1/content", "", ""},
		{"POST", "/v1/containers//files", formOf("file_id", "file-1"), ""},
		{"GET", "/v1/containers//files/cfile_1/content", "", ""},
		{"POST", "/v1/responses//cancel", "", ""},
		{"GET", "/v1/files//content", "", ""},
		{"GET", "/v1/files/content", "", ""},
		{"DELETE", "/v1/conversations//items", "", ""},
	} {
		w := e.send(tt.method, tt.path, tt.body)
		if tt.want == "" {
			assert.Contains(t, []int{404, 405}, w.Code, "%s %s: %s", tt.method, tt.path, w.Body)
			assert.Empty(t, e.sent, tt.path)
			continue
		}
		assert.Equal(t, 200, w.Code, "%s: %s", tt.path, w.Body)
		if assert.Len(t, e.sent, 1) {
			assert.Equal(t, tt.want, e.sent[0][:min(len(tt.want), len(e.sent[0]))])
		}
	}
}

// TestFieldEncodedSlashes: a slash hidden by encoding is no way past the
// check of an id (suna#5710, litellm#26860). The provider would take the path for another
// one, with the operator's key.
func TestFieldEncodedSlashes(t *testing.T) {
	e := openEndpoint(t, "", gatewaytest.JSON(200, `{"id":"x"}`))
	for _, path := range []string{
		"/v1/files%2F..", "/v1/files%2f../content", "/v1%2Ffiles%2F..%2Fcontent", "/v1/files%2Fa%3Fb", "/v1/responses%2Fa%23b/input_items",
		"/v1/responses%2F%2e%2e/input_items", "/v1/vector_stores%2Fvs_1/files", "/v1/messages%2Fbatches%2F..%2Fresults", "/v1/files%2Ffile-1",
		"/v1/files/file-1%2Fcontent", "/v1/files/%2Ffile-1", "/v1/files/%2F%2F..%2Fcontent",
	} {
		for _, method := range []string{"GET", "DELETE"} {
			w := e.send(method, path, "")
			assert.Equal(t, 400, w.Code, "%s %s: %s", method, path, w.Body)
			assert.Contains(t, w.Body.String(), "invalid_id", path)
			assert.Empty(t, e.sent, path)
		}
	}
}

// TestFieldStreamWords: servers in Python take more words than true for true in a form and in
// a query (mstar#169). The stream is no surprise then.
func TestFieldStreamWords(t *testing.T) {
	e := openEndpoint(t, "", nil)
	data := func(events ...string) http.HandlerFunc { return gatewaytest.Stream(fieldData(events...)) }
	heard := data(`{"type":"transcript.text.delta","delta":"hi"}`, `{"type":"transcript.text.done","text":"hi"}`)
	drawn := data(`{"type":"image_edit.completed","b64_json":"AAAA"}`)
	told := data(`{"type":"response.completed","response":{"id":"resp_1","status":"completed"}}`)
	spoken := data(`{"type":"speech.audio.delta","audio":"AAAA"}`, `{"type":"speech.audio.done"}`)
	for _, word := range []string{"true", "True", "1", "on", "YES"} {
		for path, answer := range map[string]http.HandlerFunc{"/v1/audio/transcriptions": heard, "/v1/images/edits": drawn} {
			e.answer = answer
			w := e.send("POST", path, formOf("model", "m", "stream", word, "file", "x"))
			assert.Equal(t, 200, w.Code, "%s %s: %s", path, word, w.Body)
			require.NotNil(t, e.result)
			assert.True(t, e.result.Client.Stream)
		}
		e.answer = told
		assert.Equal(t, 200, e.send("GET", "/v1/responses/resp_1?stream="+word+"&starting_after=4", "").Code, word)
		e.answer = spoken
		assert.Equal(t, 200, e.send("POST", "/v1/audio/speech", `{"model":"m","input":"hi","stream":"`+word+`"}`).Code, word)
	}
	assert.Equal(t, 200, e.send("POST", "/v1/audio/speech", `{"model":"m","input":"hi","stream_format":"SSE"}`).Code)
	for _, word := range []string{"false", "0", "off", "", "maybe"} {
		e.answer = heard
		assert.Equal(t, 503, e.send("POST", "/v1/audio/transcriptions", formOf("model", "m", "stream", word, "file", "x")).Code, word)
	}
}

// TestFieldEmptyBodies: where there is nothing to say, clients in PHP write an empty list and
// those in Rust null (openai-php/client#433, zotero-rag#265). An endpoint that needs no body
// takes both, and the provider gets what came.
func TestFieldEmptyBodies(t *testing.T) {
	e := openEndpoint(t, "", gatewaytest.JSON(200, `{"id":"x"}`))
	for _, path := range []string{
		"/v1/responses/resp_1/cancel", "/v1/batches/batch_1/cancel", "/v1/uploads/upload_1/cancel", "/v1/conversations", "/v1/vector_stores",
		"/v1/vector_stores/vs_1/file_batches/vsfb_1/cancel", "/v1/messages/batches/msgbatch_1/cancel",
	} {
		for _, body := range []string{"", "{}", "[]", "null", " [ ] \n", "null\n"} {
			w := e.send("POST", path, body)
			assert.Equal(t, 200, w.Code, "%s %q: %s", path, body, w.Body)
			assert.Equal(t, []string{"POST " + path + " " + body}, e.sent)
		}
		for _, body := range []string{"[1]", "[", "nul", "1", `""`, "[]]", "[],"} {
			assert.Equal(t, 400, e.send("POST", path, body).Code, "%s %q", path, body)
			assert.Empty(t, e.sent)
		}
	}
	for _, path := range []string{"/v1/responses", "/v1/videos", "/v1/messages/batches", "/v1/images/generations"} {
		assert.Equal(t, 400, e.send("POST", path, "[]").Code, path)
	}
}

// TestFieldResultsURL: Anthropic's SDKs fetch the results of a batch from the results_url of
// its answer, with their own key (stdapi.ai#161). That of the provider would give
// the client's key away, and would not be of use. Joined to the client's base URL, a relative
// one leads back here.
func TestFieldResultsURL(t *testing.T) {
	const home = "/v1/messages/batches/msgbatch_1/results"
	record := func(url string) string {
		return `{ "id":"msgbatch_1","type":"message_batch", "results_url": ` + url + `,"request_counts":{"succeeded":1}}`
	}
	e := openEndpoint(t, "", nil)
	for _, tt := range []struct{ name, from, to string }{
		{"of the provider", `"https://api.anthropic.com` + home + `"`, `"` + home + `"`},
		{"of another gateway", `"https://gateway.internal:8443/anthropic` + home + `"`, `"` + home + `"`},
		{"with another version", `"https://host/api/v2/messages/batches/msgbatch_1/results"`, `"` + home + `"`},
		{"not yet", `null`, `null`},
		{"relative", `"` + home + `"`, `"` + home + `"`},
		{"elsewhere", `"https://storage.example/results.jsonl?sig=x"`, `"https://storage.example/results.jsonl?sig=x"`},
		{"not a text", `{"data":[1]}`, `{"data":[1]}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e.answer = func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Etag", `"of these bytes"`)
				gatewaytest.JSON(200, record(tt.from))(w, r)
			}
			for _, request := range []string{"GET /v1/messages/batches/msgbatch_1", "POST /v1/messages/batches/msgbatch_1/cancel"} {
				method, path, _ := strings.Cut(request, " ")
				w := e.send(method, path, "")
				assert.Equal(t, record(tt.to), w.Body.String())
				assert.Equal(t, fmt.Sprint(len(record(tt.to))), w.Header().Get("Content-Length"))
				assert.Equal(t, tt.from == tt.to, w.Header().Get("Etag") != "")
			}
		})
	}
	t.Run("in a list", func(t *testing.T) {
		list := func(urls ...any) string {
			return fmt.Sprintf(`{"data":[{"id":"a","results_url":%s},{"x":[{"results_url":"https://h/v1/messages/batches/x/results"}],"results_url":%s},7],"has_more":false}`, urls...)
		}
		e := openEndpoint(t, "caller: \"'ann'\"\n", gatewaytest.JSON(200, list(`"https://h/v1/messages/batches/a/results"`, `"https://h/v1/messages/batches/b/results"`)))
		assert.Equal(t, 404, e.send("GET", "/v1/messages/batches", "").Code, "the list belongs to a key of all callers")
		cfg := strings.Replace(bothFormats, "base_url", "shared_lists: true\n    base_url", 1)
		e.gateway = openShared(t, cfg, e.answer)
		w := e.send("GET", "/v1/messages/batches", "")
		assert.Equal(t, list(`"/v1/messages/batches/a/results"`, `"/v1/messages/batches/b/results"`), w.Body.String())
	})
	t.Run("results are not touched", func(t *testing.T) {
		line := `{"custom_id":"a","results_url":"https://h/v1/messages/batches/a/results"}` + "\n"
		e.answer = gatewaytest.Content("application/x-jsonl", line)
		assert.Equal(t, line, e.send("GET", home, "").Body.String())
		assert.Equal(t, []string{"GET " + home + " "}, e.sent)
	})
}

// openShared is a gateway of a config in front of one answer.
func openShared(t *testing.T, config string, answer http.HandlerFunc) *aigateway.Gateway {
	t.Helper()
	cfg, err := aigateway.ParseConfig([]byte(config))
	require.NoError(t, err)
	cfg.Transport = gatewaytest.TransportFunc(func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		answer(w, r)
		return w.Result(), nil
	})
	g, err := aigateway.New(cfg)
	require.NoError(t, err)
	return g
}

// TestFieldStoredStreams: a failed or canceled response is streamed again as it was
// (litellm#26762, openai-python#2828). Its failure is no fault of the provider now, and takes
// neither the provider nor its key out of service.
func TestFieldStoredStreams(t *testing.T) {
	e := openEndpoint(t, "", nil)
	event := func(kind, rest string) string {
		return "event: " + kind + "\ndata: {\"type\":\"" + kind + "\",\"response\":{\"id\":\"resp_1\"" + rest + "}}\n\n"
	}
	delta := "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"hi\"}\n\n"
	for name, events := range map[string]string{
		"failed":            event("response.failed", `,"status":"failed","error":{"code":"server_error","message":"boom"}`),
		"failed behind it":  delta + event("response.failed", `,"status":"failed","error":{"code":"rate_limit_exceeded","message":"boom"}`),
		"cancelled":         event("response.cancelled", `,"status":"cancelled"`),
		"cancelled, late":   event("response.queued", "") + delta + event("response.cancelled", `,"status":"cancelled"`),
		"incomplete":        event("response.incomplete", `,"status":"incomplete"`),
		"completed":         event("response.completed", `,"status":"completed"`),
		"a type at the end": `data: {"response":{"id":"resp_1"},"type":"response.cancelled"}` + "\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			for range 12 {
				e.answer = gatewaytest.Stream(events)
				w := e.send("GET", "/v1/responses/resp_1?stream=true&starting_after=3", "")
				assert.Equal(t, 200, w.Code, w.Body)
				assert.Equal(t, events, w.Body.String())
				require.NotNil(t, e.result)
				assert.Nil(t, e.result.Error)
			}
		})
	}
	// A server breaking off, or failing to read the response, is at fault.
	for name, events := range map[string]string{
		"broken off": event("response.in_progress", ""),
		"an error":   "event: error\ndata: {\"type\":\"error\",\"error\":{\"message\":\"boom\"}}\n\n",
	} {
		e.answer = gatewaytest.Stream(events)
		assert.GreaterOrEqual(t, e.send("GET", "/v1/responses/resp_1?stream=true", "").Code, 500, name)
	}
}

// TestFieldLargeEventsUsage: an event with an image may be larger than what is kept of one.
// Its usage is counted all the same, and a last event is an end (auto_ai_router#190, term-llm#347).
func TestFieldLargeEventsUsage(t *testing.T) {
	image := strings.Repeat("iVBORw0KGgo", 500_000)
	const told = `"usage":{"input_tokens":7,"output_tokens":9,"total_tokens":16}`
	drawn := `{"type":"image_generation.completed","b64_json":"` + image + `",` + told + `}`
	made := `{"type":"response.completed","response":{"id":"resp_1","status":"completed","output":[{"type":"image_generation_call","result":"` + image + `"},` +
		`{"type":"message","content":[{"type":"output_text","text":"\"usage\":{\"input_tokens\":1}"}]}],` + told +
		`,"user":null,"metadata":{"a":"\"usage\":{\"input_tokens\":1000}","b":"` + strings.Repeat("m", 9_000) + `"}}}`
	e := openEndpoint(t, "", nil)
	for _, tt := range []struct{ name, path, data string }{
		{"an image", "/v1/images/generations", drawn},
		{"an image in a response", "/v1/responses", made},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, events := range []string{fieldData(tt.data), strings.ReplaceAll(fieldData(tt.data), "\n", "\r\n")} {
				e.answer = gatewaytest.Stream(events)
				w := e.send("POST", tt.path, `{"model":"m","input":"x","prompt":"x","stream":true}`)
				require.Equal(t, 200, w.Code)
				assert.True(t, events == w.Body.String(), "the stream is as it was")
				require.NotNil(t, e.result)
				require.NotNil(t, e.result.Usage)
				assert.EqualValues(t, 7, e.result.Usage.InputTokens)
				assert.EqualValues(t, 9, e.result.Usage.OutputTokens)
				assert.False(t, e.result.Usage.Estimated)
			}
		})
	}
}

// TestFieldIDsInForms: an id of another caller is found in a form in whatever way a server may
// read it (litellm#35530): under a bracketed, an encoded or a padded name, and in JSON.
func TestFieldIDsInForms(t *testing.T) {
	e := openEndpoint(t, "caller: req.headers['x-tenant'][0]\n", gatewaytest.JSON(200, `{"id":"file-1"}`))
	require.Equal(t, 200, e.send("POST", "/v1/files", formOf("purpose", "vision", "file", "x"), "X-Tenant", "ann").Code)
	for _, part := range [][2]string{
		{"file_id", "file-1"}, {"FILE_ID", " file-1 "}, {"file_id", "file-1" + strings.Repeat(" ", 600)}, {"input_reference[file_id]", "file-1"},
		{"input_reference.file_id", "file-1"}, {"image[0][file_id]", "file-1"}, {"file%5Fid", "file-1"}, {"input_reference%5Bfile_id%5D", "file-1"},
		{"input_reference", `{"file_id":"file-1"}`}, {"images", `[{"file_id":"file-1"}]`}, {"file_ids", `["file-1"]`}, {"extra", `{"a":{"FILE\u005fID":"file-1"}}`},
	} {
		form := formOf("model", "m", "prompt", "x", part[0], part[1])
		for _, path := range []string{"/v1/images/edits", "/v1/videos"} {
			w := e.send("POST", path, form, "X-Tenant", "bob")
			assert.Equal(t, 404, w.Code, "%s %q: %s", path, part, w.Body)
			assert.Empty(t, e.sent)
			e.send("POST", path, form, "X-Tenant", "ann")
			assert.Len(t, e.sent, 1, "%s %q: it is ann's", path, part)
		}
	}
	// The content of a file is a file's, and text is text.
	file := strings.Replace(formOf("model", "m", "image", `{"file_id":"file-1"}`, "prompt", "the file_id is file-1"), `name="image"`, `name="image"; filename="a.json"`, 1)
	e.send("POST", "/v1/images/edits", file, "X-Tenant", "bob")
	assert.Len(t, e.sent, 1)
}

// TestFieldVideosOfVideos: an edited or longer video is made where the first one
// is, and is the caller's (sub2api#4118, openclaw#85554). One in the request itself goes to
// the named provider or the only one.
func TestFieldVideosOfVideos(t *testing.T) {
	e := openEndpoint(t, "caller: req.headers['x-tenant'][0]\n", gatewaytest.JSON(200, `{"id":"video_1","status":"queued"}`))
	require.Equal(t, 200, e.send("POST", "/v1/videos", `{"model":"m","prompt":"a cat"}`, "X-Tenant", "ann").Code)
	e.answer = gatewaytest.JSON(200, `{"id":"video_2","status":"queued"}`)
	for _, path := range []string{"/v1/videos/edits", "/v1/videos/extensions"} {
		for _, body := range []string{`{"prompt":"x","video":{"id":"video_1"}}`, formOf("prompt", "x", "video[id]", "video_1"), formOf("prompt", "x", "video", `{"id":"video_1"}`)} {
			assert.Equal(t, 404, e.send("POST", path, body, "X-Tenant", "bob").Code, "%s %s", path, body)
			assert.Empty(t, e.sent)
			w := e.send("POST", path, body, "X-Tenant", "ann")
			assert.Equal(t, 200, w.Code, w.Body)
			assert.Equal(t, []string{"POST " + path + " " + body}, e.sent)
		}
		held := strings.Replace(formOf("prompt", "x", "video", "bytes"), `name="video"`, `name="video"; filename="a.mp4"`, 1)
		assert.Equal(t, 200, e.send("POST", path, held, "X-Tenant", "bob").Code)
	}
	assert.Equal(t, 405, e.send("GET", "/v1/videos/edits", "", "X-Tenant", "ann").Code)
	assert.Equal(t, 200, e.send("GET", "/v1/videos/video_2/content", "", "X-Tenant", "ann").Code)
	assert.Equal(t, 404, e.send("GET", "/v1/videos/video_2/content", "", "X-Tenant", "carl").Code)
	// A chat's video is not one of these.
	e.answer = gatewaytest.Chat("hi")
	chat := `{"model":"m","messages":[{"role":"user","content":[{"type":"video","video":["https://a/1.png"]},{"type":"video_url","video_url":{"url":"x"}}]}]}`
	assert.Equal(t, 200, e.send("POST", "/v1/chat/completions", chat, "X-Tenant", "ann").Code)
}

// TestFieldSilence: the transcript of silence is empty where plain text was asked for
// (pollinations#10520). Elsewhere an empty answer is none.
func TestFieldSilence(t *testing.T) {
	e := openEndpoint(t, "", nil)
	for _, tt := range []struct {
		format, kind, answer string
		status               int
	}{
		{"text", "text/plain; charset=utf-8", "", 200},
		{"srt", "text/plain", "", 200},
		{"vtt", "text/vtt", "", 200},
		{"text", "text/plain", "\n", 200},
		{"text", "text/plain", "true", 200}, // lemonade#2088: what was said may be JSON
		{"text", "text/plain", "{laughs}", 200},
		{"text", "text/html", "", 503},
		{"text", "application/json", "", 503},
		{"json", "text/plain", "", 503},
		{"", "text/plain", "", 503},
	} {
		e.answer = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", tt.kind)
			w.Header().Set("Content-Length", fmt.Sprint(len(tt.answer)))
			io.WriteString(w, tt.answer)
		}
		w := e.send("POST", "/v1/audio/transcriptions", formOf("model", "m", "response_format", tt.format, "file", "x"))
		assert.Equal(t, tt.status, w.Code, "%+v: %s", tt, w.Body)
		if tt.status == 200 {
			assert.Equal(t, tt.answer, w.Body.String())
		}
	}
}
