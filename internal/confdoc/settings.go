package confdoc

import "slices"

// DecodeSettings stores the settings of the document in the struct behind dst. The document
// holds the settings themselves, or an on_http_request list with one action of type
// ai-gateway, and the settings under its config.
func (d *Document) DecodeSettings(dst any) {
	r := settingsReader{dst: dst, nearest: d.opts.Nearest}
	r.root(d.Root())
}

// settingsReader reads either form of a document.
type settingsReader struct {
	dst     any
	nearest func(word string, known []string) string
	actions int // of type ai-gateway, found so far
}

// isPhase reports a top-level key of a traffic policy, the outer form of a
// document. The gateway has a part in on_http_request only.
func isPhase(key string) bool {
	return key == "on_http_request" || key == "on_http_response" || key == "on_tcp_connect"
}

// compose is the remedy for an action of another gateway: in Go such an action is a
// handler in front of this one.
const compose = "compose it with an ordinary http.Handler around the gateway instead"

// root reads the whole document. A phase at the top level marks the outer form. Any
// other key counts as a setting, so that a misspelt field is reported as such.
func (r *settingsReader) root(v Value) {
	entries, ok := v.Mapping("the document must be a mapping with fields such as providers")
	if !ok {
		return
	}
	if !slices.ContainsFunc(entries, func(e Entry) bool { return isPhase(e.Name) }) {
		entries = slices.DeleteFunc(entries, func(e Entry) bool {
			if e.Name == "config" {
				e.Faultf("is not a field: let the document start with its content, or give the whole on_http_request list")
			}
			return e.Name == "config"
		})
		v.Assign(entries, r.dst, "on_http_request")
		return
	}
	own := FieldNames(r.dst)
	for _, e := range entries {
		switch {
		case e.Name == "on_http_request":
			r.rules(e.Value, true)
		case isPhase(e.Name):
			e.Faultf("is not supported: %s", compose)
		case slices.Contains(own, e.Name):
			e.Faultf("belongs under the config of the ai-gateway action, not beside on_http_request")
		default:
			e.Unknown([]string{"on_http_request"})
		}
	}
	// After another fault the action is probably missing because of it.
	if r.actions == 0 && !v.Faulty() {
		v.FieldFaultf("on_http_request", `must hold an action "type: ai-gateway" with its config`)
	}
}

// rules reads the value of on_http_request (outer), or the list of actions of one
// rule.
func (r *settingsReader) rules(v Value, outer bool) {
	for _, item := range v.List() {
		r.rule(item, outer)
	}
}

// rule reads one item of such a list. A condition is refused and not ignored: a
// gateway must not serve more than its document says.
func (r *settingsReader) rule(v Value, outer bool) {
	entries, ok := v.Mapping(`must be a mapping with "type: ai-gateway"`)
	if !ok {
		return
	}
	var kind, settings, inner Value
	known := []string{"type", "config"}
	if outer {
		known = append(known, "name", "actions")
	}
	for _, e := range entries {
		switch {
		case e.Name == "type":
			kind = e.Value
		case e.Name == "config":
			settings = e.Value
		case e.Name == "name" && outer:
			e.Value.Text() // for people; only its shape counts
		case e.Name == "actions" && outer:
			inner = e.Value
		case e.Name == "expressions" && e.Value.IsNull():
		case e.Name == "expressions":
			e.Faultf("is not supported, the gateway serves every request that reaches it: %s", compose)
		default:
			e.Unknown(known)
		}
	}
	switch {
	case inner.Given() && (kind.Given() || settings.Given()):
		v.Faultf("has an action of its own and a list of actions: give one of them")
	case inner.Given():
		r.rules(inner, false)
	case !kind.Given():
		v.Faultf(`must have "type: ai-gateway"`)
	default:
		r.action(v, kind, settings)
	}
}

// action reads the settings of an ai-gateway action, and refuses any other.
func (r *settingsReader) action(v, kind, settings Value) {
	const want = "ai-gateway"
	name, ok := kind.Text()
	if !ok {
		return
	}
	if name != want {
		if near := r.nearest(name, []string{want}); near != "" {
			kind.Faultf("unknown action; did you mean %q?", near)
		} else {
			kind.Faultf("the only action here is %q: %s", want, compose)
		}
		return
	}
	r.actions++
	if r.actions > 1 {
		v.Faultf("a second ai-gateway action: a Config is one gateway, so %s", compose)
		return
	}
	// An action without settings is the zero Config, which is valid.
	switch {
	case !settings.Given() || settings.IsNull():
	case !settings.IsMapping():
		settings.Faultf("must be a mapping, not %s", settings.Kind())
	default:
		// The paths start anew here, and so agree with those of New.
		settings.AsRoot().Decode(r.dst)
	}
}
