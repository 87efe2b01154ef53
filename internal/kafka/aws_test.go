package kafka_test

import (
	"crypto/hmac"
	"crypto/sha1" // for the name of a file in the cache of the AWS CLI
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	franz "github.com/twmb/franz-go/pkg/sasl/aws"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
)

// clouds stands in for the services of AWS that give credentials, and for the broker that
// asks who signed. Each answer has another key, which ends at once.
type clouds struct {
	*httptest.Server
	mu     sync.Mutex
	issued map[string]int // by service
	seen   []string       // keys whose signature was right, in turn
	wrong  error          // a signature that was not
}

func newClouds(t *testing.T) *clouds {
	c := &clouds{issued: make(map[string]int)}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

// key returns a new key of the service. Its secret and its token are made of its name.
func (c *clouds) key(service string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.issued[service]++
	return fmt.Sprintf("%s-%d", service, c.issued[service])
}

// ServeHTTP answers in the forms of the documents of AWS.
func (c *clouds) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ends := time.Now().Add(10 * time.Second).UTC()
	asJSON := func(service string, ends time.Time) {
		key := c.key(service)
		_ = json.NewEncoder(w).Encode(map[string]string{
			"Code": "Success", "AccessKeyId": key, "SecretAccessKey": secretOf(key), "Token": "token/of " + key, "Expiration": ends.Format(time.RFC3339),
		})
	}
	switch path := r.Method + " " + r.URL.Path; {
	case path == "PUT /latest/api/token":
		w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "600")
		fmt.Fprint(w, "session")
	case r.Header.Get("X-Aws-Ec2-Metadata-Token") == "session" && path == "GET /latest/meta-data/iam/security-credentials/":
		fmt.Fprint(w, "machine")
	case r.Header.Get("X-Aws-Ec2-Metadata-Token") == "session" && path == "GET /latest/meta-data/iam/security-credentials/machine":
		asJSON("machine", ends.Add(-time.Minute)) // the SDK uses those of a machine up to their very end
	case path == "GET /pod" && r.Header.Get("Authorization") == "pod's token":
		asJSON("pod", ends)
	case path == "GET /federation/credentials" && r.Header.Get("X-Amz-Sso_bearer_token") == "signed in":
		key := c.key("sso")
		fmt.Fprintf(w, `{"roleCredentials": {"accessKeyId": %q, "secretAccessKey": %q, "sessionToken": %q, "expiration": %d}}`,
			key, secretOf(key), "token/of "+key, ends.UnixMilli())
	case path == "POST /" && r.FormValue("Action") == "AssumeRoleWithWebIdentity" && r.FormValue("WebIdentityToken") == "service account's token":
		c.assumed(w, "AssumeRoleWithWebIdentity", "web", ends)
	case path == "POST /" && r.FormValue("Action") == "AssumeRole" && strings.Contains(r.Header.Get("Authorization"), "Credential=key-"):
		c.assumed(w, "AssumeRole", "role", ends)
	default:
		http.Error(w, "no", http.StatusForbidden)
	}
}

func (c *clouds) assumed(w http.ResponseWriter, action, service string, ends time.Time) {
	key := c.key(service)
	fmt.Fprintf(w, `<%[1]sResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><%[1]sResult><Credentials><AccessKeyId>%[2]s</AccessKeyId>`+
		`<SecretAccessKey>%[3]s</SecretAccessKey><SessionToken>token/of %[2]s</SessionToken><Expiration>%[4]s</Expiration></Credentials></%[1]sResult></%[1]sResponse>`,
		action, key, secretOf(key), ends.Format(time.RFC3339))
}

func secretOf(key string) string { return "secret+of/" + key }

// broker starts one that lets in who signs for eu-west-1, and asks before each request once more.
func (c *clouds) broker(t *testing.T) *kafkatest.Cluster {
	k := kafkatest.InProcess(t)
	k.Fake().ControlKey(int16(kmsg.SASLHandshake), func(r kmsg.Request) (kmsg.Response, error, bool) {
		k.Fake().KeepControl()
		answer := r.ResponseKind().(*kmsg.SASLHandshakeResponse)
		answer.SupportedMechanisms = []string{r.(*kmsg.SASLHandshakeRequest).Mechanism}
		return answer, nil, true
	})
	k.Fake().ControlKey(int16(kmsg.SASLAuthenticate), func(r kmsg.Request) (kmsg.Response, error, bool) {
		k.Fake().KeepControl()
		answer := r.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		answer.SASLAuthBytes, answer.SessionLifetimeMillis = []byte(`{"version": "2020_10_22", "request-id": "1"}`), 1
		key, err := verify(r.(*kmsg.SASLAuthenticateRequest).SASLAuthBytes, "eu-west-1")
		c.mu.Lock()
		defer c.mu.Unlock()
		c.seen, c.wrong = append(c.seen, key), errors.Join(c.wrong, err)
		return answer, nil, true
	})
	return k
}

