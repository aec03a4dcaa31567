package usage

import "bytes"

// MediaTokens is the count of an image, a recording or a document in [Estimate].
// Models charge by pixels, seconds and pages. The length in bytes does not show
// these. The number is about Anthropic's highest charge for an image, and more than
// OpenAI's and Google's for one of usual size. A recording or a document may cost
// many times as much.
const MediaTokens = 1600

// minMedia is the least length of a medium in base64: below any image, and above
// ids of the same look.
const minMedia = 256

// holdsMedia reports whether a member of this name holds media in requests to
// the known APIs. Under other names base64 is text: a prompt must not get around
// a limit by its form.
func holdsMedia(name []byte) bool {
	switch string(name) {
	case "url", "image_url", // of image_url, and of input_image
		"data",           // of Anthropic's source, and of input_audio
		"file_data",      // of file, and of input_file
		"image", "audio": // of the servers that take images in JSON
		return true
	}
	return false
}

// isBase64 reports whether all of b is base64, of either alphabet, or a data URL
// of it.
//
// Its time is linear, and it is asked only about long strings under a fitting
// name.
func isBase64(b []byte) bool {
	const maxType = 128 // more than any media type has, with its parameters
	if bytes.HasPrefix(b, []byte("data:")) {
		i := bytes.Index(b[:min(len(b), maxType)], []byte(";base64,"))
		if i < 0 {
			return false
		}
		b = b[i+len(";base64,"):]
	}
	for _, c := range bytes.TrimRight(b, "=") {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '+', c == '/', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// form reads a body of type multipart/form-data: the values of its fields.
// A part without a header counts as text.
func (e *estimator) form(b []byte) {
	boundary, rest, ok := bytes.Cut(b, []byte("\r\n"))
	if !ok {
		e.text(b)
		return
	}
	for len(rest) > 0 {
		part := rest
		if i := bytes.Index(rest, boundary); i >= 0 {
			part, rest = rest[:i], rest[i+len(boundary):]
		} else {
			rest = nil
		}
		head, value, ok := bytes.Cut(part, []byte("\r\n\r\n"))
		switch {
		case !ok:
			e.text(part)
		case bytes.Contains(head, []byte("filename")):
			e.medium()
		default:
			e.text(value)
		}
		e.open(kindNone)
	}
}
