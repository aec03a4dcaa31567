package gatewayaws

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// vector is a case of AWS's own test suite.
type vector struct {
	Name, Request, Token     string
	OmitToken                bool `json:"omit_token"` // it is added after signing
	SignBody                 bool `json:"sign_body"`
	Canonical, Authorization string
}

// TestVectors holds signatures to AWS's test suite (awslabs/aws-c-auth,
// tests/aws-signing-test-suite/v4): its cases with normalised paths, by header. The
// others are of S3.
func TestVectors(t *testing.T) {
	data, err := os.ReadFile("testdata/sigv4.json")
	require.NoError(t, err)
	var vectors []vector
	require.NoError(t, json.Unmarshal(data, &vectors))
	require.Len(t, vectors, 31)
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			head, body, _ := strings.Cut(v.Request, "\n\n")
			lines := strings.Split(strings.TrimRight(strings.ReplaceAll(head, "\n ", " "), "\n"), "\n")
			first := strings.TrimSuffix(lines[0], " HTTP/1.1")
			method, target, ok := strings.Cut(first, " ")
			require.True(t, ok)
			sent, query, _ := strings.Cut(target, "?")
			sum := sha256.Sum256([]byte(body))
			s := signature{
				method: method, path: sent, query: query, bodySum: hex.EncodeToString(sum[:]),
				service: "service", region: "us-east-1", time: time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC),
				headers: map[string][]string{"x-amz-date": {"20150830T123600Z"}},
			}
			for _, line := range lines[1:] {
				name, value, _ := strings.Cut(line, ":")
				name = strings.ToLower(name)
				s.headers[name] = append(s.headers[name], value)
			}
			if v.Token != "" && !v.OmitToken {
				s.headers["x-amz-security-token"] = []string{v.Token}
			}
			if v.SignBody {
				s.headers["x-amz-content-sha256"] = []string{s.bodySum}
			}
			assert.Equal(t, v.Canonical, s.canonical())
			assert.Equal(t, v.Authorization, s.authorization("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"))
		})
	}
}

// TestCanonicalPath escapes what is escaped already: AWS does so for all services
// but S3.
func TestCanonicalPath(t *testing.T) {
	for sent, want := range map[string]string{
		"":                                  "/",
		"/":                                 "/",
		"/openai/v1/chat/completions":       "/openai/v1/chat/completions",
		"/model/a.b-v1:0/invoke":            "/model/a.b-v1%3A0/invoke",
		"/model/a.b-v1%3A0/invoke":          "/model/a.b-v1%253A0/invoke",
		"/model/arn%3Aaws%2Fx/converse/":    "/model/arn%253Aaws%252Fx/converse/",
		"/v1//chat/../chat/./completions//": "/v1/chat/completions/",
	} {
		assert.Equal(t, want, canonicalPath(sent), sent)
	}
}
