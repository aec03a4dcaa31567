package aigateway

import (
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/aigateway-go/aigateway/internal/dialect"
	"github.com/aigateway-go/aigateway/internal/relay"
	"github.com/aigateway-go/aigateway/internal/stats"
)

// format is the family of APIs of a request and its answer.
type format string

const (
	formatOpenAI    format = "openai"
	formatAnthropic format = "anthropic"
)

// answerKind is the form of an answer without a stream.
type answerKind uint8

const (
	answerJSON   answerKind = iota // JSON, held until it is whole
	answerText                     // JSON or plain text, held too
	answerBinary                   // bytes such as audio, committed as they come
)

// surface is one endpoint of an API, with everything in which it differs from the
// others.
//
// Two things do not differ. Servers mix the formats' names for usage, so
// internal/usage reads all of them on every surface. An error has the shape of the
// format; only the name of an error event differs, see errorEvent.
type surface struct {
	// path is the end of the URL's path, below the mount and /v1. A last segment
	// "*" stands for any one word.
	path string
	// name is the path with hyphens for slashes.
	name   string
	format format
	answer answerKind
	// number is the place in the table.
	number stats.Surface
	// methods are the methods that the surface is called by. Empty means POST.
	methods []string
	// form is set if the request may be multipart/form-data.
	form bool
	// judge says which form a whole answer must have.
	judge relay.Surface
	// stream recognizes the events of a streamed answer and its end. Nil if the API
	// does not stream.
	stream relay.Dialect
	// metered is set if all that the surface consumes is tokens of text: then they
	// can be estimated.
	metered bool
	// usageOption is set if a stream has usage only where stream_options ask for it.
	usageOption bool
	// limits are the fields that cap the output. If the client set none of them,
	// the first is set.
	limits []string
	// modality is the output that a model needs to be chosen here without being
	// asked for. Empty if the catalog's words do not tell.
	modality string
}

// takes reports whether the surface is called by a method.
func (s *surface) takes(method string) bool {
	if len(s.methods) == 0 {
		return method == http.MethodPost
	}
	return slices.Contains(s.methods, method)
}

// allow is the value of the Allow header.
func (s *surface) allow() string {
	if len(s.methods) == 0 {
		return http.MethodPost
	}
	return strings.Join(s.methods, ", ")
}

// Names of surfaces that code outside the table uses.
const (
	surfaceChat      = "chat-completions"
	surfaceResponses = "responses"
)

// surfaceTable lists every surface. A new surface is one row here, and one row in
// the tests' table of its contents. The longest path that fits wins.
func surfaceTable() []surface {
	return []surface{
		{path: "chat/completions", metered: true, format: formatOpenAI, judge: relay.ChatSurface, stream: relay.Chat, usageOption: true,
			limits: []string{"max_tokens", "max_completion_tokens"}, modality: "text"},
		{path: "completions", metered: true, format: formatOpenAI, judge: relay.CompletionsSurface, stream: relay.Completions, usageOption: true,
			limits: []string{"max_tokens"}, modality: "text"},
		{path: "responses", metered: true, format: formatOpenAI, judge: relay.ResponsesSurface, stream: relay.Responses,
			limits: []string{"max_output_tokens"}, modality: "text"},
		{path: "responses/compact", metered: true, format: formatOpenAI, modality: "text"},
		{path: "embeddings", metered: true, format: formatOpenAI, judge: relay.EmbeddingsSurface, modality: "embedding"},
		{path: "moderations", format: formatOpenAI, judge: relay.ModerationsSurface},
		{path: "rerank", format: formatOpenAI, judge: relay.RerankSurface},
		{path: "images/generations", format: formatOpenAI, judge: relay.ImagesSurface, answer: answerBinary, stream: relay.Events, modality: "image"},
		{path: "images/edits", format: formatOpenAI, judge: relay.ImagesSurface, answer: answerBinary, form: true, stream: relay.Events, modality: "image"},
		{path: "images/variations", format: formatOpenAI, judge: relay.ImagesSurface, answer: answerBinary, form: true, modality: "image"},
		{path: "images/*", format: formatOpenAI, answer: answerBinary, form: true, stream: relay.Events},
		{path: "audio/speech", format: formatOpenAI, answer: answerBinary, stream: relay.Events, modality: "audio"},
		{path: "audio/transcriptions", format: formatOpenAI, judge: relay.TranscriptionSurface, answer: answerText, form: true, stream: relay.Events},
		{path: "audio/translations", format: formatOpenAI, judge: relay.TranscriptionSurface, answer: answerText, form: true, stream: relay.Events},
		{path: "audio/*", format: formatOpenAI, answer: answerText, form: true, stream: relay.Events},
		{path: "messages", metered: true, format: formatAnthropic, judge: relay.MessagesSurface, stream: relay.Messages,
			limits: []string{"max_tokens"}, modality: "text"},
		{path: "messages/count_tokens", format: formatAnthropic, judge: relay.CountTokensSurface, modality: "text"},
	}
}

