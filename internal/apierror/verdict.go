package apierror

import (
	"net/http"
	"strconv"
	"strings"
)

// Kind says what an error is about.
type Kind uint8

const (
	// Unknown errors say no more than their status.
	Unknown Kind = iota
	// Refusal: the prompt or the answer was refused for its content. Verdict.Part says which.
	Refusal
	// TooLarge: the request is over the model's context, or alone over a limit. No wait helps.
	TooLarge
	// MissingScope: the key is good, but has no right to this surface or model.
	MissingScope
	// DeadKey: no request with this key will succeed until somebody acts. Verdict.Cause says why. 401 and 402 are of this
	// kind unless their words say otherwise.
	DeadKey
	// RateLimited: too much for now. Verdict.Reach says whose limit it is.
	RateLimited
	// Denied: 403 without a word about the key.
	Denied
	// UnknownModel: the model is not known there, or not to this key.
	UnknownModel
	// NotFound: another thing is not known, such as a file or a vector store.
	NotFound
	// NoEndpoint: nothing speaks this surface at that address: 404, 405 or 501 of a router rather than of an API.
	NoEndpoint
)

// Part is the part of an exchange that was refused.
type Part uint8

const (
	// PartUnknown is that of an error that is not a refusal.
	PartUnknown Part = iota
	// PartPrompt: a filter refused the prompt.
	PartPrompt
	// PartOutput: a filter cut or withheld the answer.
	PartOutput
	// PartModel: the model itself declined.
	PartModel
)

// Cause is why a key is dead.
type Cause uint8

const (
	// CauseUnknown is that of an error that is not about a dead key.
	CauseUnknown Cause = iota
	// CauseInvalid: missing, wrong, expired or revoked.
	CauseInvalid
	// CauseNoMoney: no credit, or a bill not paid.
	CauseNoMoney
	// CauseSuspended: the account, project or key was switched off, or lacks the API.
	CauseSuspended
	// CauseSpent: a spending or usage limit that somebody set was reached.
	CauseSpent
)

// Reach is whom an error concerns.
type Reach uint8

const (
	// ReachUnknown: the error does not say.
	ReachUnknown Reach = iota
	// ReachModel: this key and model alone.
	ReachModel
	// ReachKey: every model with this key.
	ReachKey
	// ReachProject: every key of the project.
	ReachProject
	// ReachAccount: every key of the account.
	ReachAccount
)

// The words of dialects.tsv, in the order of the constants.
var (
	kindNames  = []string{"", "refusal", "too_large", "scopes", "dead_key", "limited", "denied", "model", "not_found", "no_endpoint"}
	partNames  = []string{"", "prompt", "output", "model"}
	causeNames = []string{"", "invalid", "no_money", "suspended", "spent"}
	reachNames = []string{"", "model", "key", "project", "account"}
)

func (k Kind) String() string  { return kindNames[k] }
func (p Part) String() string  { return partNames[p] }
func (c Cause) String() string { return causeNames[c] }
func (r Reach) String() string { return reachNames[r] }

// Verdict is what an error means.
type Verdict struct {
	// Status is the answer's; for an error under status 200, the one that the error stands for. Zero where that is not
	// known.
	Status int
	// Kind says what the error is about. The next three say more of some kinds.
	Kind  Kind
	Part  Part
	Cause Cause
	Reach Reach
	// StreamOptions reports whether the error names stream_options or include_usage.
	StreamOptions bool
}

// WholeKey reports whether the error speaks of the key or its account as a whole, rather than of one model.
func (v Verdict) WholeKey() bool { return v.Reach >= ReachKey }

