package gatewayvault

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/aigateway-go/aigateway"
)

// Options say which Vault is asked, and as whom.
type Options struct {
	// Address is Vault's, such as "https://vault.example.com:8200". Required.
	Address string
	// Auth says who the gateway is. Required.
	Auth Auth
	// Namespace is the namespace of Vault Enterprise. It also holds for logins. If
	// empty, the root.
	Namespace string
	// Mount is the place of the key-value engine. If empty, "secret".
	Mount string
	// Path says where the secret of secrets.get(vault, name) is below /v1, and in
	// which field. An empty path stands for a secret of another store.
	// If nil, the key-value secret by the name of the vault, and the field by the
	// name of the secret. The path is escaped already.
	Path func(vault, name string) (path, field string)
	// Client sends the requests. If nil, one with a timeout of ten seconds.
	Client *http.Client
}

// Vault is an [aigateway.SecretResolver] before HashiCorp Vault or OpenBao. Make one
// with [New]. It is safe for concurrent use.
//
// Key-value secrets are read with each question: the gateway's cache stands before
// it. A secret with a lease is kept until half of its lease, so that its fields belong
// together, and is renewed then.
type Vault struct {
	options Options
	session session

	mu    sync.Mutex
	paths map[string]*place
}

// place is what is known of one path.
type place struct {
	turn turn
	// The rest is guarded by turn.
	fields map[string]json.RawMessage // of the lease
	lease  string                     // empty: none is held
	life   life
	read   time.Time
}

// New returns a Vault. It sends nothing.
func New(o Options) (*Vault, error) {
	u, err := url.Parse(o.Address)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("gatewayvault: Address must be like https://vault.example.com:8200")
	case o.Auth == nil:
		return nil, errors.New("gatewayvault: Auth is missing: Token, TokenFile, Kubernetes, JWTFile or AppRole")
	}
	o.Address = strings.TrimRight(o.Address, "/")
	if o.Mount == "" {
		o.Mount = "secret"
	}
	if o.Path == nil {
		mount := o.Mount
		o.Path = func(vault, name string) (path, field string) { return KV(mount, vault), name }
	}
	if o.Client == nil {
		o.Client = &http.Client{Timeout: 10 * time.Second}
	}
	client := *o.Client
	client.CheckRedirect = checkRedirect
	o.Client = &client
	return &Vault{options: o, session: session{turn: make(turn, 1)}, paths: map[string]*place{}}, nil
}

// KV returns the path of a key-value secret of version 2, for Options.Path. Slashes
// in the secret's name divide folders.
func KV(mount, secret string) string {
	parts := strings.Split(secret, "/")
	for i, part := range parts {
		if part == "." || part == ".." || part == "" {
			return "" // the names can come from a request
		}
		parts[i] = url.PathEscape(part)
	}
	return mount + "/data/" + strings.Join(parts, "/")
}

// checkRedirect follows a standby to the active node, once and not to http.
func checkRedirect(r *http.Request, via []*http.Request) error {
	if len(via) > 1 || via[0].URL.Scheme == "https" && r.URL.Scheme != "https" {
		return http.ErrUseLastResponse
	}
	return nil
}

// ResolveSecret asks for a secret.
func (v *Vault) ResolveSecret(ctx context.Context, vault, name string) (string, error) {
	value, _, err := v.ResolveSecretUntil(ctx, vault, name)
	return value, err
}

// ResolveSecretUntil asks for a secret, and returns the end of its lease. Without a
// lease it returns the zero time.
func (v *Vault) ResolveSecretUntil(ctx context.Context, vault, name string) (string, time.Time, error) {
	return v.resolve(ctx, vault, name, func(p *place) bool { return v.hold(ctx, p) })
}

// Refresh reads a secret anew, whatever its lease. A secret read less than a
// second ago is not read again: its fields are refreshed one after the other, and
// belong together.
func (v *Vault) Refresh(ctx context.Context, vault, name string) (string, error) {
	value, _, err := v.resolve(ctx, vault, name, func(p *place) bool {
		return p.lease != "" && time.Since(p.read) < time.Second
	})
	return value, err
}

// resolve returns a field of a path. It reads the path unless the held lease will do.
func (v *Vault) resolve(ctx context.Context, vault, name string, willDo func(*place) bool) (string, time.Time, error) {
	path, field := v.options.Path(vault, name)
	if path == "" {
		return "", time.Time{}, fmt.Errorf("%w: vault %q and name %q are not of Vault", aigateway.ErrSecretNotFound, vault, name)
	}
	p := v.place(path)
	if err := p.turn.take(ctx); err != nil {
		return "", time.Time{}, err
	}
	defer p.turn.give()
	fields := p.fields
	if !willDo(p) {
		var err error
		if fields, err = v.readPath(ctx, path, p); err != nil {
			return "", time.Time{}, err
		}
	}
	var text string
	if json.Unmarshal(fields[field], &text) != nil || text == "" {
		return "", time.Time{}, fmt.Errorf("%w: %q of Vault has no field %q with a text", aigateway.ErrSecretNotFound, path, field)
	}
	return text, p.life.ends, nil
}

// maxPaths bounds the remembered paths, as names can come from requests.
const maxPaths = 1024

