package gatewayoauth2

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"github.com/aigateway-go/aigateway"
)

// Tokens is an [aigateway.SecretResolver] with one secret: the access token of a
// source. Make one with [New] or [Func], and several into one with
// [aigateway.ChainSecrets]. It is safe for concurrent use.
type Tokens struct {
	vault, name string
	fetch       func(ctx context.Context) (*oauth2.Token, error)

	mu     sync.Mutex
	flight *flight // the question under way; nil if none
}

// New answers secrets.get(vault, name) with the access token of a source. The source
// is asked by one goroutine at a time. It may keep a token until shortly before its
// end, as those of package oauth2 do.
//
// Most sources keep the context of their making: give them one beyond any request.
func New(vault, name string, source oauth2.TokenSource) *Tokens {
	return Func(vault, name, func(context.Context) (*oauth2.Token, error) { return source.Token() })
}

// Func answers secrets.get(vault, name) with a token by fetch. Fetch keeps no
// token: a new one comes after an upstream has refused the old one. The Token
// method of a clientcredentials.Config is such a function.
func Func(vault, name string, fetch func(ctx context.Context) (*oauth2.Token, error)) *Tokens {
	return &Tokens{vault: vault, name: name, fetch: fetch}
}

// flight is one question to the source.
type flight struct {
	done  chan struct{} // closed once the rest is set
	token *oauth2.Token
	err   error
}

// ResolveSecret returns a token.
func (t *Tokens) ResolveSecret(ctx context.Context, vault, name string) (string, error) {
	value, _, err := t.ResolveSecretUntil(ctx, vault, name)
	return value, err
}

// ResolveSecretUntil returns a token and its end. It returns when ctx ends, though the
// source may know no context; the answer is for those who ask next.
func (t *Tokens) ResolveSecretUntil(ctx context.Context, vault, name string) (string, time.Time, error) {
	if vault != t.vault || name != t.name {
		return "", time.Time{}, fmt.Errorf("%w: the tokens are of vault %q and name %q", aigateway.ErrSecretNotFound, t.vault, t.name)
	}
	f := t.ask(ctx)
	select {
	case <-f.done:
	case <-ctx.Done():
		return "", time.Time{}, context.Cause(ctx)
	}
	switch {
	case f.err != nil:
		return "", time.Time{}, f.err
	case f.token == nil || f.token.AccessToken == "":
		return "", time.Time{}, errors.New("the source gave an empty token")
	}
	return f.token.AccessToken, f.token.Expiry, nil
}

// fetchTimeout bounds one question to the source.
const fetchTimeout = 30 * time.Second

// ask returns the question under way, or starts one.
func (t *Tokens) ask(ctx context.Context) *flight {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.flight != nil {
		return t.flight
	}
	f := &flight{done: make(chan struct{}), err: errors.New("the source of tokens did not return")}
	t.flight = f
	// Others may wait for the answer after this request has given up.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
	go func() {
		defer cancel()
		defer func() {
			if p := recover(); p != nil { // its value could hold a secret
				f.token, f.err = nil, fmt.Errorf("the source of tokens panicked with a %T", p)
			}
			t.mu.Lock()
			t.flight = nil
			t.mu.Unlock()
			close(f.done)
		}()
		token, err := t.fetch(ctx)
		f.token, f.err = token, shortened(err)
	}()
	return f
}

// shortened is an error without the body of the endpoint's answer: it could hold
// anything. OAuth's own words stay.
func shortened(err error) error {
	var answer *oauth2.RetrieveError
	if !errors.As(err, &answer) {
		return err
	}
	text := "the token endpoint refused"
	if answer.Response != nil {
		text = fmt.Sprintf("the token endpoint answered %d", answer.Response.StatusCode)
	}
	for _, word := range []string{answer.ErrorCode, answer.ErrorDescription} {
		if word != "" {
			text += ": " + word
		}
	}
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > 300 {
		text = strings.ToValidUTF8(text[:300], "") + "…"
	}
	return errors.New(text)
}

// String hides the source. It may hold a secret.
func (t *Tokens) String() string {
	return fmt.Sprintf("tokens of vault %q and name %q", t.vault, t.name)
}

// GoString hides the source. It may hold a secret.
func (t *Tokens) GoString() string {
	return fmt.Sprintf("gatewayoauth2.New(%q, %q, …)", t.vault, t.name)
}
