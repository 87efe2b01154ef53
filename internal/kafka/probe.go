package kafka

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What can be found out without writing anything or fencing anybody.

// Operations are what we may do to something.
type Operations struct {
	Read, Write, Create, Describe, DescribeConfigs bool
	// Known says that the broker told. Without an authorizer, or from one that does
	// not tell, everything counts as allowed.
	Known bool
}

func operations(bits int32) Operations {
	if bits == math.MinInt32 {
		return Operations{Read: true, Write: true, Create: true, Describe: true, DescribeConfigs: true}
	}
	may := func(op kmsg.ACLOperation) bool { return bits&(1<<op) != 0 }
	return Operations{
		Read: may(kmsg.ACLOperationRead), Write: may(kmsg.ACLOperationWrite), Create: may(kmsg.ACLOperationCreate),
		Describe: may(kmsg.ACLOperationDescribe), DescribeConfigs: may(kmsg.ACLOperationDescribeConfigs), Known: true,
	}
}

// Sight is a topic as far as it can be seen.
type Sight struct {
	// Exists is false for one that is missing, and Hidden true for one that may not
	// be seen; what may not be seen may be missing too.
	Exists, Hidden bool
	May            Operations
}

// Look returns what we may do to each of the topics, and to the cluster.
func Look(ctx context.Context, client *kgo.Client, names ...string) (topics map[string]Sight, cluster Operations, err error) {
	req := kmsg.NewPtrMetadataRequest()
	req.IncludeTopicAuthorizedOperations = true
	for _, name := range names {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, topic)
	}
	answer, err := req.RequestWith(ctx, client)
	if err != nil {
		return nil, cluster, fmt.Errorf("asking for the topics: %w", err)
	}
	topics = map[string]Sight{}
	for _, t := range answer.Topics {
		if t.Topic == nil {
			continue
		}
		switch err := kerr.ErrorForCode(t.ErrorCode); {
		case err == nil, errors.Is(err, kerr.LeaderNotAvailable):
			topics[*t.Topic] = Sight{Exists: true, May: operations(t.AuthorizedOperations)}
		case errors.Is(err, kerr.UnknownTopicOrPartition):
			topics[*t.Topic] = Sight{}
		case errors.Is(err, kerr.TopicAuthorizationFailed):
			topics[*t.Topic] = Sight{Hidden: true, May: Operations{Known: true}}
		default:
			return nil, cluster, fmt.Errorf("asking for the topic %s: %w", *t.Topic, err)
		}
	}
	describe := kmsg.NewPtrDescribeClusterRequest()
	describe.IncludeClusterAuthorizedOperations = true
	cluster = operations(math.MinInt32)
	if about, err := describe.RequestWith(ctx, client); err == nil && about.ErrorCode == 0 {
		cluster = operations(about.ClusterAuthorizedOperations)
	}
	return topics, cluster, nil
}

// SeesZombies reports whether the brokers are of version 4.0 or later, which give
// each transaction an epoch of its own: a writer that was thought dead cannot
// touch the transaction of its successor.
func SeesZombies(ctx context.Context, client *kgo.Client) (bool, error) {
	answer, err := kmsg.NewPtrApiVersionsRequest().RequestWith(ctx, client)
	if err != nil {
		return false, fmt.Errorf("asking for the brokers' version: %w", err)
	}
	for _, api := range answer.ApiKeys {
		if api.ApiKey == kmsg.EndTxn.Int16() {
			return api.MaxVersion >= 5, nil
		}
	}
	return false, errors.New("the brokers know no transactions")
}

// TransactionState returns the state of the transactional id, for example
// "Ongoing"; empty if it was never used. Nobody is disturbed by that. The error is
// kerr.TransactionalIDAuthorizationFailed where we may not use it.
func TransactionState(ctx context.Context, client *kgo.Client, id string) (string, error) {
	described, err := kadm.NewClient(client).DescribeTransactions(ctx, id)
	if err != nil {
		return "", fmt.Errorf("describing the transactional id %s: %w", id, err)
	}
	t := described[id]
	if errors.Is(t.Err, kerr.TransactionalIDNotFound) {
		return "", nil
	}
	if t.Err != nil {
		return "", fmt.Errorf("describing the transactional id %s: %w", id, t.Err)
	}
	return t.State, nil
}
