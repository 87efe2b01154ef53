package simulator

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// send renders a page and sends it, broken if there is a fault.
func (an *answer) send(p page) {
	a, w, fault := an.api, an.w, an.fault
	a.stats.status(http.StatusOK)
	zip := fault == CutGzip || fault == GzipBomb || (!a.cfg.NoGzip && strings.Contains(an.r.Header.Get("Accept-Encoding"), "gzip"))
	if fault == EndlessBody {
		zip = false
	}
	if zip {
		w.Header().Set("Content-Encoding", "gzip")
	}
	if fault == EndlessBody || fault == GzipBomb {
		an.endless(zip)
		return
	}
	body := an.body(p)
	if zip {
		body = compress(body)
	}
	half := body[:len(body)/2]
	switch fault {
	case CutBody:
		if zip { // cut what is inside
			full := an.body(p)
			half = compress(full[:len(full)/2])
		}
		_, _ = w.Write(half)
	case CutGzip:
		_, _ = w.Write(half)
	case HangInBody:
		partly(w, half)
		<-an.r.Context().Done()
	case ResetInBody:
		partly(w, half)
		reset(w)
	default:
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
	}
}

// body renders a page, broken if there is a fault.
func (an *answer) body(p page) []byte {
	body := an.render(p)
	switch an.fault {
	case TwoDocuments:
		return append(append(body, '\n'), body...)
	case NDJSON:
		return an.lines(p)
	case EmptyObject:
		return []byte("{}")
	}
	return body
}

// render writes the page as JSON.
// Source: openapi-audit-logs.yaml, ListAuditLogsResponse.
func (an *answer) render(p page) []byte {
	a := an.api
	a.store.mu.RLock()
	defer a.store.mu.RUnlock()
	b := make([]byte, 0, 256+900*len(p.events))
	b = append(b, `{"object":"list","data":[`...)
	for i, n := range p.events {
		if i > 0 {
			b = append(b, ',')
		}
		b = a.store.appendRaw(b, n)
	}
	b = append(b, ']')
	first, last := "", ""
	if len(p.events) > 0 {
		first, last = a.store.id(p.events[0]), a.store.id(p.events[len(p.events)-1])
	}
	b = appendID(b, "first_id", first)
	switch an.fault {
	case LastIDMissing:
	case LastIDNull:
		b = appendID(b, "last_id", "")
	case LastIDWrong:
		b = appendID(b, "last_id", "audit_log_yyy__20240101")
	default:
		b = appendID(b, "last_id", last)
	}
	b = append(b, `,"has_more":`...)
	return append(strconv.AppendBool(b, p.hasMore), '}')
}

// appendID writes a field with an id, null where there is none.
func appendID(b []byte, name, id string) []byte {
	b = append(b, `,"`+name+`":`...)
	if id == "" {
		return append(b, "null"...)
	}
	return strconv.AppendQuote(b, id)
}

func (an *answer) lines(p page) []byte {
	a := an.api
	a.store.mu.RLock()
	defer a.store.mu.RUnlock()
	var b []byte
	for _, n := range p.events {
		b = append(a.store.appendRaw(b, n), '\n')
	}
	return b
}

// zippers are reused: a gzip writer is a megabyte to begin with. Each GC empties a
// sync.Pool, and the race detector lets one drop what it is given now and then: most of
// what a poll took under it was new writers.
var zippers = make(chan *gzip.Writer, 4)

func zipper() *gzip.Writer {
	select {
	case z := <-zippers:
		return z
	default:
	}
	z, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil {
		panic("simulator: " + err.Error())
	}
	return z
}

func compress(body []byte) []byte {
	var buf bytes.Buffer
	z := zipper()
	z.Reset(&buf)
	_, _ = z.Write(body) // into memory: it cannot fail
	_ = z.Close()
	select {
	case zippers <- z:
	default:
	}
	return buf.Bytes()
}

// endless writes blanks until nobody reads them any more, or a limit.
func (an *answer) endless(zip bool) {
	var to io.Writer = an.w
	if zip {
		z := gzip.NewWriter(an.w)
		defer func() { _ = z.Close() }() // the client may be gone
		to = z
	}
	blanks := bytes.Repeat([]byte{' '}, 1<<20)
	for left := an.api.cfg.EndlessBytes; left > 0; left -= int64(len(blanks)) {
		if _, err := to.Write(blanks); err != nil {
			return
		}
	}
}
