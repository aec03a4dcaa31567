package gatewayaws

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/textproto"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// SignerOptions say by whom and for what requests are signed.
type SignerOptions struct {
	// Credentials are those of the SDK, such as aws.Config.Credentials. They are
	// cached and renewed. Required.
	Credentials aws.CredentialsProvider
	// Region is the region of the asked host, such as "eu-central-1".
	// Required.
	Region string
	// Service is AWS's name for the service in signatures. If empty, "bedrock".
	Service string
}

// Signer signs requests with Signature Version 4. Make one with [NewSigner]. It is
// safe for concurrent use.
//
// The host, the Content-Type and headers named X-Amz-… are signed, and the body. A
// mesh or a proxy may add and change other headers.
type Signer struct {
	credentials     aws.CredentialsProvider
	region, service string
}

// NewSigner returns a Signer. Credentials are retrieved with the first request.
func NewSigner(o SignerOptions) (*Signer, error) {
	switch {
	case o.Credentials == nil:
		return nil, errors.New("gatewayaws: Credentials are missing: take those of config.LoadDefaultConfig")
	case o.Region == "":
		return nil, errors.New("gatewayaws: Region is missing: give that of the host in base_url")
	}
	if o.Service == "" {
		o.Service = "bedrock"
	}
	return &Signer{aws.NewCredentialsCache(o.Credentials), o.Region, o.Service}, nil
}

// ProviderTransport is a function for [aigateway.Config]. It signs the requests to
// the providers with these ids, and leaves the rest as they are.
func (s *Signer) ProviderTransport(ids ...string) func(id string, base *http.Transport) http.RoundTripper {
	return func(id string, base *http.Transport) http.RoundTripper {
		if !slices.Contains(ids, id) {
			return nil
		}
		return s.Transport(base)
	}
}

// Transport signs each request on its way to base. A request sent again, to
// another provider or later, is signed anew. The request itself is not changed.
func (s *Signer) Transport(base http.RoundTripper) http.RoundTripper {
	return &signing{s, base}
}

type signing struct {
	*Signer
	base http.RoundTripper
}

// RoundTrip signs and sends a request.
func (s *signing) RoundTrip(r *http.Request) (*http.Response, error) {
	signed, err := s.signed(r)
	if err != nil {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, err
	}
	resp, err := s.base.RoundTrip(signed)
	if err == nil && resp.StatusCode >= http.StatusBadRequest {
		cutToken(resp, signed.Header.Get("X-Amz-Security-Token"))
	}
	return resp, err
}

// maxError bounds an error's body in which a token is looked for, in bytes. The gateway
// relays no longer one.
const maxError = 1<<20 + 1

// cutToken cuts the session's token out of an error. AWS explains a wrong signature by
// what it should have covered, the token included, and the gateway does not know it: an
// error can reach a client.
func cutToken(resp *http.Response, token string) {
	if token == "" {
		return
	}
	const cut = "(the session's token)"
	forms := strings.NewReplacer(token, cut, strings.ReplaceAll(token, "/", `\/`), cut, url.QueryEscape(token), cut)
	for _, values := range resp.Header {
		for i, v := range values {
			values[i] = forms.Replace(v)
		}
	}
	data, _ := io.ReadAll(io.LimitReader(resp.Body, maxError)) // its error comes again from the body
	plain := forms.Replace(string(data))
	if plain != string(data) {
		resp.ContentLength = -1
		resp.Header.Del("Content-Length")
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(strings.NewReader(plain), resp.Body), resp.Body}
}

// signed returns a signed copy of a request. The extra headers of AWS are given as
// names and values.
func (s *Signer) signed(r *http.Request, extra ...string) (*http.Request, error) {
	credentials, err := s.credentials.Retrieve(r.Context())
	if err != nil {
		if cause := context.Cause(r.Context()); cause != nil {
			return nil, cause
		}
		return nil, fmt.Errorf("gatewayaws: no credentials: %w", err)
	}
	out := r.Clone(r.Context())
	sum, err := hashBody(out)
	if err != nil {
		return nil, err
	}
	s.sign(out, sum, credentials, time.Now(), extra...)
	return out, nil
}

// maxBody bounds a body read into memory before it is signed, in
// bytes. Bodies of a gateway can be read twice, and are not bounded.
const maxBody = 64 << 20

