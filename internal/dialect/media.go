package dialect

import (
	"bytes"
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

// mediaOf reads a URL, or a data URL. Text without a scheme is base64: servers
// take it for file_data.
//
// Nothing is decoded: base64 is copied as it is. A data URL in another encoding
// stays a URL, see [media.isData].
func mediaOf(v raw) media {
	in := inner(v)
	if len(in) == 0 {
		return media{}
	}
	// Some encoders escape the slash of the media type.
	rest, ok := bytes.CutPrefix(in, []byte("data:"))
	if !ok {
		if bytes.HasPrefix(in, []byte("http:")) || bytes.HasPrefix(in, []byte("https:")) {
			return media{url: v}
		}
		return media{data: in}
	}
	head, data, ok := bytes.Cut(rest, []byte(","))
	if !ok {
		return media{url: v}
	}
	mime, parameters, _ := bytes.Cut(head, []byte(";"))
	if !bytes.HasSuffix(parameters, []byte("base64")) {
		return media{url: v}
	}
	if bytes.IndexByte(mime, '\\') >= 0 {
		mime = bytes.ReplaceAll(mime, []byte(`\/`), []byte("/"))
	}
	return media{mime: mime, data: data}
}

// dataURL writes media as a data URL, or as its URL.
//
// mime is the media type for media without one.
func (w *writer) dataURL(m *media, mime string) {
	if m.url != nil {
		w.put(m.url)
		return
	}
	w.sep()
	w.b = append(w.b, `"data:`...)
	if len(m.mime) > 0 {
		w.b = append(w.b, m.mime...)
	} else {
		w.b = append(w.b, mime...)
	}
	w.b = append(w.b, ";base64,"...)
	w.b = append(w.b, m.data...)
	w.b = append(w.b, '"')
}

// audio writes sound for chat or responses.
func (w *writer) audio(m *media) {
	w.typed("input_audio")
	w.object("input_audio")
	w.key("data")
	w.inside(m.data)
	w.key("format")
	w.inside(m.mime)
	w.close("}}")
}

// plain is the text of a document of text, as a string.
//
// It reports false for a URL, for another media type, and for bytes that are not
// UTF-8.
func (m *media) plain() (raw, bool) {
	mime := string(m.mime)
	if m.url != nil || !strings.HasPrefix(mime, "text/") && mime != "application/json" {
		return nil, false
	}
	out, err := base64.StdEncoding.AppendDecode(nil, unslashed(m.data))
	if err != nil || !utf8.Valid(out) {
		return nil, false
	}
	return quotedJSON(out), true
}

// unslashed is base64 without the escapes that some encoders give its slashes.
func unslashed(in []byte) []byte { return bytes.ReplaceAll(in, []byte(`\/`), []byte("/")) }

// missing reports whether there is nothing to send: media known by an id of
// another provider.
func (m *media) missing() bool { return m.url == nil && len(m.data) == 0 }

// isData reports whether the URL is a data URL in an encoding other than base64.
func (m *media) isData() bool { return bytes.HasPrefix(inner(m.url), []byte("data:")) }
