package dialect

// maxCitations bounds the citations of one text.
const maxCitations = 1024

// citation is a page on the web that a text cites.
//
//	{"type": "url_citation", "url_citation": {"url": "…", "title": "…", "start_index": 0, "end_index": 9}}   chat
//	{"type": "url_citation", "url": "…", "title": "…", "start_index": 0, "end_index": 9}                     responses
//	{"type": "web_search_result_location", "url": "…", "title": "…", "cited_text": "…"}                      messages
//
// Citations of documents and files are not carried: their names mean something to one
// provider. Clients of messages get none: they would have to give back a proof with it.
type citation struct {
	url, title raw
	start, end int64 // in the text, in code points
	all        bool  // messages cites for a whole text block
}

// citation reads a citation in any form. It reports false for one without a page.
func (c *cursor) citation() (cited citation, ok bool) {
	if !c.object() {
		return cited, false
	}
	what := ""
	c.citationMembers(&cited, &what)
	switch what {
	case "url_citation":
	case "web_search_result_location":
		cited.all = true
	default:
		return cited, false
	}
	return cited, !blank(cited.url)
}

// citationMembers reads the members of a citation. what is nil inside of its type, where
// chat has them.
func (c *cursor) citationMembers(cited *citation, what *string) {
	for name := range c.members() {
		switch string(name) {
		case "type":
			if v := c.text(); what != nil {
				*what = v
			}
		case "url_citation":
			if what == nil {
				c.value()
			} else if c.object() {
				c.citationMembers(cited, nil)
			}
		case "url":
			cited.url = c.str()
		case "title":
			cited.title = c.str()
		case "start_index":
			cited.start = c.integer()
		case "end_index":
			cited.end = c.integer()
		default:
			c.value()
		}
	}
}

// citations reads a list of citations.
func (c *cursor) citations() (list []citation) {
	if !c.array() {
		return nil
	}
	for c.elem() {
		if cited, ok := c.citation(); ok && len(list) < maxCitations {
			list = append(list, cited)
		}
	}
	return list
}

// at is the citation in a longer text, in which its own text begins at base and ends at
// end.
func (cited citation) at(base, end int64) citation {
	if cited.all {
		cited.start, cited.end, cited.all = base, end, false
		return cited
	}
	cited.start, cited.end = max(0, cited.start)+base, max(0, cited.end)+base
	return cited
}

// clone copies a citation to outlive its event.
func (cited citation) clone() citation {
	cited.url, cited.title = clone(cited.url), clone(cited.title)
	return cited
}

// size is the memory of a citation, in bytes.
func (cited *citation) size() int { return len(cited.url) + len(cited.title) + 64 }

// chatCitation writes a citation for clients of chat.
func (w *writer) chatCitation(cited *citation) {
	w.typed("url_citation")
	w.object("url_citation")
	w.citation(cited)
	w.close("}}")
}

// responsesCitation writes a citation for clients of responses.
func (w *writer) responsesCitation(cited *citation) {
	w.typed("url_citation")
	w.citation(cited)
	w.close("}")
}

func (w *writer) citation(cited *citation) {
	w.number("start_index", cited.start)
	w.number("end_index", cited.end)
	w.field("url", cited.url)
	w.field("title", orEmpty(cited.title))
}

// points counts the code points of the inside of a string.
func points(in []byte) (n int64) {
	for i := 0; i < len(in); i++ {
		switch c := in[i]; {
		case c == '\\' && i+1 < len(in):
			i++
			if in[i] == 'u' && i+4 < len(in) {
				// The second half of a pair counts with the first.
				if h := in[i+1 : i+3]; (h[0] == 'd' || h[0] == 'D') && (h[1] >= 'c' && h[1] <= 'f' || h[1] >= 'C' && h[1] <= 'F') {
					n--
				}
				i += 4
			}
			n++
		case c&0xC0 != 0x80:
			n++
		}
	}
	return n
}
