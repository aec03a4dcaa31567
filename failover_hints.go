package aigateway

import (
	"crypto/tls"
	"errors"
	"fmt"
)

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
	case isInternalHost(p.base.Hostname()):
		return fmt.Sprintf("%s was looked up as it is: if this network does not know the name, say under internal_endpoints where it is", p.base.Host)
	}
	return ""
}

func hintTimeout(a *attempt, _ *failure) string {
	if isInternalHost(a.model.provider.base.Hostname()) && !a.committed {
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
	if socketOf(p.target.Host) != "" {
		return "unix://" + shownTarget(p.target.Host)
	}
	return p.target.Scheme + "://" + p.target.Host
}

// shownTarget is the host of a target; a unix socket by its path.
func shownTarget(host string) string {
	if socket := socketOf(host); socket != "" {
		return socket
	}
	return host
}
