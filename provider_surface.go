package aigateway

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/aigateway-go/aigateway/internal/dialect"
	"github.com/aigateway-go/aigateway/internal/ids"
	"github.com/aigateway-go/aigateway/internal/relay"
	"github.com/aigateway-go/aigateway/internal/route"
	"github.com/aigateway-go/aigateway/internal/stats"
	"github.com/aigateway-go/aigateway/internal/translate"
)

//go:generate go test -run ^TestEndpointsDocument$ . -update

// format is the family of APIs of a request and its answer.
type format string

const (
	formatOpenAI    format = "openai"
	formatAnthropic format = "anthropic"
)

// answerKind is the form of an answer without a stream.
type answerKind uint8

const (
	answerJSON    answerKind = iota // JSON, held until it is whole
	answerText                      // JSON or plain text, held too
	answerBinary                    // bytes such as audio, committed as they come
	answerRecord                    // what a provider stores: JSON, or nothing at all
	answerContent                   // the bytes of a file, whatever their type, committed as they come
)

// modelSource says where a request names its model.
type modelSource uint8

const (
	modelInBody     modelSource = iota // the field model, of JSON or a form
	modelInRequests                    // each request in the body names its own
	modelNowhere                       // there is none: the provider is found by an id, or named
	modelInQuery                       // the query's parameter model
)

// stateRole says what a request has to do with things that a provider stores.
type stateRole uint8

const (
	stateNone   stateRole = iota
	stateMakes            // its answer tells the id of a new one
	stateLists            // by GET it lists those of the key, and by POST it makes one
	stateMember           // the path holds the id of one
)

