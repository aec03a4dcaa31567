package fields_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/aigateway-go/aigateway/internal/fields"
)

// compiler collects what it is told, by path.
func compiler() (c *fields.Compiler, problems, warnings map[string]string) {
	problems, warnings = map[string]string{}, map[string]string{}
	return &fields.Compiler{
		Problem: func(path, reason string) { problems[path] = reason },
		Warning: func(path, reason string) { warnings[path] = reason },
	}, problems, warnings
}

func TestHeaders(t *testing.T) {
	c, problems, warnings := compiler()
	got := fields.Headers(c, "headers", map[string]string{
		"x-team": "search", "Authorization": "Bearer ${secrets.get('v', 'n')}", "X-Api-Key": "$MY_KEY",
		"X-Note": "sk-proj-0123456789abcdef0123", "X-TEAM": "twice", "a b": "c", "Host": "h", "X-Break": "a\nb", "X-Bad": "${no.such}",
	})
	var names, secrets []string
	for _, f := range got {
		names = append(names, f.Name)
		if f.Secret {
			secrets = append(secrets, f.Name)
		}
	}
	assert.Equal(t, []string{"Authorization", "X-Api-Key", "X-Note", "X-Team"}, names)
	assert.Equal(t, []string{"Authorization", "X-Api-Key", "X-Note"}, secrets)
	assert.Equal(t, []fields.SecretPlace{{Path: "headers.Authorization", Vault: "v", Name: "n"}}, c.Secrets)
	assert.Equal(t, "is set twice: case does not count in header names", problems["headers.x-team"])
	assert.Equal(t, "is not a header name", problems[`headers["a b"]`])
	assert.Equal(t, "belongs to the connection and cannot be set", problems["headers.Host"])
	assert.Equal(t, fields.LineRule, problems["headers.X-Break"])
	assert.Contains(t, problems["headers.X-Bad"], "no")
	assert.Len(t, problems, 5)
	assert.Contains(t, warnings["headers.X-Api-Key"], "is sent as it is")
}

func TestQuery(t *testing.T) {
	c, problems, _ := compiler()
	got := fields.Query(c, "query_params", map[string]string{"version": "1\n", "key": "k", "": "none"})
	assert.Len(t, got, 2)
	assert.Equal(t, []bool{true, false}, []bool{got[0].Secret, got[1].Secret}, "key, version")
	assert.Equal(t, map[string]string{`query_params[""]`: "a parameter needs a name"}, problems)
}

func TestBodies(t *testing.T) {
	c, problems, _ := compiler()
	got := fields.Bodies[string](c, "body", map[string]any{
		"user": "a", "tags": map[string]any{"b": []int{1, 2}}, "tenant": []any{"${req.host}"}, "Model": "m", "odd": func() {},
	})
	raw := map[string]string{}
	for _, f := range got {
		raw[f.Name] = string(f.Raw)
	}
	assert.Equal(t, `"a"`, raw["user"])
	assert.Equal(t, `{"b":[1,2]}`, raw["tags"])
	assert.Empty(t, raw["tenant"], "it is evaluated for each request")
	assert.Contains(t, problems["body.Model"], "cannot be set")
	assert.Contains(t, problems["body.odd"], "is not a JSON value")
	assert.Len(t, problems, 2)
}

func TestOver(t *testing.T) {
	c, _, _ := compiler()
	base := fields.Query(c, "", map[string]string{"a": "1", "b": "1"})
	top := fields.Query(c, "", map[string]string{"b": "2", "c": "2"})
	var got []string
	for _, f := range fields.Over(base, top) {
		value, _ := f.Value.Literal()
		got = append(got, f.Name+value)
	}
	assert.Equal(t, []string{"b2", "c2", "a1"}, got)
	assert.Nil(t, fields.OverBody(nil, nil))
}
