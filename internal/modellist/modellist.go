// Package modellist makes the answers of GET models and GET models/{id}, in the
// formats of OpenAI and Anthropic. It is a leaf: it imports the standard library only.
package modellist

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Entry is one name of the list, with the facts of the first model behind it. Zero and
// empty facts are unknown, and are left out.
type Entry struct {
	Name        string
	Author      string // an id
	DisplayName string // empty: the name
	Facts
}

// Facts are the members that both formats have.
type Facts struct {
	ContextWindow     int64    `json:"context_window,omitempty"` // tokens
	MaxOutputTokens   int64    `json:"max_output_tokens,omitempty"`
	InputModalities   []string `json:"input_modalities,omitempty"`
	OutputModalities  []string `json:"output_modalities,omitempty"`
	SupportedFeatures []string `json:"supported_features,omitempty"`
	// Pricing is in the form of a config, and nil if it is unknown.
	Pricing   any      `json:"pricing,omitempty"`
	Providers []string `json:"providers"` // all that the name may lead to
}

// OpenAIList is the answer of GET models in the OpenAI format.
type OpenAIList struct {
	Object string        `json:"object"` // "list"
	Data   []OpenAIModel `json:"data"`
	// Models is an empty list for Codex, which asks with its client_version. It reads its
	// own form of models there, with instructions for each, takes its built-in ones for
	// those that are missing, and fails without the member. Nil for other clients.
	Models *[]struct{} `json:"models,omitempty"`
}

// OpenAIModel is one name of the list. OwnedBy is the author.
type OpenAIModel struct {
	ID      string `json:"id"`
	Object  string `json:"object"` // "model"
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
	Facts
}

// AnthropicPage is the answer of GET models in the Anthropic format: a page of the
// list, of all models unless the client asks for less.
type AnthropicPage struct {
	Data    []AnthropicModel `json:"data"`
	HasMore bool             `json:"has_more"`
	FirstID *string          `json:"first_id"`
	LastID  *string          `json:"last_id"`
}

// AnthropicModel is one name of the list.
type AnthropicModel struct {
	Type        string `json:"type"` // "model"
	ID          string `json:"id"`
	DisplayName string `json:"display_name"`
	CreatedAt   string `json:"created_at"`
	Facts
}

// OpenAI is the whole list. The format has no pages of models.
func OpenAI(entries []Entry) OpenAIList {
	list := OpenAIList{Object: "list", Data: []OpenAIModel{}}
	for i := range entries {
		list.Data = append(list.Data, entries[i].OpenAI())
	}
	return list
}

// OpenAI uses zero as the date: the catalog has no dates.
func (e *Entry) OpenAI() OpenAIModel {
	return OpenAIModel{ID: e.Name, Object: "model", OwnedBy: e.Author, Facts: e.Facts}
}

// Anthropic uses the start of Unix time as the date: the catalog has no dates, but
// the SDKs require one.
func (e *Entry) Anthropic() AnthropicModel {
	shown := e.DisplayName
	if shown == "" {
		shown = e.Name
	}
	return AnthropicModel{Type: "model", ID: e.Name, DisplayName: shown, CreatedAt: "1970-01-01T00:00:00Z", Facts: e.Facts}
}

// maxPage is the largest limit of a page in the Anthropic API.
const maxPage = 1000

// UnknownError is a cursor that is not in the list.
type UnknownError struct{ ID string }

func (e *UnknownError) Error() string {
	return fmt.Sprintf("after_id or before_id: the list has no model %q", e.ID)
}

// Anthropic is the page that a client asks for by limit, and by after_id or before_id. A
// page before an id ends next to it. A query that cannot be understood is an error for
// the client, of the type *UnknownError if it names a model that the list lacks.
func Anthropic(entries []Entry, query url.Values) (AnthropicPage, error) {
	page := AnthropicPage{Data: []AnthropicModel{}}
	after, before, limit := query.Get("after_id"), query.Get("before_id"), len(entries)
	if after != "" && before != "" {
		return page, errors.New("the query has both after_id and before_id: ask for one direction")
	}
	if asked := query.Get("limit"); asked != "" {
		n, err := strconv.Atoi(asked)
		if err != nil || n < 1 || n > maxPage {
			return page, fmt.Errorf("limit must be a number from 1 to %d", maxPage)
		}
		limit = min(n, limit)
	}
	if cursor := after + before; cursor != "" {
		folded := strings.ToLower(cursor)
		at := slices.IndexFunc(entries, func(e Entry) bool { return strings.ToLower(e.Name) == folded })
		switch {
		case at < 0:
			return page, &UnknownError{cursor}
		case before == "":
			entries = entries[at+1:]
		default:
			entries = entries[:at]
		}
	}
	if page.HasMore = len(entries) > limit; page.HasMore && before != "" {
		entries = entries[len(entries)-limit:]
	} else if page.HasMore {
		entries = entries[:limit]
	}
	for i := range entries {
		page.Data = append(page.Data, entries[i].Anthropic())
	}
	if n := len(page.Data); n > 0 {
		page.FirstID, page.LastID = &page.Data[0].ID, &page.Data[n-1].ID
	}
	return page, nil
}
