package apierror

import (
	"net/http"
	"strconv"
	"strings"
)

// Kind is the subject of an error.
//
// A kind tells what went wrong, and not what to do. failover_table.go in the
// root maps it to a consequence.
type Kind uint8

const (
	// Unknown: the error tells no more than its status.
	Unknown Kind = iota
	// Refusal: the prompt or the answer was refused for its content, see Verdict.Part.
	Refusal
	// TooLarge: the request exceeds the model's context, or exceeds a rate limit by itself. Waiting does not help.
	TooLarge
	// MissingScope: the key is valid, but has no right to this surface or model.
	MissingScope
	// DeadKey: every request with this key fails until somebody acts, see Verdict.Cause. 401 and 402 are of this kind
	// unless their words say otherwise.
	DeadKey
	// RateLimited: the key works again later. Verdict.Reach tells whose limit it is.
	RateLimited
	// Denied: a 403 that does not speak of the key.
	Denied
	// UnknownModel: the model is not known there, or not to this key.
	UnknownModel
	// NotFound: something other than the model is not known, such as a file or a vector store.
	NotFound
	// NoEndpoint: the upstream has no such surface: 501, or 404 and 405 from a router rather than an API.
	NoEndpoint
	// OtherKey: a key of another organization may get an answer. The request holds reasoning that was encrypted for another
	// one, or this one lacks a right.
	OtherKey
	// ServerFault: the server failed, though its status blames the request.
	ServerFault
	// BadRequest: the request is at fault, though the status blames the server.
	BadRequest
)

// Part is the refused part of an exchange.
type Part uint8

const (
	// PartUnknown: the error is not a refusal.
	PartUnknown Part = iota
	// PartPrompt: a filter refused the prompt.
	PartPrompt
	// PartOutput: a filter cut or withheld the answer.
	PartOutput
	// PartModel: the model itself declined.
	PartModel
)

// Cause is the reason for a dead key.
type Cause uint8

const (
	// CauseUnknown: the error is not about a dead key.
	CauseUnknown Cause = iota
	// CauseInvalid: missing, wrong, expired or revoked.
	CauseInvalid
	// CauseNoMoney: no credit, or a bill not paid.
	CauseNoMoney
	// CauseSuspended: the account, project or key was switched off, or lacks the API.
	CauseSuspended
	// CauseSpent: the key reached a spending or usage limit that its owner set.
	CauseSpent
)

// Reach is the extent of an error.
//
// The order is that of growing extent: [Verdict.WholeKey] compares.
type Reach uint8

const (
	// ReachUnknown: the error does not say.
	ReachUnknown Reach = iota
	// ReachModel: this key with this model only.
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
	kindNames  = []string{"", "refusal", "too_large", "scopes", "dead_key", "limited", "denied", "model", "not_found", "no_endpoint", "other_key", "server", "request"}
	partNames  = []string{"", "prompt", "output", "model"}
	causeNames = []string{"", "invalid", "no_money", "suspended", "spent"}
	reachNames = []string{"", "model", "key", "project", "account"}
)

func (k Kind) String() string  { return kindNames[k] }
func (p Part) String() string  { return partNames[p] }
func (c Cause) String() string { return causeNames[c] }
func (r Reach) String() string { return reachNames[r] }

// Verdict is the meaning of an error.
type Verdict struct {
	// Status is the answer's. For an error under status 200 it is the status behind the error, and zero if unknown.
	Status int
	// Kind is the subject. Part belongs to refusals, Cause to dead keys, Reach to dead keys and limits.
	Kind  Kind
	Part  Part
	Cause Cause
	Reach Reach
	// StreamOptions reports whether the error names stream_options or include_usage.
	StreamOptions bool
}

// WholeKey reports whether the error speaks of the key or its account as a whole, rather than of one model.
func (v Verdict) WholeKey() bool { return v.Reach >= ReachKey }

// Classify tells the meaning of an upstream's answer. status and h are the answer's; r is its body, or one event of its
// stream. An answer of status 200 without an error or a refusal is Unknown. Classify is safe for concurrent use.
//
// The rows of dialects.tsv decide in their order, except for the vetoes, which
// come first. Without a row that matches, the status decides.
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

// matchesInner looks at the error of an upstream behind the upstream. A dead key there is not ours.
func (d *dialect) matchesInner(status int, h http.Header, r *Report) bool {
	switch d.class {
	case Refusal, TooLarge, UnknownModel:
	default:
		return false
	}
	for in := r.inner; in != nil && d.place != "header"; in = in.inner {
		// A relay may put a status of its own on it.
		if d.matches(status, h, in) || in.Status > 0 && d.matches(in.Status, h, in) {
			return true
		}
	}
	return false
}

// StandsFor is the status of an error that tells none, by its words. It is zero if they
// say nothing, and for failures of the server.
func (v Verdict) StandsFor() int {
	switch v.Kind {
	case TooLarge, BadRequest:
		return http.StatusBadRequest
	case UnknownModel, NoEndpoint:
		return http.StatusNotFound
	case RateLimited:
		return http.StatusTooManyRequests
	}
	return 0
}

// byStatus classifies errors without telling words.
//
// The reach of a bare 429 is the model: a whole key must not rest for the limit
// of one model. Other statuses stay Unknown.
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
		if r.exceedsAlone() {
			v.Kind, v.Reach = TooLarge, ReachUnknown
		}
	}
}

// exceedsAlone reports whether a rate limit's message has a request larger than the whole limit: "Limit 6000, Requested
// 14368".
//
// Waiting makes no room for such a request.
func (r *Report) exceedsAlone() bool {
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

// numberAfter reads the first whole number directly behind a word: "30000" or "30,000".
//
// The word may occur before without a number; the search goes on behind it.
func numberAfter(text, name string) (int64, bool) {
	for {
		_, after, ok := strings.Cut(text, name)
		if !ok {
			return 0, false
		}
		digits := leadingDigits(after)
		for rest := after[len(digits):]; digits != "" && strings.HasPrefix(rest, ","); {
			group := leadingDigits(rest[1:])
			if len(group) != 3 {
				break
			}
			digits, rest = digits+group, rest[4:]
		}
		if n, err := strconv.ParseInt(digits, 10, 64); err == nil {
			return n, true
		}
		text = after
	}
}

// leadingDigits returns the digits at the start of a text. Empty without digits.
func leadingDigits(text string) string {
	return text[:len(text)-len(strings.TrimLeft(text, "0123456789"))]
}

// namesStreamOptions reports whether a refusal of the request names one of the parameters for usage. The name may stand in
// quotation marks.
//
// Some servers fail with 500 on a parameter that they do not know. 0 is an error
// event without a status.
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

// texts yields the places for a parameter's name: param and the beginnings of messages, of the upstream and of the one
// behind it.
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
