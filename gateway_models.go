package aigateway

import (
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

// openaiModel is one name of the list. OwnedBy is the author.
type openaiModel struct {
	ID      string `json:"id"`
	Object  string `json:"object"` // "model"
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
	modelFacts
}

// anthropicModels is the answer of GET models in the Anthropic format. The one page
// holds all models, so HasMore is always false.
type anthropicModels struct {
	Data    []anthropicModel `json:"data"`
	HasMore bool             `json:"has_more"`
	FirstID *string          `json:"first_id"`
	LastID  *string          `json:"last_id"`
}

// anthropicModel is one name of the list.
type anthropicModel struct {
	Type        string `json:"type"` // "model"
	ID          string `json:"id"`
	DisplayName string `json:"display_name"`
	CreatedAt   string `json:"created_at"`
	modelFacts
}

// modelFacts are the known facts of a model: those of the first model behind its
// name. Unknown facts are left out.
type modelFacts struct {
	ContextWindow     int64    `json:"context_window,omitempty"` // tokens
	MaxOutputTokens   int64    `json:"max_output_tokens,omitempty"`
	InputModalities   []string `json:"input_modalities,omitempty"`
	OutputModalities  []string `json:"output_modalities,omitempty"`
	SupportedFeatures []string `json:"supported_features,omitempty"`
	Pricing           *Pricing `json:"pricing,omitempty"` // as in a config
	Providers         []string `json:"providers"`         // all that the name may lead to
}

// serveModels answers GET models, and GET models/{id}. A slash at the end is part
// of the id only if a model has such an id.
func (s *selector) serveModels(w http.ResponseWriter, r *http.Request, id, requestID string) {
	f := clientFormat(r.Header)
	q := anyOf(f, clientCredential(r.Header).given())
	models := s.offered(q)
	if id == "" {
		writeModels(w, f, models)
		return
	}
	// The id itself comes first: it may end in a slash.
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
	writeError(w, f, errorf(CodeModelNotFound, "%s", s.unoffered(bare, q)), requestID)
}

// writeModels answers with the whole list.
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

// openai uses zero as the date: the catalog has no dates.
func (n named) openai() openaiModel {
	return openaiModel{ID: n.name, Object: "model", OwnedBy: n.view.AuthorID, modelFacts: n.facts()}
}

// anthropic uses the start of Unix time as the date: the catalog has no dates, but
// the SDKs require one.
func (n named) anthropic() anthropicModel {
	return anthropicModel{
		Type: "model", ID: n.name, DisplayName: given(n.view.DisplayName, n.name), CreatedAt: "1970-01-01T00:00:00Z", modelFacts: n.facts(),
	}
}

func (n named) facts() modelFacts {
	v := n.view
	return modelFacts{
		ContextWindow: v.MaxContextWindow, MaxOutputTokens: v.MaxOutputTokens, InputModalities: v.InputModalities,
		OutputModalities: v.OutputModalities, SupportedFeatures: v.SupportedFeatures, Pricing: n.pricing, Providers: n.providers,
	}
}

func writeJSON(w http.ResponseWriter, v any) {
	body := mustJSON(v)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body) //nolint:errcheck // the client is gone: nobody is left to tell
}
