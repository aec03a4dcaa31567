package dialect

// Counted is the client's answer to a count of tokens. Requests for counts are not
// translated: providers count other requests than the client's.
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
