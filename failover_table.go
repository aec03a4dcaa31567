package aigateway

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aigateway-go/aigateway/internal/address"
	"github.com/aigateway-go/aigateway/internal/stats"
)

// maxRetryAfter bounds the wait that an upstream may ask for: over that, the
// next key or candidate answers sooner.
const maxRetryAfter = 30 * time.Second

// DefaultFailoverPolicy is the policy of a gateway without one:
//
//   - A refusal for the prompt's content is relayed. It is not routed around.
//   - While MaxRetries allows, the same key is tried again after a 429 that says to
//     come back within 30 s, after a 5xx that does not say to come back later than
//     that, and after a connection that broke before an answer.
//   - After 400, 413, 415, 422 and other 4xx about the request, the next candidate
//     follows, because another key would be told the same. So it does if the
//     request could not be made from the config.
//   - After anything else, which includes 401, 402, 403, 404, 408, 409 and 429, the
//     next key follows, and then the next candidate.
//
// A policy does not decide about cooldowns, which change the order of later
// requests. A candidate cools down for 5 s after five failures in a row that are
// not the client's doing. Then one request at a time probes it, up to its first
// content. Each probe that fails doubles the cooldown, up to 15 s. A key cools down
// after a 429 that says when to come back until then, and after a 401 for as long
// as it says, else for 60 s. If no key was sent, the candidate does. A later
// success ends a cooldown. A candidate in cooldown is never refused, but tried
// after all others, whatever the strategies chose. See [TriedModel],
// [SkippedModel] and the field CooldownMS of [Attempt].
func DefaultFailoverPolicy() FailoverPolicy {
	return FailoverPolicyFunc(func(f Failure) Step {
		m := f.meaning()
		if m.transient && f.Retries < f.MaxRetries && f.RetryAfter <= maxRetryAfter &&
			(f.Status != http.StatusTooManyRequests || f.RetryAfter >= 0) {
			return StepRetry
		}
		return m.step
	})
}

// meaning is a row of the failure table.
type meaning struct {
	// step is what follows.
	step Step
	// transient is set if the same route may well answer the next time. A silent
	// upstream, and a stream that was cut while held, may not: nobody waits twice
	// for the same silence.
	transient bool
	// class says whose fault it was.
	class stats.Class
	// cools is how long the key cools down if the answer does not say. Zero: only
	// as long as the answer says.
	cools time.Duration
	// asked is set if the answer's own word counts for the cooldown of the key.
	asked bool
	// hint says where the operator should look. Nil: there is nothing to say.
	hint func(a *attempt, f *failure) string
}

// cooldown is how long the key cools down, as the answer asked for a wait or, if
// negative or zero, not.
func (m *meaning) cooldown(asked time.Duration) time.Duration {
	if m.asked && asked > 0 {
		return asked
	}
	return m.cools
}

// The failure table: it is the only place that knows what a failure means. A
// status without a row of its own has that of its class.
var (
	// failuresByKind holds the failures without an error status.
	failuresByKind = map[FailureKind]*meaning{
		FailureSecret:  {step: StepNextKey, class: stats.ServerFault},
		FailureRequest: {step: StepNextCandidate, class: stats.ClientFault},
		FailureConnect: {step: StepNextKey, class: stats.ServerFault, hint: hintConnect},
		FailureNetwork: {step: StepNextKey, class: stats.ServerFault, transient: true},
		FailureTimeout: {step: StepNextKey, class: stats.TimedOut, hint: hintTimeout},
		FailureAnswer:  {step: StepNextKey, class: stats.ServerFault, hint: hintStray},
	}
	// failuresByStatus holds the statuses that differ from their class.
	failuresByStatus = map[int]*meaning{
		http.StatusUnauthorized:     {step: StepNextKey, class: stats.ServerFault, cools: time.Minute, asked: true, hint: hintCredential},
		http.StatusPaymentRequired:  {step: StepNextKey, class: stats.ServerFault},
		http.StatusForbidden:        {step: StepNextKey, class: stats.ServerFault, hint: hintCredential},
		http.StatusNotFound:         {step: StepNextKey, class: stats.ServerFault, hint: hintModel},
		http.StatusMethodNotAllowed: {step: StepNextCandidate, class: stats.ClientFault, hint: hintAddress},
		http.StatusRequestTimeout:   {step: StepNextKey, class: stats.ServerFault},
		http.StatusConflict:         {step: StepNextKey, class: stats.ServerFault},
		http.StatusTooManyRequests:  {step: StepNextKey, class: stats.RateLimited, transient: true, asked: true},
	}
	failureClient  = &meaning{step: StepNextCandidate, class: stats.ClientFault}
	failureServer  = &meaning{step: StepNextKey, class: stats.ServerFault, transient: true}
	failureOther   = &meaning{step: StepNextKey, class: stats.ServerFault}
	failureRefusal = &meaning{step: StepStop, class: stats.ClientFault}
)

