package builtin

import "strings"

// IsAzure reports whether a host is an Azure endpoint that takes a key in a
// header of its own. Behind Bearer such an endpoint wants a token.
// The zones are those of Azure OpenAI and AI Foundry, in the public cloud and in
// the ones of the US government and China.
func IsAzure(host string) bool {
	for _, zone := range []string{".openai.azure.com", ".services.ai.azure.com", ".cognitiveservices.azure.com", ".openai.azure.us", ".openai.azure.cn"} {
		if strings.HasSuffix(host, zone) {
			return true
		}
	}
	return false
}

// IsOpenAI reports whether a host is OpenAI's own, in any region.
// Regional hosts look like eu.api.openai.com.
func IsOpenAI(host string) bool {
	return host == "api.openai.com" || strings.HasSuffix(host, ".api.openai.com")
}
