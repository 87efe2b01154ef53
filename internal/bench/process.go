package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// process is a program that runs, in a process group of its own.
type process struct {
	cmd   *exec.Cmd
	began time.Time
	log   bytes.Buffer  // read only when it has ended
	done  chan struct{} // closed when it has
	end   time.Time     // when it ended; set before done is closed, like err
	err   error         // of Wait
}

// usage is what a program used until it ended.
type usage struct {
	cpu    time.Duration // its own and that of the children it waited for
	rssMiB float64       // the most it had resident
}

// start starts the connector with that environment, and no other.
func (l *lab) start(environ []string) (*process, error) {
	cmd := l.command(l.program)
	cmd.Env = environ
	return launch(cmd)
}

func launch(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, done: make(chan struct{}), began: time.Now()}
	cmd.Stdout, cmd.Stderr = &p.log, &p.log
	ownGroup(cmd)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() { // ends with the process
		p.err = cmd.Wait()
		p.end = time.Now()
		close(p.done)
	}()
	return p, nil
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// words is the end of what it wrote. It must have ended.
func (p *process) words() string {
	<-p.done
	text := bytes.TrimSpace(p.log.Bytes())
	return string(text[max(0, len(text)-2000):])
}

// kill ends it and all that it started as kill -9 does, if it has not ended.
func (p *process) kill() {
	if p.ended() {
		return // its number may be somebody else's by now
	}
	killGroup(p.cmd.Process.Pid)
	<-p.done
}

// stop tells it to leave, as a supervisor does, and returns what it used.
func (p *process) stop() (usage, error) {
	rss, err := peakRSS(p.cmd.Process.Pid)
	if err != nil {
		return usage{}, fmt.Errorf("%w; it said:\n%s", err, p.wordsIfEnded())
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(15 * time.Second):
		p.kill()
		return usage{}, fmt.Errorf("it did not leave within 15 s:\n%s", p.words())
	}
	if p.err != nil {
		return usage{}, fmt.Errorf("%w:\n%s", p.err, p.words())
	}
	return usage{cpu: p.cpu(), rssMiB: rss}, nil
}

func (p *process) wordsIfEnded() string {
	if !p.ended() {
		return "nothing yet"
	}
	return p.words()
}

// cpu is what it used; it must have ended.
func (p *process) cpu() time.Duration {
	return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
}

// finish waits until a program that ends by itself has done so. Its memory is
// looked at meanwhile, that of all processes in its group together.
func (p *process) finish(ctx context.Context, limit time.Duration) (usage, error) {
	peak := 0.0
	for deadline := time.Now().Add(limit); !p.ended(); {
		peak = max(peak, groupRSS(p.cmd.Process.Pid))
		err := pause(ctx, 100*time.Millisecond)
		if err == nil && time.Now().After(deadline) {
			err = fmt.Errorf("not done within %v", limit)
		}
		if err != nil {
			p.kill()
			return usage{}, fmt.Errorf("%w:\n%s", err, p.words())
		}
	}
	if p.err != nil {
		return usage{}, fmt.Errorf("%w:\n%s", p.err, p.words())
	}
	return usage{cpu: p.cpu(), rssMiB: peak}, nil
}

// tempDir returns a new folder for a program's files.
func (l *lab) tempDir() (string, error) { return os.MkdirTemp(l.dir, "state-") }