// meaning looks a failure up in the table.
func (f Failure) meaning() *meaning {
	if f.Kind != FailureStatus {
		return failuresByKind[f.Kind]
	}
	if isContentRefusal(f.Status, f.Code) {
		return failureRefusal
	}
	if m, ok := failuresByStatus[f.Status]; ok {
		return m
	}
	switch f.Status / 100 {
	case 4:
		return failureClient
	case 5, 6, 7, 8, 9:
		return failureServer
	}
	return failureOther
}

// isContentRefusal reports whether an upstream refused the prompt for what it
// says. OpenAI and Azure name it in the error's code.
func isContentRefusal(status int, code string) bool {
	if status != http.StatusBadRequest && status != http.StatusForbidden {
		return false
	}
	return isContentRefusalCode(code)
}

// isContentRefusalCode goes by the word alone, in whatever case it is written.
func isContentRefusalCode(code string) bool {
	switch strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(code)) {
	case "contentfilter", "contentpolicy", "contentpolicyviolation", "responsibleaipolicyviolation", "moderationblocked":
		return true
	}
	return false
}

// hint says where the operator should look after a failure. It is for logs and
// Results, and never for the client.
func hint(a *attempt, f *failure) string {
	if ask := f.meaning().hint; ask != nil {
		return ask(a, f)
	}
	return ""
}

func hintConnect(a *attempt, f *failure) string {
	p := a.model.provider
	var (
		plain tls.RecordHeaderError
		cert  *tls.CertificateVerificationError
	)
	switch {
	case errors.As(f.cause, &plain):
		return fmt.Sprintf("%s does not speak TLS: give its address as http:// in %s", p.target.Host, addressField(p))
	case errors.As(f.cause, &cert):
		return fmt.Sprintf("the certificate of %s must be for that name, and of an authority that this machine or Config.Transport trusts", p.target.Host)
	case p.hasTarget:
		return fmt.Sprintf("internal_endpoints says that %s is at %s: is the service running there?", p.base.Host, targetURL(p))
	case address.IsInternal(p.base.Hostname()):
		return fmt.Sprintf("%s was looked up as it is: if this network does not know the name, say under internal_endpoints where it is", p.base.Host)
	}
	return ""
}

func hintTimeout(a *attempt, _ *failure) string {
	if address.IsInternal(a.model.provider.base.Hostname()) && !a.committed {
		return "a model that is still being loaded may need longer: raise the timeout, or load it before the first request"
	}
	return ""
}

func hintModel(a *attempt, _ *failure) string {
	return fmt.Sprintf("asked at %s for model %q: check base_url, and that the provider has the model under this very name", a.url, a.model.id)
}

func hintStray(a *attempt, f *failure) string {
	if f.stray {
		return hintAddress(a, f)
	}
	return ""
}

func hintAddress(a *attempt, _ *failure) string {
	return fmt.Sprintf("asked at %s: check that base_url leads to the API, with its /v1 if it has one", a.url)
}

// hintCredential says how the request was authenticated.
func hintCredential(a *attempt, _ *failure) string {
	switch {
	case a.key == "" && len(a.model.provider.operatorAuth) > 0:
		return "the credential was the one under headers: check its value, and which header the provider wants"
	case a.key == "":
		return "no key was sent: if the provider wants one, give it api_keys, or its own header under headers"
	}
	return fmt.Sprintf("the key %s was sent as %s: see auth if the provider wants another header", a.key, a.sentAs)
}

// addressField is the place in the config that says where the provider is.
func addressField(p *provider) string {
	if p.hasTarget {
		return "internal_endpoints"
	}
	return "base_url"
}

// targetURL is where a provider really is, as internal_endpoints writes it.
func targetURL(p *provider) string {
	if address.Socket(p.target.Host) != "" {
		return "unix://" + shownTarget(p.target.Host)
	}
	return p.target.Scheme + "://" + p.target.Host
}

// shownTarget is the host of a target; a unix socket by its path.
func shownTarget(host string) string {
	if socket := address.Socket(host); socket != "" {
		return socket
	}
	return host
}
