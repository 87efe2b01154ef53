package kafkatest

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Grant makes the ACLs, and returns when the brokers heed them: they get them from the
// controller a moment after it has confirmed them.
func Grant(t testing.TB, c *Cluster, acls *kadm.ACLBuilder) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	admin := c.Admin()
	created, err := admin.CreateACLs(ctx, acls)
	for _, a := range created {
		if a.Err != nil {
			err = a.Err
		}
	}
	if err != nil {
		t.Fatalf("granting rights: %v", err)
	}
	brokers, err := admin.ListBrokers(ctx)
	if err != nil {
		t.Fatal(err)
	}
	client := c.Client()
	for _, b := range brokers {
		for _, acl := range created {
			for !heeds(ctx, client.Broker(int(b.NodeID)), acl) {
				if err := sleep(ctx, 20*time.Millisecond); err != nil {
					t.Fatalf("broker %d does not heed %+v: %v", b.NodeID, acl, err)
				}
			}
		}
	}
}

func heeds(ctx context.Context, broker *kgo.Broker, acl kadm.CreateACLsResult) bool {
	req := kmsg.NewPtrDescribeACLsRequest()
	req.ResourceType, req.ResourceName, req.ResourcePatternType = acl.Type, &acl.Name, acl.Pattern
	req.Principal, req.Host, req.Operation, req.PermissionType = &acl.Principal, &acl.Host, acl.Operation, acl.Permission
	answer, err := req.RequestWith(ctx, requester{broker})
	return err == nil && answer.ErrorCode == 0 && len(answer.Resources) > 0
}

// requester asks one broker.
type requester struct{ broker *kgo.Broker }

func (r requester) Request(ctx context.Context, req kmsg.Request) (kmsg.Response, error) {
	return r.broker.RetriableRequest(ctx, req)
}
