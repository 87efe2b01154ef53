// Command bareloop is the yardstick of the benchmarks: the least that a program does
// which copies the audit log into Kafka. Eight readers page through eight slices of the
// time, split each page into events, and produce these as they are, with their id as
// key. There are no transactions, no Avro and no state: a run that is interrupted loses
// events or writes them again.
//
// It takes what every peer takes: the mode, which is once, URL, key, brokers, topic, a
// folder that it does not need, and the Unix time to begin at.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"
)

const readers = 8

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bareloop:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 7 || args[0] != "once" {
		return errors.New("usage: bareloop once URL KEY BROKERS TOPIC FOLDER SINCE")
	}
	since, err := strconv.ParseInt(args[6], 10, 64)
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(args[3], ",")...),
		kgo.DefaultProduceTopic(args[4]),
		kgo.ProducerBatchCompression(kgo.ZstdCompression().WithLevel(1)),
	)
	if err != nil {
		return err
	}
	defer client.Close()

	l := &loop{url: args[1], key: args[2], client: client}
	http.DefaultTransport.(*http.Transport).MaxIdleConnsPerHost = readers
	slices, reading := errgroup.WithContext(ctx)
	span := time.Now().Unix() + 1 - since
	for i := range int64(readers) {
		slices.Go(func() error { return l.read(reading, since+span*i/readers, since+span*(i+1)/readers) })
	}
	if err := slices.Wait(); err != nil {
		return err
	}
	return errors.Join(client.Flush(ctx), l.failed)
}

// loop is what the readers share.
type loop struct {
	url, key string
	client   *kgo.Client

	mu     sync.Mutex // guards failed
	failed error      // why the first record that was not written was not
}

// page is a page of the list, its events as they came.
type page struct {
	Data    []json.RawMessage `json:"data"`
	HasMore bool              `json:"has_more"`
	LastID  string            `json:"last_id"`
}

// read copies the events of [from, to).
func (l *loop) read(ctx context.Context, from, to int64) error {
	query := url.Values{"limit": {"100"}}
	query.Set("effective_at[gte]", strconv.FormatInt(from, 10))
	query.Set("effective_at[lt]", strconv.FormatInt(to, 10))
	for {
		p, err := l.get(ctx, query)
		if err != nil {
			return err
		}
		for _, event := range p.Data {
			var named struct {
				ID string `json:"id"`
			}
			if err := json.Unmarshal(event, &named); err != nil {
				return err
			}
			// Not with ctx, which ends with the last reader.
			l.client.Produce(context.WithoutCancel(ctx), &kgo.Record{Key: []byte(named.ID), Value: event}, l.wrote)
		}
		if !p.HasMore {
			return nil
		}
		query.Set("after", p.LastID)
	}
}

func (l *loop) get(ctx context.Context, query url.Values) (p page, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.url+"/organization/audit_logs?"+query.Encode(), nil)
	if err != nil {
		return p, err
	}
	req.Header.Set("Authorization", "Bearer "+l.key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return p, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return p, errors.New("the API answered " + resp.Status)
	}
	return p, json.NewDecoder(resp.Body).Decode(&p)
}

func (l *loop) wrote(_ *kgo.Record, err error) {
	if err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.failed = cmp.Or(l.failed, err)
	}
}