// surfaces finds the surface of a path. It is immutable.
type surfaces map[string]*surface

// newSurfaces makes the index of the table.
func newSurfaces() surfaces {
	table := surfaceTable()
	m := make(surfaces, len(table))
	for i := range table {
		s := &table[i]
		s.name, s.number = surfaceName(s.path), stats.Surface(i)
		m[s.path] = s
	}
	return m
}

// surfaceName is the name of the surface at a path, as in supported_api_surfaces
// and in the Result.
func surfaceName(path string) string {
	return strings.NewReplacer("/*", "", "/", "-", "_", "-").Replace(path)
}

// find returns the surface that a URL's path ends in, and the path to join to
// the provider's base URL. It returns nil for any other path.
func (m surfaces) find(path string) (s *surface, upstream string) {
	path = strings.TrimSuffix(path, "/")
	last := strings.LastIndexByte(path, '/')
	word := path[last+1:]
	if last >= 0 {
		prev := path[strings.LastIndexByte(path[:last], '/')+1:]
		if s := m[prev]; s != nil && word != "*" {
			return s, s.path
		}
		if s := m[prev[:len(prev)-len(word)]+"*"]; s != nil && isWord(word) {
			return s, prev
		}
	}
	if s := m[word]; s != nil && word != "*" {
		return s, s.path
	}
	return nil, ""
}

// modelInPath is the model in a path before the part of the surface:
// …/deployments/NAME/chat/completions, as Azure's clients ask, or …/engines/NAME/….
// Empty if the path has no such part.
func modelInPath(path, surface string) string {
	before, ok := strings.CutSuffix(strings.TrimSuffix(path, "/"), "/"+surface)
	if !ok {
		return ""
	}
	before, name := cutLast(before)
	if _, kind := cutLast(before); kind != "deployments" && kind != "engines" {
		return ""
	}
	return name
}

// cutLast parts a path at its last slash.
func cutLast(path string) (before, last string) {
	i := strings.LastIndexByte(path, '/')
	return path[:max(i, 0)], path[i+1:]
}

// isWord reports whether s may stand for "*" in a surface's path. It goes into the
// upstream's URL unescaped, so the alphabet is narrow.
func isWord(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	return s != ""
}

// modelsPath reports whether the path is the model list or one model, and returns
// the model's id; empty for the list. The id may hold slashes. A mount may have
// stripped the slash at the path's start.
func modelsPath(path string) (id string, ok bool) {
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	if strings.HasSuffix(path, "/models") || strings.HasSuffix(path, "/models/") {
		return "", true
	}
	for _, mark := range []string{"/v1/models/", "/models/"} {
		if _, id, ok := strings.Cut(path, mark); ok && id != "" {
			return id, true
		}
	}
	return "", false
}

// clientFormat is the format of the answer to a request outside the known surfaces.
func clientFormat(h http.Header) format {
	if h.Get("Anthropic-Version") != "" {
		return formatAnthropic
	}
	return formatOpenAI
}

// dialects are the formats that are translated into each other. Chat comes first.
var dialects = [...]dialect.Format{dialect.Chat, dialect.Responses, dialect.Messages}

// dialect is the format of a surface that can be translated.
func (s *surface) dialect() (dialect.Format, bool) {
	for _, f := range dialects {
		if s.path == f.Path() || s.path == f.CountPath() {
			return f, true
		}
	}
	return 0, false
}

// counts reports whether the surface counts tokens for another one.
func (s *surface) counts() bool {
	f, ok := s.dialect()
	return ok && s.path == f.CountPath()
}

// formatOf is the format of the client of a request on any path.
func formatOf(r *http.Request) format {
	if s, _ := knownSurfaces().find(r.URL.Path); s != nil {
		return s.format
	}
	return clientFormat(r.Header)
}

// knownSurfaces are the surfaces for those who have no settings.
var knownSurfaces = sync.OnceValue(newSurfaces)
