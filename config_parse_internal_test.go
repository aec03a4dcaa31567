//go:build unix

package aigateway

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/bounds"
	"github.com/aigateway-go/aigateway/internal/schema"
)

// A config that is not a regular file does not hang.
func TestConfigOfPipe(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	_, err := LoadConfig(fifo)
	require.ErrorContains(t, err, fifo)
}

// A pipe is read as <(…) of a shell gives it, and so are links and devices.
func TestConfigOfOtherFiles(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	_, err = w.WriteString("max_attempts: 3\n")
	require.NoError(t, err)
	require.NoError(t, w.Close())
	cfg, err := LoadConfig(fmt.Sprintf("/dev/fd/%d", r.Fd()))
	require.NoError(t, err)
	assert.Equal(t, 3, cfg.MaxAttempts)

	file := filepath.Join(t.TempDir(), "config.yaml")
	link := filepath.Join(t.TempDir(), "link.yaml")
	require.NoError(t, os.WriteFile(file, []byte("max_attempts: 4\n"), 0o600))
	require.NoError(t, os.Symlink(file, link))
	cfg, err = LoadConfig(link)
	require.NoError(t, err)
	assert.Equal(t, 4, cfg.MaxAttempts)
}

func TestBoundsOfConfig(t *testing.T) {
	var p problems
	assert.Equal(t, 3*time.Minute, p.duration("per_request_timeout", ""))
	assert.Equal(t, 3*time.Minute, p.duration("per_request_timeout", "0"))
	assert.Equal(t, time.Second, p.duration("total_timeout", "1s"))
	assert.Zero(t, p.duration("first_token_timeout", ""))
	assert.Equal(t, 10, p.number("max_attempts", 0))
	assert.Equal(t, 100, p.number("max_attempts", 100))
	assert.Zero(t, p.number("max_retries", 0))
	require.Empty(t, p)
	p.number("max_attempts", 101)
	p.number("max_attempts", -1)
	p.number("max_input_tokens", 500_001)
	require.Len(t, p, 3)
	assert.EqualError(t, p[0], `max_attempts: "101": must be from 1 to 100`)
	assert.EqualError(t, p[1], `max_attempts: "-1": must be from 1 to 100`)
	assert.EqualError(t, p[2], `max_input_tokens: "500001": must be from 0 to 500000`)
}

func TestWithDefaults(t *testing.T) {
	got := withDefaults(Config{})
	assert.Equal(t, Duration("3m0s"), got.PerRequestTimeout)
	assert.Equal(t, 10, got.MaxAttempts)
	assert.Equal(t, StreamCommitFirstContent, got.StreamCommit)
	assert.Equal(t, OnErrorHalt, got.OnError)
	assert.Empty(t, got.FirstTokenTimeout)
	again := withDefaults(got)
	assert.True(t, reflect.DeepEqual(got, again))

	given := Config{PerRequestTimeout: "1s", TotalTimeout: "2s", MaxAttempts: 1, StreamCommit: StreamCommitComplete, OnError: OnErrorContinue}
	got = withDefaults(given)
	assert.Equal(t, given.PerRequestTimeout, got.PerRequestTimeout)
	assert.Equal(t, given.MaxAttempts, got.MaxAttempts)
	assert.Equal(t, given.StreamCommit, got.StreamCommit)
	assert.Equal(t, given.OnError, got.OnError)
}

func TestConfigSchemaIsUpToDate(t *testing.T) {
	want, err := schema.Generate(reflect.TypeFor[Config](), ".")
	require.NoError(t, err)
	require.Equal(t, string(want), string(ConfigSchema()), "config.schema.json is not what the types say: run go generate .")
	ConfigSchema()[0] = 'x'
	assert.Equal(t, byte('{'), ConfigSchema()[0], "the caller owns the bytes")
}

