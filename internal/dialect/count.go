package dialect

// CountAnswer makes the client's answer of an upstream's answer to a request with
// [Options.Count].
func (t *Translator) CountAnswer(body []byte) ([]byte, error) {
	c := cursor{b: body}
	if !c.enter('{') {
		return nil, ErrMalformed
	}
	n := int64(-1)
	for name := range c.members() {
		if v := c.value(); string(name) == "input_tokens" && len(v) > 0 && v[0] != '"' {
			n = integer(v)
		}
	}
	if n < 0 || !c.done() {
		return nil, ErrMalformed
	}
	return Counted(t.client, n), nil
}

// Counted is the answer of the surface that counts tokens. It serves the
// gateway's estimates too.
func Counted(client Format, n int64) []byte {
	var w writer
	w.open('{')
	if client == Responses {
		w.word("object", "response.input_tokens")
	}
	w.number("input_tokens", n)
	w.close("}")
	return w.b
}
