package gatewayaws

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/aigateway-go/aigateway"
)

// SecretsManagerOptions say which Secrets Manager is asked, and for what.
type SecretsManagerOptions struct {
	// Credentials are those of the SDK, such as aws.Config.Credentials. Required.
	Credentials aws.CredentialsProvider
	// Region is the region of the secrets, such as "eu-central-1". Required.
	Region string
	// Endpoint is the address of the service, such as a VPC endpoint's. If
	// empty, the region's public one.
	Endpoint string
	// SecretID says which secret holds secrets.get(vault, name), by its name or ARN,
	// and which field of its JSON. An empty field stands for the whole value. If
	// nil, the secret is the vault and the field is the name.
	SecretID func(vault, name string) (id, field string)
	// Client sends the requests. If nil, one with a timeout of ten seconds.
	Client *http.Client
}

// SecretsManager is an [aigateway.SecretResolver] before AWS Secrets Manager. Make
// one with [NewSecretsManager]. It keeps no values; the gateway does, for five
// minutes, and asks anew after a 401.
type SecretsManager struct {
	options SecretsManagerOptions
	signer  *Signer
}

// NewSecretsManager returns a SecretsManager. It sends nothing.
func NewSecretsManager(o SecretsManagerOptions) (*SecretsManager, error) {
	signer, err := NewSigner(SignerOptions{Credentials: o.Credentials, Region: o.Region, Service: "secretsmanager"})
	if err != nil {
		return nil, err
	}
	if o.Endpoint == "" {
		zone := "amazonaws.com"
		if strings.HasPrefix(o.Region, "cn-") {
			zone += ".cn"
		}
		o.Endpoint = "https://secretsmanager." + o.Region + "." + zone
	}
	if o.SecretID == nil {
		o.SecretID = func(vault, name string) (id, field string) { return vault, name }
	}
	if o.Client == nil {
		o.Client = &http.Client{Timeout: 10 * time.Second}
	}
	client := *o.Client
	// A redirect would take a signed request elsewhere.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	o.Client = &client
	return &SecretsManager{o, signer}, nil
}

// maxAnswer bounds an answer, in bytes. A secret has 64 KiB at most.
const maxAnswer = 256 << 10

// ResolveSecret asks for the current version of a secret.
func (m *SecretsManager) ResolveSecret(ctx context.Context, vault, name string) (string, error) {
	id, field := m.options.SecretID(vault, name)
	if id == "" {
		return "", fmt.Errorf("%w: vault and name are not of Secrets Manager", aigateway.ErrSecretNotFound)
	}
	value, err := m.get(ctx, id)
	if err != nil || field == "" {
		return value, err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(value), &fields); err != nil { // its text may quote the value
		return "", fmt.Errorf("%w: secret %q is not a JSON object with a field %q", aigateway.ErrSecretNotFound, id, field)
	}
	var text string
	if json.Unmarshal(fields[field], &text) != nil || text == "" {
		return "", fmt.Errorf("%w: secret %q has no field %q with a text", aigateway.ErrSecretNotFound, id, field)
	}
	return text, nil
}

// get asks for the whole value of a secret.
func (m *SecretsManager) get(ctx context.Context, id string) (string, error) {
	body, err := json.Marshal(map[string]string{"SecretId": id})
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.options.Endpoint+"/", strings.NewReader(string(body)))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	signed, err := m.signer.signed(req, "X-Amz-Target", "secretsmanager.GetSecretValue")
	if err != nil {
		return "", err
	}
	resp, err := m.options.Client.Do(signed)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", refusal(id, resp.StatusCode, data)
	}
	var answer struct {
		SecretString string
		SecretBinary []byte
	}
	if err := json.Unmarshal(data, &answer); err != nil { // its text may quote the value
		return "", errors.New("the answer of Secrets Manager cannot be read")
	}
	if answer.SecretString == "" {
		return string(answer.SecretBinary), nil
	}
	return answer.SecretString, nil
}

// refusal is the error of an answer without a secret.
func refusal(id string, status int, data []byte) error {
	var answer struct {
		Type    string `json:"__type"`
		Message string
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return fmt.Errorf("Secrets Manager answered %d", status) //nolint:staticcheck // a name
	}
	kind := answer.Type[strings.LastIndexByte(answer.Type, '#')+1:]
	if kind == "ResourceNotFoundException" {
		return fmt.Errorf("%w: Secrets Manager has no %q", aigateway.ErrSecretNotFound, id)
	}
	message := answer.Message
	if len(message) > 300 {
		message = strings.ToValidUTF8(message[:300], "") + "…"
	}
	return fmt.Errorf("Secrets Manager answered %d %s: %s", status, kind, message) //nolint:staticcheck // a name
}
