// Package discover asks servers for their models, and reads the facts in the list
// forms of OpenAI, Anthropic, vLLM, Ollama, LM Studio, llama.cpp, OpenRouter and
// others.
//
// discover.go reads the list and its pages, facts.go the facts of an item, and local.go
// asks Ollama and LM Studio for facts outside of the list. memory.go remembers the
// servers, and the outcome of the questions to them. A new form of a list is a field of
// listed in facts.go, with its server named beside it.
package discover

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/aigateway-go/aigateway/internal/header"
)

// Bounds of a list. Lists of public providers have up to 600 models in 1 MiB.
const (
	// MaxModels bounds the models of one server; further ones are left out.
	MaxModels = 4096

	maxBytes = 8 << 20
	maxPages = 16
	maxName  = 256 // bytes of an id
	maxShown = 256 // questions for the facts of single models in one refresh
)

// Model is a model of a list, with the facts that the server tells. Zero, empty
// and nil mean unknown.
type Model struct {
	ID               string
	DisplayName      string
	Description      string
	ContextWindow    int64 // tokens
	MaxOutput        int64 // tokens
	ParameterCount   int64
	Quantization     string
	InputModalities  []string // sorted
	OutputModalities []string // sorted
	Features         []string // sorted
	Prices           Prices
}

// Prices are in USD per million tokens. Nil means unknown.
type Prices struct{ Input, Output, CacheRead, CacheWrite *float64 }

// Question is one request to a server. A Root question goes to the root of the
// server, and others to its base URL, as "models". Body is nil for a GET.
type Question struct {
	Root  bool
	Path  string
	Query string
	Body  []byte
}

// Ask sends a question. The caller closes the answer's body.
type Ask func(ctx context.Context, q Question) (*http.Response, error)

// StatusError is an answer without a list.
type StatusError struct{ Status int }

func (e *StatusError) Error() string {
	return fmt.Sprintf("its list of models answers with status %d", e.Status)
}

// ErrNoList is an answer that is not a list of models.
var ErrNoList = errors.New("its list of models cannot be read")

// kind is the software of a server, as far as it matters for facts.
type kind uint8

const (
	kindUnknown  kind = iota
	kindPlain         // the list is all that it tells
	kindOllama        // has api/tags, api/show and api/ps
	kindLMStudio      // has api/v0/models
)

// Server remembers the software of one server, and the facts of its models that
// do not change. The zero Server is ready for use. It belongs to one goroutine.
type Server struct {
	kind   kind
	shown  map[string]Model // by digest
	loaded map[string]int64 // of Ollama: the context window, by folded id
}

// Models asks for the server's models, sorted by id. With deep it also asks servers
// of Ollama and LM Studio for facts outside of the list. An error means that the
// list could not be had. Facts that could not be had are left out.
//
// The list is at BASE_URL/models in all APIs. Anthropic gives it in pages:
//
//	{"data": [{"id": "llama3", "max_model_len": 8192}]}
//	{"data": [{"type": "model", "id": "claude-…"}], "has_more": true, "last_id": "claude-…"}
//	[{"id": "mistral-7b"}]                            Together
func (s *Server) Models(ctx context.Context, ask Ask, deep bool) ([]Model, error) {
	var all list
	for query, page := "", 0; page < maxPages; page++ {
		body, err := fetch(ctx, ask, Question{Path: "models", Query: query})
		if err != nil {
			return nil, err
		}
		next, err := all.add(body)
		if err != nil {
			return nil, err
		}
		if next == "" {
			break
		}
		query = "after_id=" + url.QueryEscape(next)
	}
	models := all.models
	if deep && !all.facts {
		models = s.deepen(ctx, ask, models)
	}
	slices.SortFunc(models, func(a, b Model) int { return cmp.Compare(a.ID, b.ID) })
	return models, nil
}

// fetch returns the body of an answer with a status of success.
//
// A body over the bound is an error, and not a part of a list.
func fetch(ctx context.Context, ask Ask, q Question) ([]byte, error) {
	resp, err := ask(ctx, q)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, &StatusError{resp.StatusCode}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading its list of models: %w", err)
	case len(body) > maxBytes:
		return nil, fmt.Errorf("%w: it is over %d bytes", ErrNoList, maxBytes)
	}
	return bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")), nil
}

// list collects the models of the pages of a list.
type list struct {
	models []Model
	seen   map[string]bool // folded ids
	facts  bool            // some model came with facts
}

// add reads a page, and returns the id to ask for the next page with. It is empty
// after the last.
//
// A page without a new model ends the list: a server that ignores after_id would repeat
// the first page for ever.
func (l *list) add(body []byte) (next string, err error) {
	var page struct {
		Object  text              `json:"object"`
		Data    []json.RawMessage `json:"data"`
		HasMore bool              `json:"has_more"`
		LastID  text              `json:"last_id"`
	}
	if trimmed := bytes.TrimSpace(body); len(trimmed) > 0 && trimmed[0] == '[' {
		err = json.Unmarshal(trimmed, &page.Data)
	} else {
		err = json.Unmarshal(trimmed, &page)
	}
	// An Ollama without a model has null in place of an empty list.
	if err != nil || page.Data == nil && page.Object != "list" {
		return "", ErrNoList
	}
	before := len(l.models)
	for _, raw := range page.Data {
		l.put(readModel(raw))
	}
	if !page.HasMore || len(l.models) == before {
		return "", nil
	}
	return string(page.LastID), nil
}

// put adds a model with a usable id that is new. Ids compare case-insensitively.
func (l *list) put(m Model) {
	if l.seen == nil {
		l.seen = map[string]bool{}
	}
	folded := strings.ToLower(m.ID)
	if !isName(m.ID) || l.seen[folded] || len(l.models) == MaxModels {
		return
	}
	l.seen[folded] = true
	l.models = append(l.models, m)
	l.facts = l.facts || m.ContextWindow != 0 || m.MaxOutput != 0 || m.InputModalities != nil
}

// isName reports whether an id can be a model's name.
//
// A name of more than 256 bytes, and one that a config may not list, is left out.
func isName(id string) bool {
	return len(id) <= maxName && header.IsLine(id) && !strings.Contains(id, "${")
}
