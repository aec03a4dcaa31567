package redact

import "strings"

// IsCredentialHeader reports whether a client's header authenticates the client.
// The name is canonical.
//
// Such a header is not forwarded to a provider.
func IsCredentialHeader(canonical string) bool {
	switch canonical {
	case "Authorization", "Cookie", "Api-Key", "Apikey", "Subscription-Key":
		return true
	}
	for _, suffix := range credentialSuffixes {
		if strings.HasSuffix(canonical, suffix) {
			return true
		}
	}
	return false
}

// credentialSuffixes end the names of the credential headers of vendors, clouds and
// proxies, such as Ocp-Apim-Subscription-Key.
var credentialSuffixes = [...]string{
	"-Authorization", "-Api-Key", "-Apikey", "-Subscription-Key", "-Auth-Token", "-Access-Token", "-Auth-Key", "-Secret-Key", "-Security-Token",
}

// TellsCredential reports whether a name of a header has a word for a credential in
// it. A provider's own headers are known by just their first word.
//
// It errs on the side of more, unlike [IsCredentialHeader].
func TellsCredential(name string) bool {
	name = strings.ToLower(name)
	for _, word := range [...]string{"auth", "token", "secret", "password", "cookie", "credential", "jwt", "bearer", "-key"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}

// IsCredentialParam reports whether a query parameter authenticates the client.
// The case of letters, underscores and the brackets of a list do not count.
func IsCredentialParam(name string) bool {
	name, _, _ = strings.Cut(name, "[")
	name = strings.ToLower(strings.ReplaceAll(strings.TrimSpace(name), "_", "-"))
	switch name {
	case "key", "api-key", "apikey", "access-token", "accesstoken", "token", "api-token", "apitoken", "auth", "authorization", "auth-token", "authtoken", "auth-key",
		"subscription-key", "id-token", "refresh-token", "session-token", "client-secret", "secret", "password", "sig", "signature", "jwt", "bearer":
		return true
	}
	for _, suffix := range paramSuffixes {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

// paramSuffixes end the names of the credential parameters of vendors and clouds,
// such as those of signed URLs.
var paramSuffixes = [...]string{
	"-api-key", "-subscription-key", "-auth-token", "-access-token", "-security-token", "-session-token", "-signature", "-credential", "-authorization",
}

// secretWords are the words by which a name announces a secret.
var secretWords = [...]string{
	"auth", "token", "secret", "key", "password", "cookie", "session", "signature", "credential", "jwt", "assertion",
}

// IsSecretName reports whether the name of a header, a parameter or a field
// announces a secret value.
//
// The values of such names are redacted in logs and on the debug page.
func IsSecretName(name string) bool {
	name = strings.ToLower(name)
	if name == "idempotency-key" {
		return false
	}
	for _, word := range secretWords {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}
