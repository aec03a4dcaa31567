package aigateway

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/aigateway-go/aigateway/internal/expr"
	"github.com/aigateway-go/aigateway/internal/usage"
)

// sessionHeaders name a conversation. The first one in the request counts.
var sessionHeaders = []string{"X-Session-Id", "X-Claude-Code-Session-Id", "Session-Id", "Session_id"}

// ableFacts decide whether a model can serve a request.
const ableFacts = expr.FactInputTokens | expr.FactMaxOutputTokens | expr.FactTools | expr.FactImages |
	expr.FactAudio | expr.FactDocuments | expr.FactJSONSchema

// bodyFacts need a pass over the body.
const bodyFacts = ableFacts&^expr.FactInputTokens | expr.FactReasoning | expr.FactServiceTier | expr.FactUser | expr.FactPreviousResponseID

// expose lets expressions read req.session and req.ai, if one of them does.
func (in *inbound) expose(uses expr.Uses) {
	if uses.Session {
		in.request.Session = in.session
	}
	if uses.Facts != 0 {
		in.need |= uses.Facts
		in.request.AI = in.facts
	}
}

// session answers req.session: a hash of a header or of a part of the body, made
// once a request. It is empty before the body was read.
func (in *inbound) session() string {
	if in.body == nil || in.sessionKey != "" {
		return in.sessionKey
	}
	for _, name := range sessionHeaders {
		if v := in.r.Header.Get(name); v != "" {
			sum := sha256.Sum256([]byte(v))
			in.sessionKey = hex.EncodeToString(sum[:16])
			return in.sessionKey
		}
	}
	_, in.sessionKey = in.body.Session()
	return in.sessionKey
}

// facts answers req.ai, once a request. It reads only the facts in need. It is
// empty before the body was read.
func (in *inbound) facts() *expr.RequestFacts {
	if in.ai != nil || in.body == nil {
		return in.ai
	}
	f := &expr.RequestFacts{Surface: in.surface.name, Stream: in.wantsStream}
	if in.need&bodyFacts != 0 {
		b := in.body.Facts()
		f.MaxOutputTokens, f.Tools, f.Images = b.MaxOutputTokens, int64(b.Tools), int64(b.Images)
		f.Audio, f.Documents = int64(b.Audio), int64(b.Documents)
		f.JSONSchema, f.Reasoning = b.JSONSchema, b.Reasoning
		f.ServiceTier, f.User, f.PreviousResponseID = b.ServiceTier, b.User, b.PreviousResponseID
	}
	if in.need&expr.FactInputTokens != 0 {
		f.InputTokens = in.estimate()
	}
	in.ai = f
	return f
}

// guess returns the tokens of the prompt for the bill of a provider that does not
// tell them. Metrics do not count a guess.
func (in *inbound) guess() int64 {
	if in.tokens > 0 {
		return in.tokens
	}
	if in.guessed == 0 {
		in.guessed = usage.Estimate(in.raw)
	}
	return in.guessed
}

// estimate returns the tokens of the prompt: as they were counted, else estimated.
func (in *inbound) estimate() int64 {
	if in.tokens == 0 {
		in.tokens = usage.Estimate(in.raw)
	}
	return in.tokens
}