// verify computes the signature once more, by the rules of Signature Version 4 and with nothing
// of any SDK, and returns whose it is.
func verify(message []byte, region string) (key string, err error) {
	var m map[string]string
	if err := json.Unmarshal(message, &m); err != nil {
		return "", err
	}
	scope := strings.Split(m["x-amz-credential"], "/")
	if len(scope) != 5 || m["version"] != "2020_10_22" || m["action"] != "kafka-cluster:Connect" {
		return "", fmt.Errorf("not a message of AWS_MSK_IAM: %q", m)
	}
	key = scope[0]
	if want := []string{key, m["x-amz-date"][:8], region, "kafka-cluster", "aws4_request"}; strings.Join(want, "/") != m["x-amz-credential"] {
		return key, fmt.Errorf("signed for %s", m["x-amz-credential"])
	}
	var query []string
	for _, name := range []string{"Action", "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-Security-Token", "X-Amz-SignedHeaders"} {
		if value, is := m[strings.ToLower(name)]; is {
			query = append(query, name+"="+strings.ReplaceAll(url.QueryEscape(value), "+", "%20"))
		}
	}
	hashed := func(text string) string { h := sha256.Sum256([]byte(text)); return hex.EncodeToString(h[:]) }
	request := "GET\n/\n" + strings.Join(query, "&") + "\nhost:" + m["host"] + "\n\nhost\n" + hashed("")
	text := "AWS4-HMAC-SHA256\n" + m["x-amz-date"] + "\n" + strings.Join(scope[1:], "/") + "\n" + hashed(request)
	sign := []byte("AWS4" + secretOf(key))
	for _, part := range append(scope[1:], text) {
		h := hmac.New(sha256.New, sign)
		h.Write([]byte(part))
		sign = h.Sum(nil)
	}
	if hex.EncodeToString(sign) != m["x-amz-signature"] {
		return key, fmt.Errorf("the signature of %s is wrong", key)
	}
	return key, nil
}

// The verifier is right: it takes what another implementation signed, and nothing else.
func TestVerifierOfSignatures(t *testing.T) {
	auth := franz.Auth{AccessKey: "key-1", SecretKey: secretOf("key-1"), SessionToken: "a token/of+some"}
	_, message, err := auth.AsManagedStreamingIAMMechanism().Authenticate(t.Context(), "b-1.audit.kafka.eu-west-1.amazonaws.com:9098")
	if err != nil {
		t.Fatal(err)
	}
	if key, err := verify(message, "eu-west-1"); key != "key-1" || err != nil {
		t.Errorf("%s, %v", key, err)
	}
	if _, err := verify([]byte(strings.Replace(string(message), "kafka.eu", "kafka.us", 1)), "eu-west-1"); err == nil {
		t.Error("another host passes")
	}
}

