package simulator

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strconv"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
)

// templateCount is how many different events there are but for id and time.
const templateCount = 2048

// unknownShare is one in how many templates is of a type nobody documents.
const unknownShare = 200

// template is an event with holes for its id and its time.
type template struct {
	kind            string
	scope           auditlog.Scope
	head, mid, tail []byte
}

// appendTo writes the event with the id and the time.
func (t *template) appendTo(b []byte, id []byte, at int64) []byte {
	b = append(b, t.head...)
	b = append(b, id...)
	b = append(b, t.mid...)
	b = strconv.AppendInt(b, at, 10)
	return append(b, t.tail...)
}

// generator makes events of all types, the same for the same seed.
type generator struct {
	templates []template
	byScope   map[auditlog.Scope][]int32 // indices into templates
}

func newGenerator(seed uint64) *generator {
	r := rand.New(rand.NewPCG(seed, 2))
	g := &generator{byScope: make(map[auditlog.Scope][]int32)}
	for _, t := range Types() { // each type at least once
		g.add(newTemplate(t, r))
	}
	drawn := weighted()
	for len(g.templates) < templateCount {
		t := drawn[r.IntN(len(drawn))]
		if r.IntN(unknownShare) == 0 {
			t = Type{Name: "example.unknown.type", Scope: auditlog.ScopeOrganization, Payload: true,
				Fields: "id:string,count:integer,nested.deep[].name:string"}
		}
		g.add(newTemplate(t, r))
	}
	return g
}

func (g *generator) add(t template) {
	g.byScope[t.scope] = append(g.byScope[t.scope], int32(len(g.templates)))
	g.templates = append(g.templates, t)
}

// weighted returns the types, those that real logs are full of many times.
func weighted() []Type {
	var drawn []Type
	for _, t := range Types() {
		n := 1
		switch t.Name {
		case "login.succeeded":
			n = 150
		case "api_key.created", "api_key.deleted", "logout.succeeded":
			n = 40
		case "login.failed", "api_key.updated", "user.added", "invite.sent", "role.assignment.created":
			n = 15
		}
		for range n {
			drawn = append(drawn, t)
		}
	}
	return drawn
}

// The marks that stand in a template where id and time go.
const idMark, timeMark = "\x01", "\x02"

func newTemplate(t Type, r *rand.Rand) template {
	raw := appendEvent(nil, t, r)
	head, rest, _ := bytes.Cut(raw, []byte(idMark))
	mid, tail, _ := bytes.Cut(rest, []byte(timeMark))
	return template{kind: t.Name, scope: t.Scope, head: head, mid: mid, tail: tail}
}

// appendEvent writes an event of the type with marks for id and time. Source of
// the shapes: openapi-audit-logs.yaml, and public records for the fields of a
// session that the specification does not have.
func appendEvent(b []byte, t Type, r *rand.Rand) []byte {
	b = fmt.Appendf(b, `{"object":"organization.audit_log","id":"%s","type":%q,"effective_at":%s`, idMark, t.Name, timeMark)
	if t.Scope == auditlog.ScopeOrganization && t.Fields != "" && r.IntN(3) > 0 {
		p := r.IntN(20)
		b = fmt.Appendf(b, `,"project":{"id":"proj_Example%017d","name":"Project %d"}`, p, p)
	}
	switch n := r.IntN(20); {
	case n < 13:
		b = appendSession(append(b, `,"actor":`...), r)
	case n < 19:
		b = appendAPIKey(append(b, `,"actor":`...), r)
	default:
		b = append(b, `,"actor":null`...)
	}
	// Live records of logins have no payload at all.
	if t.Payload && t.Fields != "" {
		b = append(strconv.AppendQuote(append(b, ','), t.Name), ':')
		b = shape(t.Fields).appendTo(b, r)
	}
	return append(b, '}')
}

func appendSession(b []byte, r *rand.Rand) []byte {
	u := r.IntN(500)
	b = fmt.Appendf(b, `{"type":"session","session":{"user":{"id":"user-Example%018d","email":"user%d@example.com"},"ip_address":"203.0.113.%d"`, u, u, r.IntN(256))
	b = append(b, `,"user_agent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"`...)
	b = fmt.Appendf(b, `,"ja3":"%016x%016x","ja4":"t13d1516h2_%012x_%012x"`, r.Uint64(), r.Uint64(), r.Uint64()>>16, r.Uint64()>>16)
	if r.IntN(10) == 0 { // all empty, as seen
		return append(b, `,"ip_address_details":{"country":"","city":"","region":"","region_code":"","asn":"","latitude":"","longitude":""}}}`...)
	}
	return fmt.Appendf(b, `,"ip_address_details":{"country":"DE","city":"Köln","region":"Nordrhein-Westfalen","region_code":"NW","asn":"%d","latitude":"%.5f","longitude":"%.5f"}}}`,
		64496+r.IntN(16), 50+r.Float64(), 6+r.Float64())
}

func appendAPIKey(b []byte, r *rand.Rand) []byte {
	k, u := r.IntN(300), r.IntN(500)
	b = fmt.Appendf(b, `{"type":"api_key","api_key":{"id":"key_Example%017d"`, k)
	if r.IntN(2) == 0 {
		return fmt.Appendf(b, `,"type":"service_account","service_account":{"id":"sa-Example%018d"}}}`, k)
	}
	return fmt.Appendf(b, `,"type":"user","user":{"id":"user-Example%018d","email":"user%d@example.com"}}}`, u, u)
}

// Example returns one event of the type, the same for the same arguments. The
// type need not be a documented one.
func Example(kind, id string, at auditlog.Second, seed uint64) []byte {
	t := Type{Name: kind, Scope: auditlog.ScopeOrganization}
	for _, known := range Types() {
		if known.Name == kind {
			t = known
		}
	}
	h := fnv.New64a()
	h.Write([]byte(kind))
	made := newTemplate(t, rand.New(rand.NewPCG(seed, h.Sum64())))
	quoted := strconv.AppendQuote(nil, id)
	return made.appendTo(nil, quoted[1:len(quoted)-1], int64(at))
}
