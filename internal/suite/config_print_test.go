package suite_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/aigateway-go/aigateway"
)

// holder stands for any dependency: its field is a secret.
type holder struct{ Password string }

func (holder) ResolveSecret(context.Context, string, string) (string, error) { return "", nil }
func (holder) Providers(context.Context) ([]aigateway.Provider, error)       { return nil, nil }
func (holder) RoundTrip(*http.Request) (*http.Response, error)               { return nil, nil }
func (holder) NextStep(aigateway.Failure) aigateway.Step                     { return 0 }
func (holder) CheckURL(*url.URL) error                                       { return nil }
func (holder) CountTokens(context.Context, string, []byte) (int64, error)    { return 0, nil }
func (holder) Enabled(context.Context, slog.Level) bool                      { return false }
func (holder) Handle(context.Context, slog.Record) error                     { return nil }
func (h holder) WithAttrs([]slog.Attr) slog.Handler                          { return h }
func (h holder) WithGroup(string) slog.Handler                               { return h }
func (holder) Admit(context.Context, *aigateway.ClientRequest) (func(*aigateway.Result), error) {
	return nil, nil
}

// Whatever a Go program puts into a Config, printing it shows no field of a dependency.
func TestPrintedConfigHidesDependencies(t *testing.T) {
	const secret = "correct horse battery"
	var cfg aigateway.Config
	v := reflect.ValueOf(&cfg).Elem()
	filled := 0
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Tag.Get("json") != "-" || f.Type.Kind() != reflect.Interface || !reflect.TypeFor[holder]().Implements(f.Type) {
			continue
		}
		v.Field(i).Set(reflect.ValueOf(holder{secret}))
		filled++
	}
	assert.Greater(t, filled, 3)
	cfg.SharedSecret = []byte(secret)
	cfg.Logger = slog.New(holder{secret})
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		text := fmt.Sprintf(verb, cfg)
		assert.NotContains(t, text, "horse", verb)
		assert.NotContains(t, text, fmt.Sprintf("%v", []byte(secret))[1:20], verb)
	}
	assert.Contains(t, fmt.Sprintf("%+v", cfg), "suite_test.holder")
}