// Credentials come from where the AWS SDK looks for them, and each is used no longer than it lasts:
// the keys that a running client signs with change as those of the service do.
func TestAWSIdentities(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	profile := func(n int) {
		key := fmt.Sprintf("key-%d", n)
		write(".aws/credentials", "[audit]\naws_access_key_id = "+key+"\naws_secret_access_key = "+secretOf(key)+"\n")
	}
	given := 1 // the number of the key in the settings, which somebody replaces
	key := func() (string, error) { return fmt.Sprintf("key-%d", given), nil }
	secret := func() (string, error) { return secretOf(fmt.Sprintf("key-%d", given)), nil }
	cloud := newClouds(t)
	for name, c := range map[string]struct {
		env    map[string]string
		aws    *kafka.AWS
		rotate func()
		want   string // service of the keys
	}{
		"keys from files":      {nil, &kafka.AWS{AccessKeyID: key, SecretAccessKey: secret}, func() { given++ }, "key"},
		"those and a role":     {nil, &kafka.AWS{AccessKeyID: key, SecretAccessKey: secret, RoleARN: "arn:aws:iam::123456789012:role/audit"}, func() {}, "role"},
		"a profile":            {map[string]string{"AWS_PROFILE": "audit"}, new(kafka.AWS), func() { profile(2) }, "key"},
		"a profile and a role": {map[string]string{"AWS_PROFILE": "audit"}, &kafka.AWS{RoleARN: "arn:aws:iam::123456789012:role/audit"}, func() {}, "role"},
		"SSO":                  {map[string]string{"AWS_PROFILE": "sso"}, new(kafka.AWS), func() {}, "sso"},
		"IRSA": {map[string]string{"AWS_WEB_IDENTITY_TOKEN_FILE": write("web", "service account's token"), "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/pod"},
			new(kafka.AWS), func() {}, "web"},
		"EKS Pod Identity": {map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": cloud.URL + "/pod", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": write("pod", "pod's token")},
			new(kafka.AWS), func() {}, "pod"},
		"an instance": {map[string]string{"AWS_EC2_METADATA_DISABLED": "false", "AWS_EC2_METADATA_SERVICE_ENDPOINT": cloud.URL}, new(kafka.AWS), func() {}, "machine"},
	} {
		t.Run(name, func(t *testing.T) {
			profile(1)
			start := "https://sign-in.example"
			write(".aws/config", "[profile sso]\nsso_start_url = "+start+"\nsso_region = eu-west-1\nsso_account_id = 123456789012\nsso_role_name = audit\n")
			write(fmt.Sprintf(".aws/sso/cache/%x.json", sha1.Sum([]byte(start))), `{"accessToken": "signed in", "expiresAt": "2999-01-01T00:00:00Z"}`)
			for name, value := range map[string]string{"HOME": dir, "AWS_CONFIG_FILE": filepath.Join(dir, ".aws/config"), "AWS_SHARED_CREDENTIALS_FILE": filepath.Join(dir, ".aws/credentials"),
				"AWS_EC2_METADATA_DISABLED": "true", "AWS_ENDPOINT_URL_STS": cloud.URL, "AWS_ENDPOINT_URL_SSO": cloud.URL} {
				t.Setenv(name, value)
			}
			for name, value := range c.env {
				t.Setenv(name, value)
			}
			cloud.seen, cloud.issued = nil, make(map[string]int)
			c.aws.Region = "eu-west-1"
			conn := kafka.Connection{Brokers: cloud.broker(t).Brokers(), SASL: kafka.SASL{Mechanism: "AWS_MSK_IAM", AWS: c.aws}}
			cl, err := conn.Client(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer cl.Close()
			if err := cl.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
			c.rotate()
			if err := cl.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
			cloud.mu.Lock()
			defer cloud.mu.Unlock()
			first, last := cloud.seen[0], cloud.seen[len(cloud.seen)-1]
			if cloud.wrong != nil || !strings.HasPrefix(first, c.want+"-") || !strings.HasPrefix(last, c.want+"-") || first == last {
				t.Errorf("signed with %v (%v), want several of %s", cloud.seen, cloud.wrong, c.want)
			}
		})
	}
}

// Without credentials or region, it is not the broker that is blamed.
func TestNoAWSIdentity(t *testing.T) {
	cloud := newClouds(t)
	for name, value := range map[string]string{"HOME": t.TempDir(), "AWS_EC2_METADATA_DISABLED": "true", "AWS_ENDPOINT_URL_STS": cloud.URL} {
		t.Setenv(name, value)
	}
	key := func() (string, error) { return "unknown", nil }
	for name, c := range map[string]struct {
		aws  *kafka.AWS
		want string
	}{
		"no credentials": {&kafka.AWS{Region: "eu-west-1"}, "AWS_PROFILE"},
		"a role refused": {&kafka.AWS{Region: "eu-west-1", AccessKeyID: key, SecretAccessKey: key, RoleARN: "arn:aws:iam::123456789012:role/audit"}, "KAFKA_SASL_AWS_ROLE_ARN"},
		"no region":      {&kafka.AWS{AccessKeyID: key, SecretAccessKey: key}, "set AWS_REGION"},
	} {
		t.Run(name, func(t *testing.T) {
			conn := kafka.Connection{Brokers: cloud.broker(t).Brokers(), SASL: kafka.SASL{Mechanism: "AWS_MSK_IAM", AWS: c.aws}}
			cl, err := conn.Client(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer cl.Close()
			err = cl.Ping(t.Context())
			if kafka.Classify(err) != kafka.ClassAuthentication || !strings.Contains(kafka.Explain(err), c.want) {
				t.Errorf("%v: %s, %s", err, kafka.Classify(err), kafka.Explain(err))
			}
		})
	}
}