// surface is one endpoint of an API, with everything in which it differs from the
// others.
//
// Two things do not differ. Servers mix the formats' names for usage, so
// internal/usage reads all of them on every surface. An error has the shape of the
// format; only the name of an error event differs, see errorEvent.
type surface struct {
	// path is the end of the URL's path, below the mount and /v1. A last segment
	// "*" stands for any one word, and "{id}" for an id.
	path string
	// name is the path with hyphens for slashes, without ids.
	name string
	// family is the name of the surfaces in supported_api_surfaces that this one goes
	// with. Empty means its own name.
	family string
	format format
	answer answerKind
	// number is the place in the table.
	number stats.Surface
	// methods are the methods that the surface is called by. Empty means POST.
	methods []string
	// form is set if the request may be multipart/form-data.
	form bool
	// model says where the model is.
	model modelSource
	// state and kind say which things the provider stores here.
	state stateRole
	kind  ids.Kind
	// tells is set if the answer tells ids beside that of the path.
	tells bool
	// root is set if the path hangs below the root of the base URL, without its /v1.
	root bool
	// upgrades is set if the endpoint is a WebSocket.
	upgrades bool
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

// offer is the name in supported_api_surfaces that covers the surface.
func (s *surface) offer() string { return given(s.family, s.name) }

// Names of surfaces that code outside the table uses.
const (
	surfaceChat      = "chat-completions"
	surfaceResponses = "responses"
	surfaceMessages  = "messages"
)

// surfaceTable lists every surface. A new surface is one row here, and one row in
// the tests' table of its contents. The longest path that fits wins.
func surfaceTable() []surface {
	table := []surface{
		{path: "chat/completions", metered: true, format: formatOpenAI, judge: relay.ChatSurface, stream: relay.Chat, usageOption: true,
			limits: []string{"max_tokens", "max_completion_tokens"}, modality: "text"},
		{path: "completions", metered: true, format: formatOpenAI, judge: relay.CompletionsSurface, stream: relay.Completions, usageOption: true,
			limits: []string{"max_tokens"}, modality: "text"},
		{path: "responses", metered: true, format: formatOpenAI, judge: relay.ResponsesSurface, stream: relay.Responses,
			limits: []string{"max_output_tokens"}, modality: "text", state: stateMakes, kind: ids.Response},
		{path: "responses/compact", metered: true, format: formatOpenAI, modality: "text"},
		{path: "responses/input_tokens", format: formatOpenAI, judge: relay.CountTokensSurface, modality: "text"},
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
		{path: "realtime", format: formatOpenAI, methods: []string{get}, model: modelInQuery, upgrades: true},
		{path: "tokenize", format: formatOpenAI, root: true},
		{path: "detokenize", format: formatOpenAI, root: true},
		{path: "score", format: formatOpenAI},
		{path: "pooling", format: formatOpenAI, root: true},
		{path: "classify", format: formatOpenAI, root: true},
	}
	return append(table, stateTable()...)
}

const (
	get  = http.MethodGet
	post = http.MethodPost
	del  = http.MethodDelete
)

// stateTable lists the surfaces of things that providers store. Surfaces with ids
// follow the first of their family.
func stateTable() []surface {
	record := func(kind ids.Kind, family, path string, methods ...string) surface {
		return surface{path: path, family: family, format: formatOpenAI, methods: methods, model: modelNowhere,
			state: stateMember, kind: kind, answer: answerRecord, judge: relay.RecordSurface}
	}
	content := func(kind ids.Kind, family, path string) surface {
		s := record(kind, family, path, get)
		s.answer = answerContent
		return s
	}
	list := func(kind ids.Kind, path string, methods ...string) surface {
		s := record(kind, "", path, methods...)
		s.state = stateLists
		return s
	}
	form := func(s surface) surface {
		s.form = true
		return s
	}
	telling := func(s surface) surface {
		s.tells = true
		return s
	}
	messages := func(s surface) surface {
		s.format = formatAnthropic
		return s
	}
	response := record(ids.Response, "responses", "responses/{id}", get, del)
	response.stream = relay.StoredResponse
	videos := form(list(ids.Video, "videos", get, post))
	videos.model = modelInBody
	// A video is made of another one, which the body names or holds.
	ofVideo := func(path string) surface {
		s := form(list(ids.Video, path, post))
		s.family = "videos"
		return s
	}
	messageBatches := messages(list(ids.MessageBatch, "messages/batches", get, post))
	messageBatches.model = modelInRequests
	return []surface{
		response,
		record(ids.Response, "responses", "responses/{id}/cancel", post),
		record(ids.Response, "responses", "responses/{id}/input_items", get),
		list(ids.Conversation, "conversations", post),
		record(ids.Conversation, "conversations", "conversations/{id}", get, post, del),
		record(ids.Conversation, "conversations", "conversations/{id}/items", get, post),
		record(ids.Conversation, "conversations", "conversations/{id}/items/{item}", get, del),
		form(list(ids.File, "files", get, post)),
		record(ids.File, "files", "files/{id}", get, del),
		content(ids.File, "files", "files/{id}/content"),
		list(ids.Upload, "uploads", post),
		form(record(ids.Upload, "uploads", "uploads/{id}/parts", post)),
		telling(record(ids.Upload, "uploads", "uploads/{id}/complete", post)),
		record(ids.Upload, "uploads", "uploads/{id}/cancel", post),
		list(ids.Batch, "batches", get, post),
		telling(record(ids.Batch, "batches", "batches/{id}", get)),
		telling(record(ids.Batch, "batches", "batches/{id}/cancel", post)),
		videos,
		record(ids.Video, "videos", "videos/{id}", get, del),
		content(ids.Video, "videos", "videos/{id}/content"),
		telling(form(record(ids.Video, "videos", "videos/{id}/remix", post))),
		ofVideo("videos/edits"),
		ofVideo("videos/extensions"),
		list(ids.VectorStore, "vector_stores", get, post),
		record(ids.VectorStore, "vector-stores", "vector_stores/{id}", get, post, del),
		record(ids.VectorStore, "vector-stores", "vector_stores/{id}/search", post),
		record(ids.VectorStore, "vector-stores", "vector_stores/{id}/files", get, post),
		record(ids.VectorStore, "vector-stores", "vector_stores/{id}/files/{item}", get, post, del),
		record(ids.VectorStore, "vector-stores", "vector_stores/{id}/files/{item}/content", get),
		record(ids.VectorStore, "vector-stores", "vector_stores/{id}/file_batches", post),
		record(ids.VectorStore, "vector-stores", "vector_stores/{id}/file_batches/{item}", get),
		record(ids.VectorStore, "vector-stores", "vector_stores/{id}/file_batches/{item}/cancel", post),
		record(ids.VectorStore, "vector-stores", "vector_stores/{id}/file_batches/{item}/files", get),
		list(ids.Container, "containers", get, post),
		record(ids.Container, "containers", "containers/{id}", get, del),
		form(record(ids.Container, "containers", "containers/{id}/files", get, post)),
		record(ids.Container, "containers", "containers/{id}/files/{item}", get, del),
		content(ids.Container, "containers", "containers/{id}/files/{item}/content"),
		messages(form(list(ids.File, "files", get, post))),
		messages(record(ids.File, "files", "files/{id}", get, del)),
		messages(content(ids.File, "files", "files/{id}/content")),
		messageBatches,
		messages(record(ids.MessageBatch, "messages-batches", "messages/batches/{id}", get, del)),
		messages(record(ids.MessageBatch, "messages-batches", "messages/batches/{id}/cancel", post)),
		messages(content(ids.MessageBatch, "messages-batches", "messages/batches/{id}/results")),
	}
}

// surfaces finds the surface of a path. It is immutable.
type surfaces struct {
	byPath map[string]*surface
	paths  *route.Paths
	// twins are the surfaces of the anthropic format at the paths of others. A request
	// with an Anthropic-Version means them.
	twins map[*surface]*surface
}

// newSurfaces makes the index of the table.
func newSurfaces() surfaces {
	table := surfaceTable()
	m := surfaces{byPath: make(map[string]*surface, len(table)), twins: map[*surface]*surface{}}
	families := map[string]stats.Surface{}
	paths := make([]string, len(table))
	for i := range table {
		s := &table[i]
		s.name, paths[i] = surfaceName(s.path), s.path
		if _, ok := families[s.offer()]; !ok {
			families[s.offer()] = stats.Surface(len(families))
		}
		s.number = families[s.offer()]
		if first := m.byPath[s.path]; first != nil {
			m.twins[first] = s
			continue
		}
		m.byPath[s.path] = s
	}
	m.paths = route.New(paths)
	return m
}

// surfaceName is the name of the surface at a path, as in supported_api_surfaces
// and in the Result.
func surfaceName(path string) string {
	return strings.NewReplacer("/*", "", "/{id}", "", "/{item}", "", "/", "-", "_", "-").Replace(path)
}

// of returns the surface of a request, like find.
func (m surfaces) of(r *http.Request) (s *surface, upstream string) {
	s, upstream = m.find(r.URL.Path)
	if twin := m.twins[s]; twin != nil && clientFormat(r.Header) == formatAnthropic {
		s = twin
	}
	return s, upstream
}

// find returns the surface that a URL's path ends in, and the path to join to
// the provider's base URL. It returns nil for any other path.
func (m surfaces) find(path string) (s *surface, upstream string) {
	pattern, upstream := m.paths.Find(path)
	return m.byPath[pattern], upstream
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
	if s, _ := knownSurfaces().of(r); s != nil {
		return s.format
	}
	return clientFormat(r.Header)
}

// knownSurfaces are the surfaces for those who have no settings.
var knownSurfaces = sync.OnceValue(newSurfaces)

// codec carries a request and its answer between the client's surface and the
// upstream's. It belongs to one candidate. Nil is the null codec: the bytes pass as
// they are.
//
// Config stands on the upstream's side of it: body fields, the cap of the output
// and lists of parameters act on the translated request.
type codec struct {
	translate.Codec
	client, surface *surface // surface is the upstream's
}

// newCodec makes the codec between two surfaces. Their formats differ, unless the
// client's counts tokens.
func newCodec(client, upstream *surface) *codec {
	from, _ := client.dialect()
	to, _ := upstream.dialect()
	return &codec{
		translate.New(translate.Side{Name: client.name, Format: from}, translate.Side{Name: upstream.name, Format: to}, client.counts()), client, upstream,
	}
}

// names lists the names of a format's surfaces.
func (m surfaces) names(f format) []string {
	var names []string
	for _, path := range slices.Sorted(maps.Keys(m.byPath)) {
		for _, s := range []*surface{m.byPath[path], m.twins[m.byPath[path]]} {
			if s != nil && s.format == f && !slices.Contains(names, s.offer()) {
				names = append(names, s.offer())
			}
		}
	}
	return names
}

// apiSurface is an APISurface, compiled.
type apiSurface struct {
	format format
	name   string // empty: all of the format
	params map[string]bool
}

// offers are the supported_api_surfaces of a provider, compiled.
type offers []apiSurface

// speaks returns the entry for a surface. An entry for the surface comes
// before an entry for the whole format.
func (o offers) speaks(s *surface) (*apiSurface, bool) {
	var found *apiSurface
	for i := range o {
		a := &o[i]
		if a.format != s.format {
			continue
		}
		if a.name == s.offer() {
			return a, true
		}
		if a.name == "" && found == nil {
			found = a
		}
	}
	return found, found != nil
}

// speaksFormat reports whether there is any surface of the format.
func (o offers) speaksFormat(f format) bool {
	return slices.ContainsFunc(o, func(a apiSurface) bool { return a.format == f })
}

// translations returns, for each surface that a provider does not speak, the one that
// takes its requests. It is empty if the provider has no surface to translate to.
//
// A surface that counts tokens may have one of its own format: a provider may speak
// messages, and not count them. Such a count is estimated, like all others in the map.
//
// OpenAI's own API is asked by responses where it may be asked by both: its models from
// gpt-5.4 on refuse tools in chat unless they are told not to reason.
func translations(o offers, all surfaces, openAI bool) map[*surface]*surface {
	targets := translationTargets(o, all)
	if chat := slices.IndexFunc(targets, func(s *surface) bool { return s.name == surfaceChat }); openAI && chat >= 0 {
		entry, _ := o.speaks(targets[chat])
		if next := chat + 1; entry.name == "" && next < len(targets) && targets[next].name == surfaceResponses {
			targets[chat], targets[next] = targets[next], targets[chat]
		}
	}
	out := map[*surface]*surface{}
	for _, s := range all.byPath {
		from, ok := s.dialect()
		if _, native := o.speaks(s); !ok || native || len(targets) == 0 {
			continue
		}
		out[s] = targets[max(0, slices.IndexFunc(targets, func(to *surface) bool {
			f, _ := to.dialect()
			return f == from
		}))]
	}
	return out
}

// unproven returns, for each surface that a provider may not speak after all, the one
// that takes its requests then. An entry for a whole format says little about one of its
// surfaces: many servers of the openai format have no responses, and many of the
// anthropic format count no tokens. All servers of the openai format have chat.
func unproven(o offers, all surfaces) map[*surface]*surface {
	targets := translationTargets(o, all)
	out := map[*surface]*surface{}
	for _, s := range all.byPath {
		from, ok := s.dialect()
		if entry, native := o.speaks(s); !ok || from == dialect.Chat || !native || entry.name != "" {
			continue
		}
		for _, to := range targets {
			if f, _ := to.dialect(); s.counts() == (f == from) {
				out[s] = to
				break
			}
		}
	}
	return out
}

// translationTargets are the surfaces that translated requests can go to, in the order
// of the provider's supported_api_surfaces. Chat comes before responses where an entry
// stands for both: all servers have it.
func translationTargets(o offers, all surfaces) []*surface {
	var out []*surface
	for _, a := range o {
		for _, f := range dialects {
			s := all.byPath[f.Path()]
			if a.format == s.format && (a.name == "" || a.name == s.name) && !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	return out
}
