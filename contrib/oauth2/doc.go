// Package gatewayoauth2 answers secrets.get with access tokens of OAuth 2.0: Google's
// default credentials for Vertex AI, client credentials, Azure's workload identity, or
// any other oauth2.TokenSource.
//
// The gateway renews a token ahead, at 80 % of its life. No request waits for it.
package gatewayoauth2
