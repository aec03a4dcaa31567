package aigateway

import (
	"context"
	"errors"
	"strings"
	"time"
)

// ExpiringSecretResolver is what a [SecretResolver] may implement as well, if it
// knows how long its values are good: tokens of OAuth, leases of a vault.
//
// ResolveSecretUntil is called in the place of ResolveSecret. Until is when the value
// ends; the zero time stands for a value without an end. A [SecretCache] asks anew
// at 80 % of a value's remaining life. One request in passing does so, and no
// request waits while the old value is good. After its end a value is not used. The
// answer before the end may be the same value again, with the same until. Errors,
// contexts and goroutines are as for ResolveSecret. [NewSecretCache] and
// [ChainSecrets] look for the power by type assertion.
type ExpiringSecretResolver interface {
	ResolveSecretUntil(ctx context.Context, vault, name string) (value string, until time.Time, err error)
}

// secretAsker asks a store for a secret, and how long its value is good.
type secretAsker func(ctx context.Context, vault, name string) (value string, until time.Time, err error)

// resolving returns how r resolves.
func resolving(r SecretResolver) secretAsker {
	if expiring, ok := r.(ExpiringSecretResolver); ok {
		return expiring.ResolveSecretUntil
	}
	return untilUnknown(r.ResolveSecret)
}

// refreshing returns how r refreshes. Without the power, it resolves.
func refreshing(r SecretResolver) secretAsker {
	if own, ok := r.(interface {
		refreshUntil(ctx context.Context, vault, name string) (string, time.Time, error)
	}); ok {
		return own.refreshUntil
	}
	inner, ok := r.(SecretRefresher)
	if !ok {
		return resolving(r)
	}
	expiring, ok := r.(ExpiringSecretResolver)
	if !ok {
		return untilUnknown(inner.Refresh)
	}
	return func(ctx context.Context, vault, name string) (string, time.Time, error) {
		value, err := inner.Refresh(ctx, vault, name)
		if err != nil {
			return value, time.Time{}, err
		}
		// Refresh does not tell the end of its value.
		if kept, until, err := expiring.ResolveSecretUntil(ctx, vault, name); err == nil && kept == value {
			return value, until, nil
		}
		return value, time.Time{}, nil
	}
}

func untilUnknown(ask func(ctx context.Context, vault, name string) (string, error)) secretAsker {
	return func(ctx context.Context, vault, name string) (string, time.Time, error) {
		value, err := ask(ctx, vault, name)
		return value, time.Time{}, err
	}
}

// askSecret asks. An empty value is not found, so that a blank never travels as
// "Authorization: Bearer ".
func askSecret(ctx context.Context, ask secretAsker, vault, name string) (string, time.Time, error) {
	value, until, err := ask(ctx, vault, name)
	switch {
	case err != nil:
		return "", time.Time{}, withoutValue(err, value)
	case value == "":
		return "", time.Time{}, notFound("the value of %q in %q is empty", name, vault)
	}
	return value, until, nil
}

// ResolveSecret asks each store in turn.
func (c chainSecrets) ResolveSecret(ctx context.Context, vault, name string) (string, error) {
	value, _, err := c.ask(ctx, resolving, vault, name)
	return value, err
}

// ResolveSecretUntil asks each store in turn.
func (c chainSecrets) ResolveSecretUntil(ctx context.Context, vault, name string) (string, time.Time, error) {
	return c.ask(ctx, resolving, vault, name)
}

// Refresh asks each store in turn, and by its own Refresh if it has one.
func (c chainSecrets) Refresh(ctx context.Context, vault, name string) (string, error) {
	value, _, err := c.ask(ctx, refreshing, vault, name)
	return value, err
}

func (c chainSecrets) refreshUntil(ctx context.Context, vault, name string) (string, time.Time, error) {
	return c.ask(ctx, refreshing, vault, name)
}

// ask asks each store in turn, in the way of how.
func (c chainSecrets) ask(ctx context.Context, how func(SecretResolver) secretAsker, vault, name string) (string, time.Time, error) {
	var looked []string
	for _, r := range c {
		if r == nil {
			continue
		}
		value, until, err := askSecret(ctx, how(r), vault, name)
		if err == nil || !errors.Is(err, ErrSecretNotFound) {
			return value, until, err
		}
		looked = append(looked, strings.TrimPrefix(err.Error(), ErrSecretNotFound.Error()+": "))
	}
	if looked == nil {
		return "", time.Time{}, notFound("there is no store to look in")
	}
	return "", time.Time{}, notFound("%s", strings.Join(looked, "; "))
}
