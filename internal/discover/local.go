package discover

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
)

// deepen adds the facts that local servers tell outside of the list. A server that
// knows neither question is not asked again.
//
// The kind of a server is found out once: by api/tags Ollama, by api/v0/models LM Studio.
// A server that is away for a moment stays unknown, and is asked again.
func (s *Server) deepen(ctx context.Context, ask Ask, models []Model) []Model {
	if s.kind == kindUnknown || s.kind == kindOllama {
		tags, asked := s.tags(ctx, ask)
		switch {
		case tags != nil:
			s.kind = kindOllama
			models = s.show(ctx, ask, models, tags)
			s.running(ctx, ask, models)
			return models
		case s.kind == kindOllama || !asked:
			return models
		}
	}
	if s.kind == kindUnknown || s.kind == kindLMStudio {
		var facts list
		body, err := fetch(ctx, ask, Question{Root: true, Path: "api/v0/models"})
		if err == nil {
			_, err = facts.add(body)
		}
		switch {
		case err == nil && facts.facts:
			s.kind = kindLMStudio
			return joined(models, facts.models)
		case s.kind == kindUnknown && unknownPath(err):
			s.kind = kindPlain
		}
	}
	return models
}

// unknownPath reports an answer of a server that does not know a question. Other
// failures may pass.
//
// A 429 and a 5xx may pass. An answer of success that is not a list is an answer
// of another server.
func unknownPath(err error) bool {
	var status *StatusError
	if errors.As(err, &status) {
		return status.Status < http.StatusInternalServerError && status.Status != http.StatusTooManyRequests
	}
	return err == nil || errors.Is(err, ErrNoList)
}

// joined gives models the facts of their namesakes.
//
// Models without a namesake stay as they are. Ids compare case-insensitively.
func joined(models, facts []Model) []Model {
	byID := make(map[string]Model, len(facts))
	for _, f := range facts {
		byID[strings.ToLower(f.ID)] = f
	}
	for i, m := range models {
		if f, ok := byID[strings.ToLower(m.ID)]; ok {
			f.ID = m.ID
			models[i] = f
		}
	}
	return models
}

// tag is a model of Ollama's api/tags.
type tag struct {
	Name    text `json:"name"`
	Digest  text `json:"digest"`
	Details struct {
		Quantization text `json:"quantization_level"`
	} `json:"details"`
}

// tags returns Ollama's models by their folded names, nil if the server is another.
// asked is false if it did not say.
//
//	{"models": [{"name": "llama3.2:latest", "digest": "a80c…", "details": {"quantization_level": "Q4_K_M"}}]}
func (s *Server) tags(ctx context.Context, ask Ask) (tags map[string]tag, asked bool) {
	body, err := fetch(ctx, ask, Question{Root: true, Path: "api/tags"})
	if err != nil {
		return nil, unknownPath(err)
	}
	var list struct {
		Models []json.RawMessage `json:"models"`
	}
	if json.Unmarshal(body, &list) != nil || list.Models == nil {
		return nil, true
	}
	tags = make(map[string]tag, len(list.Models))
	for _, raw := range list.Models {
		var t tag
		json.Unmarshal(raw, &t) //nolint:errcheck // the readable fields count
		tags[strings.ToLower(string(t.Name))] = t
	}
	return tags, true
}

// show asks Ollama for the facts of each model, once a digest.
//
// A digest names the bytes of a model, so its facts stay. At most maxShown models are
// asked for in one refresh; the next refresh asks for the rest.
func (s *Server) show(ctx context.Context, ask Ask, models []Model, tags map[string]tag) []Model {
	known := s.shown
	s.shown = map[string]Model{}
	asked := 0
	for i, m := range models {
		t, ok := tags[strings.ToLower(m.ID)]
		if !ok {
			t, ok = tags[strings.ToLower(m.ID)+":latest"]
		}
		if !ok || t.Digest == "" {
			continue
		}
		// Two names of one digest can have parameters of their own.
		key := string(t.Digest) + "\x00" + m.ID
		facts, ok := known[key]
		if !ok && asked < maxShown {
			asked++
			facts, ok = showOne(ctx, ask, m.ID)
		}
		if ok {
			s.shown[key] = facts
			facts.ID = m.ID
			facts.Quantization = string(t.Details.Quantization)
			models[i] = facts
		}
	}
	return models
}

// running gives models the context window with which Ollama has loaded them. It depends on
// the machine's memory, and is often a small part of what the model was trained for.
// What a model was loaded with last stays when it is unloaded.
//
//	{"models": [{"name": "llama3.2:latest", "context_length": 4096}]}
func (s *Server) running(ctx context.Context, ask Ask, models []Model) {
	var list struct {
		Models []struct {
			Name    text  `json:"name"`
			Context count `json:"context_length"`
		} `json:"models"`
	}
	if body, err := fetch(ctx, ask, Question{Root: true, Path: "api/ps"}); err == nil {
		json.Unmarshal(body, &list) //nolint:errcheck // the readable fields count
	}
	known := s.loaded
	s.loaded = map[string]int64{}
	for i, m := range models {
		id := strings.ToLower(m.ID)
		window := known[id]
		for _, r := range list.Models {
			if name := strings.ToLower(string(r.Name)); (name == id || name == id+":latest") && r.Context > 0 {
				window = int64(r.Context)
			}
		}
		if window > 0 {
			s.loaded[id] = window
			models[i].ContextWindow = window
		}
	}
}

// showOne asks Ollama for the facts of one model.
func showOne(ctx context.Context, ask Ask, id string) (Model, bool) {
	question, err := json.Marshal(map[string]string{"model": id})
	if err != nil {
		return Model{}, false
	}
	body, err := fetch(ctx, ask, Question{Root: true, Path: "api/show", Body: question})
	if err != nil {
		return Model{}, false
	}
	return readShow(body)
}

// readShow reads the answer of api/show. The context window is num_ctx where the
// model sets it, else the most that the model was trained for. See running.
//
//	{"parameters": "num_ctx 4096\nstop \"<|eot|>\"",
//	 "model_info": {"general.architecture": "llama", "llama.context_length": 131072, "general.parameter_count": 8030261312},
//	 "capabilities": ["completion", "tools"]}
func readShow(body []byte) (Model, bool) {
	var in struct {
		Parameters   json.RawMessage            `json:"parameters"`
		Info         map[string]json.RawMessage `json:"model_info"`
		Capabilities able                       `json:"capabilities"`
	}
	var wrong *json.UnmarshalTypeError
	if err := json.Unmarshal(body, &in); err != nil && !errors.As(err, &wrong) {
		return Model{}, false
	}
	var m Model
	var architecture, parameters text
	architecture.UnmarshalJSON(in.Info["general.architecture"]) //nolint:errcheck // never fails
	parameters.UnmarshalJSON(in.Parameters)                     //nolint:errcheck // likewise
	read := func(raw []byte) (n count) {
		n.UnmarshalJSON(raw) //nolint:errcheck // likewise
		return n
	}
	m.ParameterCount = int64(read(in.Info["general.parameter_count"]))
	m.ContextWindow = int64(read(in.Info[string(architecture)+".context_length"]))
	for line := range strings.Lines(string(parameters)) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == "num_ctx" {
			m.ContextWindow = int64(first(read([]byte(f[1])), count(m.ContextWindow)))
		}
	}
	m.able(nil, in.Capabilities, "")
	return m, true
}