// Classify says what an upstream's answer means. status and h are the answer's; r is its body, or one event of its
// stream. An answer of status 200 without an error or a refusal is Unknown.
func Classify(status int, h http.Header, r Report) Verdict {
	v := Verdict{Status: status}
	if status < 300 {
		v.Status = r.Status
	}
	v.StreamOptions = r.namesStreamOptions(v.Status)
	r.prepare()
	vetoed := map[Kind]bool{}
	for i := range dialects {
		if d := &dialects[i]; d.veto && d.matches(status, h, &r) {
			vetoed[d.class] = true
		}
	}
	for i := range dialects {
		d := &dialects[i]
		if d.veto || vetoed[d.class] || !d.matches(status, h, &r) && !d.matchesInner(status, h, &r) {
			continue
		}
		v.Kind, v.Part, v.Cause, v.Reach = d.class, d.part, d.cause, d.reach
		return v
	}
	v.byStatus(&r)
	return v
}

// matchesInner looks at the error of an upstream behind the upstream. Its keys are not ours, so that a dead one there
// says nothing of ours.
func (d *dialect) matchesInner(status int, h http.Header, r *Report) bool {
	if r.inner == nil || d.place == "header" {
		return false
	}
	switch d.class {
	case Refusal, TooLarge, UnknownModel:
		return d.matches(status, h, r.inner)
	}
	return false
}

// byStatus is for errors without telling words.
func (v *Verdict) byStatus(r *Report) {
	switch v.Status {
	case http.StatusUnauthorized:
		v.Kind, v.Cause, v.Reach = DeadKey, CauseInvalid, ReachKey
	case http.StatusPaymentRequired:
		v.Kind, v.Cause, v.Reach = DeadKey, CauseNoMoney, ReachAccount
	case http.StatusForbidden:
		v.Kind, v.Reach = Denied, ReachModel
	case http.StatusNotFound:
		v.Kind = NotFound
		if !r.Found {
			v.Kind = NoEndpoint
		}
	case http.StatusMethodNotAllowed, http.StatusNotImplemented:
		if !r.Found || v.Status == http.StatusNotImplemented {
			v.Kind = NoEndpoint
		}
	case http.StatusRequestEntityTooLarge:
		v.Kind = TooLarge
	case http.StatusTooManyRequests:
		v.Kind, v.Reach = RateLimited, ReachModel
		if r.aloneOverLimit() {
			v.Kind, v.Reach = TooLarge, ReachUnknown
		}
	}
}

// aloneOverLimit reports whether a rate limit's message has numbers by which this request exceeds the limit with nothing
// used yet: "Limit 6000, Requested 14368".
func (r *Report) aloneOverLimit() bool {
	for _, w := range r.words {
		if w.place != "message" {
			continue
		}
		text := unquoted(w.text)
		limit, ok := numberAfter(text, "limit ")
		requested, also := numberAfter(text, "requested ")
		if ok && also && requested > limit {
			return true
		}
	}
	return false
}

// numberAfter reads the first whole number that directly follows a word.
func numberAfter(text, name string) (int64, bool) {
	for {
		_, after, ok := strings.Cut(text, name)
		if !ok {
			return 0, false
		}
		digits := after[:len(after)-len(strings.TrimLeft(after, "0123456789"))]
		if n, err := strconv.ParseInt(digits, 10, 64); err == nil {
			return n, true
		}
		text = after
	}
}

// namesStreamOptions reports whether a refusal of the request names a parameter that asks for usage. Its name may stand in
// quotation marks.
func (r *Report) namesStreamOptions(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusInternalServerError, 0:
	default:
		return false
	}
	for text := range r.texts() {
		if strings.Contains(text, "stream_options") || strings.Contains(text, "include_usage") {
			return true
		}
	}
	return false
}

// texts yields the texts that may name a parameter: param, the beginnings of messages, and those of the upstream behind.
func (r *Report) texts() func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for ; r != nil; r = r.inner {
			if !yield(r.Param) {
				return
			}
			for _, w := range r.words {
				if w.place == "message" && !yield(w.text[:min(len(w.text), maxMessage)]) {
					return
				}
			}
		}
	}
}
