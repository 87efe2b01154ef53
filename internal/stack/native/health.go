package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"time"
)

// healthLimit is how long a service may take to be healthy. On a machine that is
// busy, Java takes a minute.
const healthLimit = 3 * time.Minute

// healthy waits until the service's health check passes.
func (r *runner) healthy(ctx context.Context, s *service) error {
	ctx, cancel := context.WithTimeout(ctx, healthLimit)
	defer cancel()
	for {
		err := r.check(ctx, s)
		if err == nil {
			return nil
		}
		select {
		case <-s.done:
			return fmt.Errorf("%s ended: %v\n%s", s.name, s.cmd.ProcessState, s.output.last())
		case <-ctx.Done():
			return fmt.Errorf("%s is not healthy after %v: %w\n%s", s.name, healthLimit, err, s.output.last())
		case <-time.After(time.Second):
		}
	}
}

// check runs the service's health check as the compose file has it. What the images
// hold and this machine may not is done in its place.
func (r *runner) check(ctx context.Context, s *service) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	words := make([]string, len(s.stack.Healthcheck.Test)-1)
	for i, word := range s.stack.Healthcheck.Test[1:] {
		words[i] = r.addresses.Translate(s.name, word)
	}
	switch filepath.Base(words[0]) {
	case "curl", "wget":
		return get(ctx, words[len(words)-1])
	case "kafka-topics.sh":
		words = append(append(r.java("-Xmx256m"), "org.apache.kafka.tools.TopicCommand"), words[1:]...)
	case "demo":
		// Where it listens is built in, and here it is another port.
		words = append(words, "--addr", r.addresses.Of(s.name, 8081))
		fallthrough
	default:
		words[0] = filepath.Join(r.have.ours, filepath.Base(words[0]))
	}
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Env = []string{}
	for key, value := range s.env {
		cmd.Env = append(cmd.Env, key+"="+value)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// get asks for a URL, and is content with any answer of 2xx.
func get(ctx context.Context, url string) error {
	_, err := body(ctx, url)
	return err
}

func body(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s: %s: %s", url, resp.Status, text)
	}
	return text, err
}
