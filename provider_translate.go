package aigateway

import (
	"slices"

	"github.com/aigateway-go/aigateway/internal/dialect"
)

// Translate says whether a provider's clients may speak formats that it does not.
type Translate string

const (
	// TranslateOff: requests go to the provider in a format that it speaks.
	TranslateOff Translate = "false"
	// TranslateOn: requests are translated. The Result names the fields that are lost.
	TranslateOn Translate = "true"
	// TranslateStrict: as TranslateOn, but the provider is passed over for a request
	// that would lose a field with an effect on the answer.
	TranslateStrict Translate = "strict"
)

// dialectOf is the format of a surface that can be translated.
func dialectOf(s *surface) (dialect.Format, bool) {
	for _, f := range [...]dialect.Format{dialect.Chat, dialect.Responses, dialect.Messages} {
		if s.path == f.Path() || s.path == f.CountPath() {
			return f, true
		}
	}
	return 0, false
}

// translation compiles the provider's translate: for each surface that it does not
// speak, the one that takes its requests.
func (c *compiler) translation(path string, t Translate, out *provider) {
	t = oneOf(c.problems, path, t, TranslateOff, TranslateOn, TranslateStrict)
	if t == TranslateOff {
		return
	}
	out.strict = t == TranslateStrict
	targets := c.targets(out)
	if len(targets) == 0 {
		c.warnings.add(path, string(t), "has no effect: the provider speaks neither chat-completions nor responses nor messages")
		return
	}
	out.translates = map[*surface]*surface{}
	for _, s := range c.surfaces {
		from, ok := dialectOf(s)
		if _, native := out.speaks(s); !ok || native {
			continue
		}
		for _, to := range targets {
			if f, _ := dialectOf(to); f != from {
				out.translates[s] = to
				break
			}
		}
	}
}

// targets are the surfaces of a provider that translated requests can go to, in the
// order of its supported_api_surfaces. Chat comes before responses where an entry
// stands for both: all servers have it.
func (c *compiler) targets(p *provider) []*surface {
	var out []*surface
	for _, a := range p.surfaces {
		for _, f := range [...]dialect.Format{dialect.Chat, dialect.Responses, dialect.Messages} {
			s := c.surfaces[f.Path()]
			if a.format == s.format && (a.name == "" || a.name == s.name) && !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	return out
}

// serves reports whether a provider takes requests on a client's surface, be they
// translated. A surface without a name stands for any of its format.
func (p *provider) serves(s *surface) bool {
	if s.name != "" {
		_, ok := p.speaks(s)
		return ok || p.translates[s] != nil
	}
	if p.speaksFormat(s.format) {
		return true
	}
	for from := range p.translates {
		if from.format == s.format {
			return true
		}
	}
	return false
}

// nativeFirst puts the models first whose providers speak the client's surface. All
// else stays in order. The slice is not changed.
func nativeFirst(s *surface, models []*model) []*model {
	translated := func(m *model) bool { return m.provider.translates[s] != nil }
	if !slices.ContainsFunc(models, translated) {
		return models
	}
	out := slices.DeleteFunc(slices.Clone(models), translated)
	return append(out, slices.DeleteFunc(slices.Clone(models), func(m *model) bool { return !translated(m) })...)
}
