package apierror

import (
	"net/http"
	"strings"
)

// Row is one row of dialects.tsv, said in each of its shapes.
type Row struct {
	Name, Class string
	Veto        bool
	WholeKey    bool // of a limit
	Status      int  // the lowest one
	Header      http.Header
	Bodies      []string
}

// Rows says the first words of each row.
func Rows() (out []Row) {
	for _, d := range dialects {
		row := Row{
			Name: strings.Join([]string{d.provider, d.class.String(), d.place, strings.Join(d.values, "|"), d.source}, " "), Class: d.class.String(), Veto: d.veto,
			WholeKey: Verdict{Kind: d.class, Reach: d.reach}.WholeKey(), Status: d.status[0].low,
		}
		value, fragment := "", []string(nil)
		if len(d.values) > 0 {
			value = strings.TrimPrefix(d.values[0], "~")
		}
		if len(d.fragments) > 0 {
			fragment = d.fragments[0]
		}
		if d.place == "header" {
			row.Header, row.Bodies = http.Header{d.header: {value}}, []string{`{"message":"no"}`}
		}
		for _, body := range bodies(d.place, value, message(fragment)) {
			row.Bodies = append(row.Bodies, marshal(body))
		}
		out = append(out, row)
	}
	return out
}