// place returns what is known of a path.
func (v *Vault) place(path string) *place {
	v.mu.Lock()
	defer v.mu.Unlock()
	if p := v.paths[path]; p != nil {
		return p
	}
	if len(v.paths) >= maxPaths {
		maps.DeleteFunc(v.paths, func(_ string, p *place) bool {
			select {
			case p.turn <- struct{}{}:
				defer p.turn.give()
				return p.lease == ""
			default:
				return false // in use
			}
		})
	}
	p := &place{turn: make(turn, 1)}
	v.paths[path] = p
	return p
}

// hold reports whether the held lease is good for a while. It renews the lease after
// half of its life.
func (v *Vault) hold(ctx context.Context, p *place) bool {
	now := time.Now()
	switch {
	case p.lease == "" || p.life.ended(now):
		return false
	case !p.life.due(now):
		return true
	case !p.life.renewable:
		return false
	}
	var answer struct {
		LeaseDuration int  `json:"lease_duration"`
		Renewable     bool `json:"renewable"`
	}
	question := map[string]any{"lease_id": p.lease, "increment": int(p.life.full.Seconds())}
	if err := v.ask(ctx, http.MethodPost, "sys/leases/renew", question, &answer); err != nil {
		return false
	}
	next, enough := p.life.renewed(time.Now(), answer.LeaseDuration, answer.Renewable)
	p.life = next
	return enough
}

// readPath reads the fields of a path. A lease replaces the held one. After an error
// the held one stays.
func (v *Vault) readPath(ctx context.Context, path string, p *place) (map[string]json.RawMessage, error) {
	var answer struct {
		LeaseID       string                     `json:"lease_id"`
		LeaseDuration int                        `json:"lease_duration"`
		Renewable     bool                       `json:"renewable"`
		Data          map[string]json.RawMessage `json:"data"`
	}
	err := v.ask(ctx, http.MethodGet, path, nil, &answer)
	var status *StatusError
	if errors.As(err, &status) && status.Status == http.StatusNotFound {
		return nil, fmt.Errorf("%w: Vault has no %q", aigateway.ErrSecretNotFound, path)
	}
	if err != nil {
		return nil, err
	}
	p.fields, p.lease, p.life, p.read = nil, "", life{}, time.Now()
	if answer.LeaseID != "" && answer.LeaseDuration > 0 {
		p.fields, p.lease, p.life = answer.Data, answer.LeaseID, newLife(p.read, answer.LeaseDuration, answer.Renewable)
		return p.fields, nil
	}
	if answer.Data["metadata"] != nil { // the key-value engine, version 2
		var inner map[string]json.RawMessage
		if err := json.Unmarshal(answer.Data["data"], &inner); err == nil {
			return inner, nil
		}
	}
	return answer.Data, nil
}

// ask calls Vault in the session. A refused token is replaced once.
func (v *Vault) ask(ctx context.Context, method, path string, question, answer any) error {
	for again := false; ; again = true {
		token, err := v.current(ctx)
		if err != nil {
			return err
		}
		err = v.call(ctx, method, path, token, question, answer)
		var status *StatusError
		if again || !errors.As(err, &status) || status.Status != http.StatusForbidden || !v.forget(ctx, token) {
			return err
		}
	}
}

// StatusError is an answer of Vault other than a success.
type StatusError struct {
	Status int
	// Errors are Vault's words. They are for operators.
	Errors []string
}

// Error returns the status and Vault's words, cut to 300 bytes.
func (e *StatusError) Error() string {
	text := fmt.Sprintf("Vault answered %d", e.Status)
	if len(e.Errors) > 0 {
		text += ": " + strings.Join(e.Errors, "; ")
	}
	if len(text) > 300 {
		text = strings.ToValidUTF8(text[:300], "") + "…"
	}
	return text
}

// maxAnswer bounds an answer, in bytes.
const maxAnswer = 1 << 20

// call sends one request to Vault. A nil question has no body. An error that is not a
// [*StatusError] is an outage. No error quotes the token or a value.
func (v *Vault) call(ctx context.Context, method, path, token string, question, answer any) error {
	var body io.Reader
	if question != nil {
		data, err := json.Marshal(question)
		if err != nil {
			return err
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, v.options.Address+"/v1/"+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("X-Vault-Request", "true")
	if token != "" {
		req.Header.Set("X-Vault-Token", token)
	}
	if v.options.Namespace != "" {
		req.Header.Set("X-Vault-Namespace", v.options.Namespace)
	}
	resp, err := v.options.Client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		status := &StatusError{Status: resp.StatusCode}
		var words struct {
			Errors []string `json:"errors"`
		}
		if json.Unmarshal(data, &words) == nil {
			status.Errors = words.Errors
		}
		if resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests {
			return fmt.Errorf("%s", status.Error()) // an outage, sealed or overloaded
		}
		return status
	}
	if err := json.Unmarshal(data, answer); err != nil { // its text may quote a value
		return errors.New("the answer of Vault cannot be read")
	}
	return nil
}

// String hides the token.
func (v *Vault) String() string { return "Vault at " + v.options.Address }

// GoString hides the token.
func (v *Vault) GoString() string { return "&gatewayvault.Vault{" + v.options.Address + "}" }
