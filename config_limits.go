package aigateway

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aigateway-go/aigateway/internal/confdoc"
	"github.com/aigateway-go/aigateway/internal/expr"
	"github.com/aigateway-go/aigateway/internal/header"
	"github.com/aigateway-go/aigateway/internal/limit"
	"github.com/aigateway-go/aigateway/internal/price"
)

// defaultLimitKey is the key of an entry of client_limits without one.
const defaultLimitKey = "req.caller"

// clientLimit is an entry of client_limits, compiled.
type clientLimit struct {
	name      string // in the table of all entries, the same after a reload
	key       *expr.Identity
	allowance limit.Allowance
	required  bool
	entry     *limit.Entry // set by attach
}

// clientLimits compiles client_limits. callers says whether callers are told apart.
func clientLimits(p *problems, list []ClientLimit, callers bool) []clientLimit {
	out := make([]clientLimit, 0, len(list))
	names := map[string]int{}
	for i, l := range list {
		at := fmt.Sprintf("client_limits[%d]", i)
		text := cmp.Or(l.Key, defaultLimitKey)
		key, faults := expr.CompileIdentity(text)
		p.addFaults(at+".key", text, faults)
		if key != nil && key.Uses().Caller && !callers {
			p.add(at+".key", text, "needs to know the caller: set caller in the config, or Config.Caller")
		}
		c := clientLimit{key: key, allowance: limit.Allowance{RequestsPerMinute: l.RequestsPerMinute, TokensPerMinute: l.TokensPerMinute}}
		for _, n := range [...]struct {
			field string
			n     int64
		}{{"requests_per_minute", l.RequestsPerMinute}, {"tokens_per_minute", l.TokensPerMinute}} {
			if n.n < 0 {
				p.add(at+"."+n.field, fmt.Sprint(n.n), "must not be negative; leave it out for no limit")
			}
		}
		c.allowance.PerDay = budget(p, at+".usd_per_day", l.USDPerDay)
		c.allowance.PerMonth = budget(p, at+".usd_per_month", l.USDPerMonth)
		if c.allowance == (limit.Allowance{}) {
			p.add(at, "", "limits nothing: give it requests_per_minute, tokens_per_minute, usd_per_day or usd_per_month")
		}
		c.required = l.USDPerDay > 0 || l.USDPerMonth > 0
		if l.Required != nil {
			c.required = *l.Required
		}
		names[text]++
		c.name = fmt.Sprintf("%d %s", names[text], text)
		out = append(out, c)
	}
	return out
}

// budget reads an amount of USD. Zero is no limit.
func budget(p *problems, path string, usd float64) int64 {
	if usd == 0 {
		return 0
	}
	v, ok := price.Parse(strconv.FormatFloat(usd, 'f', -1, 64))
	if !ok || v <= 0 {
		p.add(path, fmt.Sprint(usd), "must be an amount above zero and below 9000000")
	}
	return int64(v)
}

// maxAliasEntries bounds the names of one alias.
const maxAliasEntries = 100

// nameChecker checks the names of models in a config against its catalog.
type nameChecker struct {
	*selector
	problems, warnings *problems
	blind              bool // the registry is not known, and so not who lacks a name
}

// compileAliases checks the aliases of a config, and compiles them.
func (s nameChecker) compileAliases(cfg Config) {
	p := s.problems
	s.aliases.byName = map[string][]string{}
	for _, name := range sortedKeys(cfg.Aliases) {
		path := confdoc.JoinKey("aliases", name)
		switch {
		case isAuto(name), !header.IsLine(name):
			p.add(path, name, "cannot be an alias: it is empty, means no model in particular, or has spaces around it or control characters")
			continue
		case len(name) > maxModelName:
			p.add(path, "", "is too long: %d bytes are the limit", maxModelName)
			continue
		case s.aliases.has(name):
			p.add(path, name, "is there twice: case does not count")
			continue
		}
		s.checkAlias(path, name)
		entries := cfg.Aliases[name]
		if len(entries) == 0 || len(entries) > maxAliasEntries {
			p.add(path, "", "must list 1 to %d names", maxAliasEntries)
		}
		s.aliases.byName[fold(name)] = append([]string{}, entries...)
		s.aliases.names = append(s.aliases.names, name)
	}
	for _, name := range s.aliases.names {
		for i, entry := range cfg.Aliases[name] {
			at := fmt.Sprintf("%s[%d]", confdoc.JoinKey("aliases", name), i)
			switch {
			case s.aliases.has(entry):
				p.add(at, entry, "is an alias itself: list the names that it stands for")
			case isAuto(entry):
				p.add(at, entry, "is not the name of a model")
			case !s.blind && !s.knows(entry):
				p.add(at, entry, "%s", s.unknownEntry(entry))
			}
		}
	}
}

// checkAlias reports an alias with another meaning in the catalog.
func (s nameChecker) checkAlias(path, name string) {
	p := s.problems
	if other, _ := s.prefixed(name); other != nil {
		p.add(path, name, "reads as a model of provider %q: choose a name without its prefix", other.id)
		return
	}
	known := s.models[fold(name)]
	if i := slices.IndexFunc(known, func(m *model) bool { return m.configured }); i >= 0 {
		p.add(path, name, "is the name of a configured model of provider %q: choose another name", known[i].provider.id)
	} else if len(known) > 0 {
		s.warnings.add(path, name, "hides the model of the same name of provider %q in the catalog; clients reach that as %q",
			known[0].provider.id, known[0].name())
	}
}

// knows reports whether a name leads to some provider, be it allowed or not.
func (s nameChecker) knows(name string) bool {
	p, _ := s.prefixed(name)
	return p != nil || len(s.models[fold(name)]) > 0 || s.sole != nil || s.familyOf(name) != nil
}

// unknownEntry says why a name leads nowhere, and suggests a near one.
func (s nameChecker) unknownEntry(name string) string {
	if prefix, rest, ok := strings.Cut(name, ":"); ok && rest != "" {
		message := fmt.Sprintf("no provider has the id %q", prefix)
		if near := expr.Nearest(prefix, s.providerIDs()); near != "" {
			message += fmt.Sprintf(", did you mean %q?", near+":"+rest)
		}
		return message
	}
	message := "no provider lists this model"
	if near := expr.Nearest(name, s.modelIDs()); near != "" {
		message += fmt.Sprintf(", did you mean %q?", near)
	}
	return message + `; to send a name on as it is, write it as "provider:model"`
}

// linkFallbacks finds the providers of all fallbacks.
func (s nameChecker) linkFallbacks() {
	p := s.problems
	for _, m := range s.listed {
		for i := range m.fallbacks {
			f := &m.fallbacks[i]
			prefix, rest, _ := strings.Cut(f.name, ":")
			switch f.provider, f.id = s.byName[fold(prefix)], rest; {
			case rest == "" || prefix == "":
				p.add(f.path, f.name, `must be written as "provider:model"`)
			case f.provider == nil && !s.blind:
				p.add(f.path, f.name, "%s", s.unknownEntry(f.name))
			}
			s.fallbacks = true
		}
	}
}
