package apierror

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// Row is one row of dialects.tsv, said in each of its shapes.
type Row struct {
	Name, Class string
	Place       string
	Veto        bool
	WholeKey    bool // of a limit
	Status      int  // the lowest one
	Header      http.Header
	Bodies      []string
}

// Rows says the first words of each row.
func Rows() (out []Row) {
	said := rows(dialectsTSV)
	for i, d := range dialects {
		row := Row{
			Name: strings.Join([]string{d.provider, d.class.String(), d.place, strings.Join(d.values, "|"), d.source}, " "), Class: d.class.String(), Place: d.place, Veto: d.veto,
			WholeKey: Verdict{Kind: d.class, Reach: d.reach}.WholeKey(), Status: d.status[0].low,
		}
		value, fragment := "", []string(nil)
		if len(d.values) > 0 {
			// As it is written: providers do not fold their words.
			value, _, _ = strings.Cut(strings.TrimPrefix(said[i]["value"], "~"), "|")
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

// HintRow is a row of hints.tsv, said with a wait of 30 seconds, or until a midnight.
type HintRow struct {
	Name, Form string
	Wait       time.Duration
	Header     http.Header
	Body       string
}

// HintRows says each row of hints.tsv.
func HintRows(now time.Time) (out []HintRow) {
	for _, row := range rows(hintsTSV) {
		date := now.Add(30 * time.Second)
		form := map[string]string{
			"milliseconds": "30000", "seconds": "30", "duration": "30s", "date": date.UTC().Format(time.RFC3339),
			"beijing": date.In(time.FixedZone("", 8*60*60)).Format(time.DateTime), "reset": "30",
		}[row["form"]]
		h := HintRow{Name: row["place"] + " " + row["name"], Form: row["form"], Wait: 30 * time.Second, Body: `{"error":{"message":"slow"}}`}
		switch row["place"] {
		case "header":
			h.Header = http.Header{row["name"]: {form}}
		case "quota":
			h.Wait, _ = pacificMidnight("", now)
			h.Body = marshal([]any{obj("error", obj("message", "slow", "details", []any{obj("violations", []any{obj("quotaId", "GenerateRequests"+row["name"]+"-FreeTier")}), obj("retryDelay", "3s")}))})
		case "retry_info":
			h.Body = marshal([]any{obj("error", obj("message", "slow", "details", []any{obj("retryDelay", form+"s")}))})
		case "code":
			h.Body = marshal(obj("error", obj("code", row["name"], "message", "slow "+form)))
		case "field":
			h.Body = marshal(obj("error", obj("message", "slow", row["name"], json.Number(form))))
		case "message":
			h.Body = marshal(obj("error", obj("message", "Slow. "+row["name"]+" "+form+".")))
		case "limits":
			h.Header = http.Header{"X-Ratelimit-Remaining-Tokens": {"0"}, "X-Ratelimit-Reset-Tokens": {form}}
		case "headers":
			h.Body = marshal(obj("error", obj("message", "slow", "metadata", obj("headers", obj("X-RateLimit-Remaining", "0", "X-RateLimit-Reset", form)))))
		}
		out = append(out, h)
	}
	return out
}

// StatusRow is a row of statuses.tsv, said as an error under status 200.
type StatusRow struct {
	Name, Body string
	Status     int
}

// StatusRows says each row of statuses.tsv, at each of its places.
func StatusRows() (out []StatusRow) {
	for _, row := range rows(statusesTSV) {
		for _, body := range bodies(row["place"], row["value"], "something went wrong") {
			if text := marshal(body); strings.HasPrefix(text, `{"response"`) || strings.Contains(text, `"code":429`) {
				continue // of another surface than chat, or with a number that decides
			}
			out = append(out, StatusRow{Name: row["place"] + " " + row["value"], Body: marshal(body), Status: number(row["status"])})
		}
	}
	return out
}
