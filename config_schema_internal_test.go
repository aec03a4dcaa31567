package aigateway

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/bounds"
	"github.com/aigateway-go/aigateway/internal/schema"
)

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
	listed := slices.DeleteFunc(doc.Defs["APISurface"].Properties["surface"].Enum, func(w any) bool { return w == nil })
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
