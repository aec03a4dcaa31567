package gatewayvault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// session is the token of the gateway at Vault.
type session struct {
	turn  turn // held by what reads or changes the rest
	token string
	life  life
	began time.Time
}

// minSession is the least time between a login and the next one for a refused token:
// a forbidden path also answers 403.
const minSession = 10 * time.Second

// turn is a lock. A context can end the wait for it.
type turn chan struct{}

func (t turn) take(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (t turn) give() { <-t }

// current returns a token good for a while. It logs in if it has no token, and
// renews the token after half of its life.
func (v *Vault) current(ctx context.Context) (string, error) {
	s := &v.session
	if err := s.turn.take(ctx); err != nil {
		return "", err
	}
	defer s.turn.give()
	switch now := time.Now(); {
	case s.token == "" || s.life.ended(now):
		s.token = ""
		if err := v.logIn(ctx); err != nil {
			return "", fmt.Errorf("cannot log in to Vault: %w", err)
		}
	case s.life.due(now):
		v.lengthen(ctx)
	}
	return s.token, nil
}

// forget drops a refused token. It reports whether there is another one, or a login for
// one.
func (v *Vault) forget(ctx context.Context, refused string) bool {
	s := &v.session
	if s.turn.take(ctx) != nil {
		return false
	}
	defer s.turn.give()
	if s.token != refused {
		return true // another request has logged in
	}
	if time.Since(s.began) < minSession {
		return false
	}
	in, err := v.options.Auth.login()
	if err != nil || in.path == "" && in.token == refused {
		return false
	}
	s.token = ""
	return true
}

// logIn makes a session. The turn is held. After an error the last session stays.
func (v *Vault) logIn(ctx context.Context) error {
	in, err := v.options.Auth.login()
	if err != nil {
		return err
	}
	s := &v.session
	if in.path != "" {
		var answer authAnswer
		if err := v.call(ctx, http.MethodPost, in.path, "", in.body, &answer); err != nil {
			return err
		}
		if answer.Auth.ClientToken == "" {
			return errors.New("it gave no token")
		}
		s.began = time.Now()
		s.token, s.life = answer.Auth.ClientToken, newLife(time.Now(), answer.Auth.LeaseDuration, answer.Auth.Renewable)
		return nil
	}
	var known struct {
		Data struct {
			TTL       int  `json:"ttl"`
			Renewable bool `json:"renewable"`
		} `json:"data"`
	}
	err = v.call(ctx, http.MethodGet, "auth/token/lookup-self", in.token, nil, &known)
	var status *StatusError
	switch {
	case err == nil:
		s.began = time.Now()
		s.token, s.life = in.token, newLife(time.Now(), known.Data.TTL, known.Data.Renewable)
		return nil
	case errors.As(err, &status) && status.Status == http.StatusForbidden:
		// A policy may forbid the look-up. The token is used until it is refused.
		s.token, s.life = in.token, life{}
		return nil
	}
	return err
}

// authAnswer is the answer to a login and to the renewal of a token.
type authAnswer struct {
	Auth struct {
		ClientToken   string `json:"client_token"`
		LeaseDuration int    `json:"lease_duration"`
		Renewable     bool   `json:"renewable"`
	} `json:"auth"`
}

// lengthen renews the token, or logs in anew if it cannot be renewed for long. If
// all fails, the token serves to its end. The turn is held.
func (v *Vault) lengthen(ctx context.Context) {
	s := &v.session
	s.life.postpone(time.Now())
	if s.life.renewable {
		var answer authAnswer
		err := v.call(ctx, http.MethodPost, "auth/token/renew-self", s.token, map[string]string{}, &answer)
		var status *StatusError
		if err != nil && !errors.As(err, &status) {
			return // an outage
		}
		if err == nil {
			var enough bool
			s.life, enough = s.life.renewed(time.Now(), answer.Auth.LeaseDuration, answer.Auth.Renewable)
			if enough {
				return
			}
		}
	}
	in, err := v.options.Auth.login()
	if err != nil || in.path == "" && in.token == s.token {
		return
	}
	v.logIn(ctx) //nolint:errcheck // the old session stays
}
