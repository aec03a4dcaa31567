package gatewayoauth2

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// AzureWorkloadIdentity logs in to Microsoft Entra by the token of a Kubernetes
// service account. The zero value takes all from the environment, as set by Azure's
// webhook in a pod. Its Token method is for [Func].
type AzureWorkloadIdentity struct {
	// TenantID and ClientID name the identity. If empty, AZURE_TENANT_ID and
	// AZURE_CLIENT_ID.
	TenantID, ClientID string
	// TokenFile holds the token of the service account. It is read for each login.
	// If empty, AZURE_FEDERATED_TOKEN_FILE.
	TokenFile string
	// AuthorityHost is Entra's address. If empty, AZURE_AUTHORITY_HOST, or else
	// "https://login.microsoftonline.com/".
	AuthorityHost string
	// Scope is what the token is for. If empty,
	// "https://cognitiveservices.azure.com/.default", as Azure OpenAI wants.
	Scope string
	// Client sends the logins. If nil, one with a timeout of ten seconds.
	Client *http.Client
}

// Token logs in.
func (a AzureWorkloadIdentity) Token(ctx context.Context) (*oauth2.Token, error) {
	tenant, client := cmp.Or(a.TenantID, os.Getenv("AZURE_TENANT_ID")), cmp.Or(a.ClientID, os.Getenv("AZURE_CLIENT_ID"))
	file := cmp.Or(a.TokenFile, os.Getenv("AZURE_FEDERATED_TOKEN_FILE"))
	if tenant == "" || client == "" || file == "" {
		return nil, errors.New("Azure's workload identity is not set up: AZURE_TENANT_ID, AZURE_CLIENT_ID or AZURE_FEDERATED_TOKEN_FILE is missing") //nolint:staticcheck // a name
	}
	assertion, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	host := cmp.Or(a.AuthorityHost, os.Getenv("AZURE_AUTHORITY_HOST"), "https://login.microsoftonline.com/")
	login := clientcredentials.Config{
		ClientID:  client,
		TokenURL:  strings.TrimRight(host, "/") + "/" + url.PathEscape(tenant) + "/oauth2/v2.0/token",
		Scopes:    []string{cmp.Or(a.Scope, "https://cognitiveservices.azure.com/.default")},
		AuthStyle: oauth2.AuthStyleInParams,
		EndpointParams: url.Values{
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
			"client_assertion":      {strings.TrimSpace(string(assertion))},
		},
	}
	by := a.Client
	if by == nil {
		by = &http.Client{Timeout: 10 * time.Second}
	}
	return login.Token(context.WithValue(ctx, oauth2.HTTPClient, by))
}
