package kafka

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// OAuth gets tokens for OAUTHBEARER from a token endpoint, by the grant for clients. All
// clients of a connection share one, and with it its token.
type OAuth struct {
	TokenURL     string // empty: the token is given
	ClientID     string
	ClientSecret Secret
	Assertion    Secret // a signed JWT, in place of the secret (RFC 7523)
	Scope        string
	Audience     string

	mu     sync.Mutex
	client clientcredentials.Config // it remembers how the endpoint wants the secret
	token  *oauth2.Token            // the last one
	renew  time.Time                // when to ask for the next one
	trial  trial                    // of the token
}

// leastLife is what is left of a token that is still used. Near its end kgo would sign in once
// more within a second, which no broker takes (KIP-368), and its answer speaks of the mechanism.
const leastLife = 5 * time.Second

// bearer returns a token that is good for some time.
func (o *OAuth) bearer(ctx context.Context) (string, error) {
	o.mu.Lock() // those who come meanwhile take what the first one gets
	defer o.mu.Unlock()
	if o.token != nil && time.Now().Before(o.renew) && !o.trial.failed() {
		o.trial.begin()
		return o.token.AccessToken, nil
	}
	o.trial = trial{}
	token, err := o.ask(ctx)
	now := time.Now()
	switch {
	case err == nil:
		o.token, o.renew = token, time.Time{}
		if !token.Expiry.IsZero() { // else it may end any time
			// Early enough for an endpoint that fails for a while, and for kgo, which
			// signs in once more when a twentieth is left.
			o.renew = token.Expiry.Add(-max(token.Expiry.Sub(now)/5, leastLife))
		}
	case o.token == nil || o.token.Expiry.Sub(now) < leastLife:
		return "", err
	}
	o.trial.begin()
	return o.token.AccessToken, nil
}

// taken notes that a broker took the token.
func (o *OAuth) taken() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.trial = trial{}
}

// ask gets a new token.
func (o *OAuth) ask(ctx context.Context) (*oauth2.Token, error) {
	ctx, cancel := context.WithTimeout(ctx, credentialsTimeout)
	defer cancel()
	secret, err := o.ClientSecret.read()
	if err != nil {
		return nil, err
	}
	assertion, err := o.Assertion.read()
	if err != nil {
		return nil, err
	}
	c := &o.client
	c.TokenURL, c.ClientID, c.ClientSecret, c.EndpointParams = o.TokenURL, o.ClientID, secret, url.Values{}
	if o.Scope != "" {
		c.Scopes = []string{o.Scope}
	}
	if o.Audience != "" {
		c.EndpointParams.Set("audience", o.Audience)
	}
	if assertion != "" {
		c.AuthStyle = oauth2.AuthStyleInParams
		c.EndpointParams.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		c.EndpointParams.Set("client_assertion", assertion)
	}
	// A redirect would take the secret to another server.
	here := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	token, err := c.Token(context.WithValue(ctx, oauth2.HTTPClient, here))
	if err != nil {
		return nil, noCredentials(withoutBody(err), "the token endpoint gave no token; check KAFKA_SASL_OAUTH_TOKEN_URL, and there the client, its secret or assertion, its scope and its audience")
	}
	return token, nil
}

// withoutBody returns what a token endpoint said, in the words of RFC 6749 alone: the rest
// of an answer may be a page, or hold what we sent.
func withoutBody(err error) error {
	if answer, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		if answer.ErrorCode == "" {
			return fmt.Errorf("the token endpoint answered %s", answer.Response.Status)
		}
		return fmt.Errorf("the token endpoint answered %s: %.40q: %.300q", answer.Response.Status, answer.ErrorCode, answer.ErrorDescription)
	}
	if sent, ok := errors.AsType[*url.Error](err); ok {
		return fmt.Errorf("asking the token endpoint: %w", sent.Err)
	}
	return errors.New("the token endpoint's answer holds no token") // the text may quote it
}

// bearerToken is the mechanism OAUTHBEARER. That of franz-go takes the first answer of a broker
// that refuses for a fault of the protocol, and never hears that it was a refusal.
type bearerToken struct{ SASL }

func (s SASL) bearerToken() sasl.Mechanism { return bearerToken{s} }

func (bearerToken) Name() string { return "OAUTHBEARER" }

// Authenticate is called for each connection, and when the broker wants us to sign in once more.
func (b bearerToken) Authenticate(ctx context.Context, addr string) (sasl.Session, []byte, error) {
	auth, session := oauth.Auth{Extensions: b.Extensions}, new(bearerSession)
	var err error
	if b.OAuth != nil && b.OAuth.TokenURL != "" {
		session.from = b.OAuth
		auth.Token, err = b.OAuth.bearer(ctx)
	} else {
		auth.Token, err = b.Token.read()
	}
	if err != nil {
		return nil, nil, err
	}
	_, message, err := auth.AsMechanism().Authenticate(ctx, addr)
	return session, message, err
}

type bearerSession struct {
	from    *OAuth // nil: the token was given
	refused bool
}

// Challenge answers a refusal with the one byte of RFC 7628, and the broker then says why.
func (s *bearerSession) Challenge(answer []byte) (done bool, message []byte, err error) {
	switch {
	case len(answer) == 0:
		if s.from != nil {
			s.from.taken()
		}
		return true, nil, nil
	case s.refused:
		return false, nil, errors.New("the broker refused the token and went on")
	}
	s.refused = true
	return false, []byte{1}, nil
}
