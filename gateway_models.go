package aigateway

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// openaiModels is the answer of GET models in the OpenAI format.
type openaiModels struct {
	Object string        `json:"object"` // "list"
	Data   []openaiModel `json:"data"`
}

type openaiModel struct {
	ID      string `json:"id"`
	Object  string `json:"object"` // "model"
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
}

// anthropicModels is the answer of GET models in the Anthropic format: one page
// that holds all.
type anthropicModels struct {
	Data    []anthropicModel `json:"data"`
	HasMore bool             `json:"has_more"`
	FirstID *string          `json:"first_id"`
	LastID  *string          `json:"last_id"`
}

type anthropicModel struct {
	Type        string `json:"type"` // "model"
	ID          string `json:"id"`
	DisplayName string `json:"display_name"`
	CreatedAt   string `json:"created_at"`
}

// named is a name that a client may send, and the model that it first stands
// for.
type named struct {
	name string
	*model
}

// offered lists each name that a client may send without a prefix, once: those
// of models that some request of the format can use. A name that would be read as
// one with a prefix is not among them, as it leads elsewhere.
func (s *settings) offered(f format, credential bool) []named {
	var out []named
	seen := map[string]bool{}
	for _, m := range s.listed {
		if s.withholds(m, f, credential) != reasonNone {
			continue
		}
		for i, folded := range m.names {
			if seen[folded] {
				continue
			}
			seen[folded] = true
			if p, _ := s.prefixed(folded); p != nil {
				continue
			}
			name := m.id
			if i > 0 {
				name = m.view.IDAliases[i-1]
			}
			out = append(out, named{name, m})
		}
	}
	return out
}

// withholds says why no request of a format may use a model.
func (s *settings) withholds(m *model, f format, credential bool) reason {
	switch r := s.refuses(m); {
	case r != reasonNone:
		return r
	case !m.provider.speaksFormat(f):
		return reasonFormat
	case m.provider.needsKey && len(m.provider.keys) == 0 && !(s.passThrough && credential):
		return reasonNoKey
	}
	return reasonNone
}

// serveModels answers GET models, and GET models/{id}. A slash at the end is
// part of the id only where there is such an id.
func (s *settings) serveModels(w http.ResponseWriter, r *http.Request, id string) {
	f, credential := clientFormat(r.Header), clientCredential(r.Header).given()
	models := s.offered(f, credential)
	if id == "" {
		writeModels(w, f, models)
		return
	}
	bare := strings.TrimSuffix(id, "/")
	for _, name := range []string{id, bare} {
		i := slices.IndexFunc(models, func(m named) bool { return strings.EqualFold(m.name, name) })
		switch {
		case i < 0:
			continue
		case f == formatAnthropic:
			writeJSON(w, models[i].anthropic())
		default:
			writeJSON(w, models[i].openai())
		}
		return
	}
	writeError(w, f, errorf(CodeModelNotFound, "%s", s.unlisted(bare, f, credential)), requestID(r.Header))
}

// unlisted says why a name is not among those that are offered: a client that may
// send it all the same must not read that it cannot.
func (s *settings) unlisted(name string, f format, credential bool) string {
	q := query{surface: &surface{format: f}, credential: credential}
	if isAuto(name) {
		return fmt.Sprintf("%q may be sent, but is no model: it leaves the choice to the gateway", name)
	}
	if len(name) > maxModelName {
		return rejection{name: shown(name), reason: reasonTooLong}.message(s, q)
	}
	known := s.models[fold(name)]
	why := "only names without a provider's prefix are listed"
	if p, rest := s.prefixed(name); p != nil {
		m, _ := p.find(rest)
		known = []*model{m}
	} else if s.sole != nil && !slices.ContainsFunc(known, func(m *model) bool { return s.allows(m.provider) }) {
		m, _ := s.sole.find(name)
		known = []*model{m}
		why = fmt.Sprintf("provider %q lists no models", s.sole.id)
	}
	for _, m := range known {
		if r := s.withholds(m, f, credential); r != reasonNone {
			return rejection{name, m.provider, r}.message(s, q)
		}
	}
	if len(known) > 0 {
		return fmt.Sprintf("model %q may be sent, but is not listed: %s", name, why)
	}
	return s.unknownModel(name, f, credential)
}

func writeModels(w http.ResponseWriter, f format, models []named) {
	if f == formatAnthropic {
		page := anthropicModels{Data: []anthropicModel{}}
		for _, m := range models {
			page.Data = append(page.Data, m.anthropic())
		}
		if n := len(page.Data); n > 0 {
			page.FirstID, page.LastID = &page.Data[0].ID, &page.Data[n-1].ID
		}
		writeJSON(w, page)
		return
	}
	list := openaiModels{Object: "list", Data: []openaiModel{}}
	for _, m := range models {
		list.Data = append(list.Data, m.openai())
	}
	writeJSON(w, list)
}

func (n named) openai() openaiModel {
	return openaiModel{ID: n.name, Object: "model", OwnedBy: n.view.AuthorID}
}

// anthropic has the date at which Unix time begins: the catalog has none.
func (n named) anthropic() anthropicModel {
	return anthropicModel{Type: "model", ID: n.name, DisplayName: given(n.view.DisplayName, n.name), CreatedAt: "1970-01-01T00:00:00Z"}
}

func writeJSON(w http.ResponseWriter, v any) {
	body := mustJSON(v)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body) //nolint:errcheck // the client is gone: nobody is left to tell
}
