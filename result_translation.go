package aigateway

import "slices"

// Translation says what became of a request for a provider of another format. The
// names are the client's fields.
type Translation struct {
	// Pair names the client's format and the provider's, as "messages-to-chat".
	Pair string `json:"pair"`
	// Lost are fields that could have changed the answer.
	Lost []string `json:"lost,omitempty"`
	// Dropped are hints. They cannot change the answer.
	Dropped []string `json:"dropped,omitempty"`
	// Estimated is set for a count of tokens by the gateway. Nothing was sent.
	Estimated bool `json:"estimated,omitempty"`
}

// public is the translation as the Result shows it.
func (k *codec) public() *Translation {
	if k == nil {
		return nil
	}
	return &Translation{
		Pair: k.Name(), Lost: slices.Clone(k.report.Lost), Dropped: slices.Clone(k.report.Dropped), Estimated: k.estimated,
	}
}