// Every bound, word and default of the schema agrees with New.
func TestConfigSchemaAgreesWithNew(t *testing.T) {
	// The places of a type's fields in a document.
	around := map[string]string{
		"Config":     `{"providers":[{"id":"p","base_url":"https://p.example"}],%s}`,
		"Provider":   `{"providers":[{"id":"p","base_url":"https://p.example",%s}]}`,
		"Model":      `{"providers":[{"id":"p","base_url":"https://p.example","models":[{"id":"m",%s}]}]}`,
		"Pricing":    `{"providers":[{"id":"p","base_url":"https://p.example","models":[{"id":"m","pricing":{%s}}]}]}`,
		"APISurface": `{"providers":[{"id":"p","base_url":"https://p.example","supported_api_surfaces":[{%s}]}]}`,
		"Auth":       `{"providers":[{"id":"p","base_url":"https://p.example","auth":{%s}}]}`,
	}
	accepts := func(kind, name string, value any) bool {
		raw, err := json.Marshal(value)
		require.NoError(t, err)
		field := fmt.Sprintf("%q:%s", name, raw)
		if kind == "APISurface" && name != "format" {
			field += `,"format":"` + map[bool]string{true: "anthropic", false: "openai"}[strings.HasPrefix(fmt.Sprint(value), "messages")] + `"`
		}
		cfg, err := ParseConfig(fmt.Appendf(nil, around[kind], field))
		if err != nil {
			return false
		}
		_, err = New(cfg)
		return err == nil
	}
	type property struct {
		Type             any
		Minimum, Maximum *float64
		Enum             []any
		Default          any
		Pattern          string
	}
	var doc struct {
		Defs map[string]struct {
			Properties map[string]property
		} `json:"$defs"`
	}
	require.NoError(t, json.Unmarshal(ConfigSchema(), &doc))
	checked := 0
	for kind, def := range doc.Defs {
		if around[kind] == "" {
			continue
		}
		for name, p := range def.Properties {
			at := kind + "." + name
			types := fmt.Sprint(p.Type)
			if strings.Contains(types, "integer") || strings.Contains(types, "number") {
				checked++
				assert.Equal(t, accepts(kind, name, -1), p.Minimum == nil, "%s: below zero", at)
				assert.True(t, accepts(kind, name, 0), at)
				if p.Maximum != nil {
					assert.True(t, accepts(kind, name, *p.Maximum), at)
					assert.False(t, accepts(kind, name, *p.Maximum+1), at)
				} else {
					assert.True(t, accepts(kind, name, 1_000_000_000), at)
				}
			}
			for _, word := range p.Enum {
				if word != nil {
					checked++
					assert.True(t, accepts(kind, name, word), "%s: %s", at, word)
				}
			}
			if len(p.Enum) > 0 {
				assert.False(t, accepts(kind, name, "no-such-word"), at)
			}
			if p.Default != nil {
				checked++
				assert.True(t, accepts(kind, name, p.Default), at)
			}
		}
	}
	assert.Greater(t, checked, 40)

	var surfaces []any
	for _, s := range newSurfaces().byPath {
		if s.family == "" {
			surfaces = append(surfaces, s.name)
		}
	}
	listed := slices.DeleteFunc(doc.Defs["APISurface"].Properties["surface"].Enum, func(w any) bool { return w == nil || w == "" })
	assert.ElementsMatch(t, surfaces, listed, "every surface, and no other")
	for _, b := range bounds.Table() {
		got := doc.Defs[b.Struct].Properties[b.Field].Default
		switch def := b.Default.(type) {
		case nil:
			assert.Nil(t, got, b.Field)
		case time.Duration:
			assert.Equal(t, def, Duration(got.(string)).parse(new(problems), "", 0), b.Field)
		default:
			if b.Field != "MaxBodyBytes" { // no document has it
				assert.Equal(t, fmt.Sprint(def), fmt.Sprint(got), b.Field)
			}
		}
	}
	assert.Contains(t, slices.Collect(maps.Keys(doc.Defs)), "on_http_request")
}