// hashBody returns the SHA-256 of a request's body in hexadecimal digits. The body
// can be read afterwards.
func hashBody(r *http.Request) (string, error) {
	hash := sha256.New()
	switch {
	case r.Body == nil || r.Body == http.NoBody:
	case r.GetBody != nil:
		body, err := r.GetBody()
		if err != nil {
			return "", err
		}
		defer body.Close()
		if _, err := io.Copy(hash, body); err != nil {
			return "", err
		}
	default:
		data, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
		if err != nil {
			return "", err
		}
		if len(data) > maxBody {
			return "", fmt.Errorf("gatewayaws: a body of more than %d bytes needs a GetBody to be signed", maxBody)
		}
		r.Body.Close()
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(data)), int64(len(data))
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
		hash.Write(data)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// sign puts the headers of the signature into a request, and further ones
// of AWS, given as names and values. It replaces any others of AWS.
func (s *Signer) sign(r *http.Request, bodySum string, c aws.Credentials, now time.Time, extra ...string) {
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Amz-") {
			delete(r.Header, name)
		}
	}
	r.Header.Del("X-Api-Key") // as in Anthropic's format
	for i := 0; i < len(extra); i += 2 {
		r.Header.Set(extra[i], extra[i+1])
	}
	r.Header.Set("X-Amz-Date", now.UTC().Format(timeFormat))
	if c.SessionToken != "" {
		r.Header.Set("X-Amz-Security-Token", c.SessionToken)
	}
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	headers := map[string][]string{"host": {host}}
	for name, values := range r.Header {
		if name == "Content-Type" || strings.HasPrefix(name, "X-Amz-") {
			headers[strings.ToLower(name)] = values
		}
	}
	signature := signature{
		method: r.Method, path: r.URL.EscapedPath(), query: r.URL.RawQuery, headers: headers, bodySum: bodySum,
		service: s.service, region: s.region, time: now,
	}
	r.Header.Set("Authorization", signature.authorization(c.AccessKeyID, c.SecretAccessKey))
}

const (
	timeFormat = "20060102T150405Z"
	algorithm  = "AWS4-HMAC-SHA256"
)

// signature is what a signature covers.
type signature struct {
	method  string
	path    string              // as it is sent
	query   string              // as it is sent
	headers map[string][]string // by names in lower case
	bodySum string

	service, region string
	time            time.Time
}

// authorization returns the value of the Authorization header.
func (s *signature) authorization(keyID, secret string) string {
	key := []byte("AWS4" + secret)
	for _, part := range s.scope() {
		key = mac(key, part)
	}
	return fmt.Sprintf("%s Credential=%s/%s, SignedHeaders=%s, Signature=%x",
		algorithm, keyID, strings.Join(s.scope(), "/"), strings.Join(s.signedHeaders(), ";"), mac(key, s.stringToSign()))
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// scope is the day, place and purpose of a signature.
func (s *signature) scope() []string {
	return []string{s.time.UTC().Format("20060102"), s.region, s.service, "aws4_request"}
}

func (s *signature) stringToSign() string {
	return fmt.Sprintf("%s\n%s\n%s\n%x", algorithm, s.time.UTC().Format(timeFormat), strings.Join(s.scope(), "/"), sha256.Sum256([]byte(s.canonical())))
}

func (s *signature) signedHeaders() []string { return slices.Sorted(maps.Keys(s.headers)) }

// canonical is the request in the form known to both ends.
func (s *signature) canonical() string {
	var b strings.Builder
	for _, line := range []string{s.method, canonicalPath(s.path), canonicalQuery(s.query)} {
		b.WriteString(line + "\n")
	}
	for _, name := range s.signedHeaders() {
		values := make([]string, len(s.headers[name]))
		for i, v := range s.headers[name] {
			values[i] = strings.Join(strings.Fields(textproto.TrimString(v)), " ")
		}
		b.WriteString(name + ":" + strings.Join(values, ",") + "\n")
	}
	b.WriteString("\n" + strings.Join(s.signedHeaders(), ";") + "\n" + s.bodySum)
	return b.String()
}

// canonicalPath removes dots and double slashes of a path as it is sent, and escapes
// it once more.
func canonicalPath(sent string) string {
	clean := path.Clean("/" + sent)
	if strings.HasSuffix(sent, "/") && clean != "/" {
		clean += "/"
	}
	return escape(clean, "/")
}

// canonicalQuery sorts the pairs of a query, in one spelling.
func canonicalQuery(sent string) string {
	type pair struct{ name, value string }
	var pairs []pair
	for text := range strings.SplitSeq(sent, "&") {
		if text == "" {
			continue
		}
		name, value, _ := strings.Cut(text, "=")
		pairs = append(pairs, pair{escape(unescape(name), ""), escape(unescape(value), "")})
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		return strings.Compare(a.value, b.value)
	})
	texts := make([]string, len(pairs))
	for i, p := range pairs {
		texts[i] = p.name + "=" + p.value
	}
	return strings.Join(texts, "&")
}

// unescape returns s itself if it is not escaped rightly.
func unescape(s string) string {
	if plain, err := url.QueryUnescape(s); err == nil {
		return plain
	}
	return s
}

// escape escapes all bytes but RFC 3986's unreserved ones and those of keep.
func escape(s, keep string) string {
	const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
	var b strings.Builder
	for _, c := range []byte(s) {
		if strings.IndexByte(unreserved, c) >= 0 || strings.IndexByte(keep, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
