package kafka

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"
	"github.com/twmb/franz-go/pkg/sasl"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/remedy"
)

// AWS says who we are to Amazon MSK. All clients of a connection share one, and with it
// its credentials.
type AWS struct {
	// AccessKeyID and SecretAccessKey are a key that was given. Without them the SDK looks
	// for credentials where it always does.
	AccessKeyID     Secret
	SecretAccessKey Secret
	SessionToken    Secret // optional
	RoleARN         string // a role to assume with them; empty: none
	Region          string // where the broker's name has none; empty: that of the profile

	mu     sync.Mutex
	loaded *aws.Config // nil: load it
	trial  trial       // of the credentials
}

const (
	// awsSession is how AWS lists us, as session of a role and as user agent.
	awsSession = "openai-audit-kafka"
	// credentialsTimeout bounds the search for credentials. A machine without any waits for
	// the metadata service of a cloud that is not there.
	credentialsTimeout = 20 * time.Second
	// earlier is how long before their end credentials are replaced: before kgo signs in once more, at
	// 95 % of an hour, and so that a broker whose
	// clock is ahead takes them.
	earlier = 5 * time.Minute
)

// CredentialsError says that there is nothing to show to a broker: the service that gives
// credentials or tokens failed. It is no fault of the broker.
type CredentialsError struct{ why *remedy.Error }

func noCredentials(err error, do string) *CredentialsError {
	return &CredentialsError{&remedy.Error{Cause: err, Do: do}}
}

func (e *CredentialsError) Error() string {
	return "no credentials for the brokers: " + e.why.Cause.Error()
}

// Unwrap returns the cause.
func (e *CredentialsError) Unwrap() error { return e.why.Cause }

// Remedy says what to do.
func (e *CredentialsError) Remedy() string { return e.why.Do }

var errNoRegion = errors.New("the AWS region is not known")

// mskIAM is the mechanism AWS_MSK_IAM. That of franz-go knows no region but that of the
// broker's name and of the environment.
type mskIAM struct{ aws *AWS }

func (mskIAM) Name() string { return "AWS_MSK_IAM" }

// Authenticate is called for each connection, and when the broker wants us to sign in once more.
func (m mskIAM) Authenticate(ctx context.Context, addr string) (sasl.Session, []byte, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, credentialsTimeout)
	defer cancel()
	credentials, region, err := m.aws.credentials(ctx, regionOf(host))
	if err != nil {
		return nil, nil, err
	}
	message, err := challenge(ctx, credentials, host, region, time.Now())
	return mskSession(m), message, err
}

type mskSession struct{ aws *AWS }

func (s mskSession) Challenge(answer []byte) (done bool, message []byte, err error) {
	if len(answer) == 0 {
		return false, nil, errors.New("the broker's answer to AWS_MSK_IAM is empty")
	}
	s.aws.mu.Lock()
	defer s.aws.mu.Unlock()
	s.aws.trial = trial{}
	return true, nil, nil
}

// challenge returns what the broker gets: a request to connect to it, signed with
// Signature Version 4, as JSON.
func challenge(ctx context.Context, credentials aws.Credentials, host, region string, at time.Time) ([]byte, error) {
	query := url.Values{"Action": {"kafka-cluster:Connect"}, "X-Amz-Expires": {"300"}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host+"/?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	noBody := sha256.Sum256(nil)
	signed, _, err := v4.NewSigner().PresignHTTP(ctx, credentials, request, hex.EncodeToString(noBody[:]), "kafka-cluster", region, at.UTC())
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(signed)
	if err != nil {
		return nil, err
	}
	message := map[string]string{"version": "2020_10_22", "host": host, "user-agent": awsSession}
	for name, values := range u.Query() {
		message[strings.ToLower(name)] = values[0]
	}
	return json.Marshal(message)
}

// hostRegion finds the region in the name of a broker of MSK, such as
// b-1.audit.abcdef.c2.kafka.eu-west-1.amazonaws.com.
var hostRegion = regexp.MustCompile(`\.([a-z0-9-]+)\.(amazonaws\.com|amazonaws\.com\.cn|c2s\.ic\.gov|sc2s\.sgov\.gov)$`)

func regionOf(host string) string {
	if found := hostRegion.FindStringSubmatch(host); found != nil {
		return found[1]
	}
	return ""
}

// credentials returns those of now, and the region to sign for.
func (a *AWS) credentials(ctx context.Context, region string) (aws.Credentials, string, error) {
	a.mu.Lock() // those who come meanwhile take what the first one gets
	defer a.mu.Unlock()
	if a.trial.failed() {
		a.loaded, a.trial = nil, trial{}
	}
	a.trial.begin()
	if a.loaded == nil {
		loaded, err := a.load(ctx, region)
		if err != nil {
			return aws.Credentials{}, "", noAWS(err)
		}
		a.loaded = &loaded
	}
	credentials, err := a.loaded.Credentials.Retrieve(ctx)
	region = cmp.Or(region, a.loaded.Region)
	if err != nil || !credentials.CanExpire {
		// The SDK would keep what it read from a file for ever, and a rotation would have no effect.
		a.loaded = nil
	}
	switch {
	case err != nil:
		return credentials, "", noAWS(err)
	case region == "":
		return credentials, "", noCredentials(errNoRegion, "the broker's name holds no region of AWS; set AWS_REGION")
	}
	return credentials, region, nil
}

func noAWS(err error) error {
	return noCredentials(err, "AWS gave no credentials; check the role of the machine or the pod, AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; with KAFKA_SASL_AWS_ROLE_ARN, that the role trusts us")
}

// load prepares the search. It sends no request yet.
func (a *AWS) load(ctx context.Context, region string) (aws.Config, error) {
	options := []func(*config.LoadOptions) error{
		config.WithRegion(a.Region),
		config.WithDefaultRegion(region), // for the services that give credentials
		config.WithLogger(logging.Nop{}), // its errors say enough, and stderr is ours
		config.WithCredentialsCacheOptions(expireEarlier),
	}
	key, err := a.given(ctx)
	if err != nil {
		return aws.Config{}, err
	}
	if key.HasKeys() {
		options = append(options, config.WithCredentialsProvider(aws.CredentialsProviderFunc(a.given)))
	}
	loaded, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil || a.RoleARN == "" {
		return loaded, err
	}
	role := stscreds.NewAssumeRoleProvider(sts.NewFromConfig(loaded), a.RoleARN, func(o *stscreds.AssumeRoleOptions) {
		o.RoleSessionName = awsSession
	})
	loaded.Credentials = aws.NewCredentialsCache(role, expireEarlier)
	return loaded, nil
}

func expireEarlier(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = earlier }

// given returns the key of the settings, if there is one.
func (a *AWS) given(context.Context) (key aws.Credentials, err error) {
	if key.AccessKeyID, err = a.AccessKeyID.read(); err != nil {
		return key, err
	}
	if key.SecretAccessKey, err = a.SecretAccessKey.read(); err != nil {
		return key, err
	}
	key.SessionToken, err = a.SessionToken.read()
	return key, err
}
