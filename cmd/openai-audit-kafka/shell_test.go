package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/ops"
)

// A second signal within a second is the first one again, since GNU timeout sends two;
// a later one is obeyed at once.
func TestSecondSignal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		signals, left := make(chan os.Signal, 2), make(chan int, 1)
		go obey(signals, cancel, func(code int) { left <- code })
		signals <- syscall.SIGTERM
		signals <- syscall.SIGTERM
		synctest.Wait()
		if !errors.As(context.Cause(ctx), new(stopped)) || len(left) != 0 {
			t.Errorf("after two at once: %v, left %d times", context.Cause(ctx), len(left))
		}
		time.Sleep(sameSignal + time.Millisecond)
		signals <- syscall.SIGTERM
		if code := <-left; code != exitFailed {
			t.Errorf("exit code %d", code)
		}
	})
}

func TestCompletion(t *testing.T) {
	two := []string{"ORGANIZATIONS_0_NAME=acme", "ORGANIZATIONS_0_ADMIN_KEY=k", "ORGANIZATIONS_1_NAME=globex"}
	for args, want := range map[string]string{
		"verify --organization ": "acme\nglobex\n:4\n",
		"check --organization ":  "acme\nglobex\n:4\n",
		"check --output ":        "text\njson\n:4\n",
		"check --consumers ":     strings.Join(ops.Consumers(), "\n") + "\n:4\n",
		"verify --from ":         ":4\n", // no files
		"run ":                   ":4\n",
		"tail --format ":         "json\nraw\nocsf\necs\n:4\n",
	} {
		code, stdout, _ := runProgram(t, two, append([]string{"__completeNoDesc"}, strings.Split(args, " ")...)...)
		if code != exitDone || stdout != want {
			t.Errorf("%s<TAB>: exit %d, %q, want %q", args, code, stdout, want)
		}
	}
}

func TestPainter(t *testing.T) {
	var out strings.Builder
	n, err := painter{&out}.Write([]byte("ok       a: b\nwarning  c\nfailed   d\nokay\n"))
	want := "\x1b[32mok\x1b[0m       a: b\n\x1b[33mwarning\x1b[0m  c\n\x1b[31mfailed\x1b[0m   d\nokay\n"
	if n != 41 || err != nil || out.String() != want {
		t.Errorf("%d, %v, %q", n, err, out.String())
	}
}
