package kafkatest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// javaFlags start quickly rather than run fast: no second compiler, one
// collector thread.
var javaFlags = []string{"-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData"}

// Node is one broker process of real Kafka, for tests that kill it.
type Node struct {
	// ID is the broker's id, from 1.
	ID int
	// Addr is its plain listener, the same after a restart.
	Addr string

	dir        string // server.properties, server.log, data
	jars       string
	classes    string   // more of them, that a test brings
	flags      []string // of Java, besides javaFlags
	controller string   // the controller listener
	secure     [len(secureListeners)]string
	reserved   []net.Listener // on all of its ports, until it starts
	process    *os.Process
	dead       chan struct{} // closed when the process has ended
}

// Kill ends the process as kill -9 does and waits until it is gone.
func (n *Node) Kill() error { return n.end(os.Kill) }

// Stop asks the broker to hand over and leave, as SIGTERM does, and waits for it.
func (n *Node) Stop() error { return n.end(interrupt) }

func (n *Node) end(signal os.Signal) error {
	if !n.Running() {
		return nil
	}
	if err := n.process.Signal(signal); err != nil && n.Running() {
		return fmt.Errorf("node %d: %w", n.ID, err)
	}
	<-n.dead
	return nil
}

// Pause stops the process in its tracks, as SIGSTOP does.
func (n *Node) Pause() error { return pause(n.process) }

// Resume lets a paused process go on.
func (n *Node) Resume() error { return resume(n.process) }

// Running reports whether the process is there, paused or not.
func (n *Node) Running() bool {
	if n.dead == nil {
		return false
	}
	select {
	case <-n.dead:
		return false
	default:
		return true
	}
}

// Start starts the process; a killed one on the data it left. It does not wait
// for the broker to be ready: see Cluster.WaitReady.
func (n *Node) Start() error {
	if n.Running() {
		return fmt.Errorf("node %d runs already", n.ID)
	}
	for _, l := range n.reserved {
		_ = l.Close()
	}
	n.reserved = nil
	log, err := os.OpenFile(n.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	cmd := n.java("kafka.Kafka", n.propertiesFile())
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = dieWithParent()
	started, dead := make(chan error, 1), make(chan struct{})
	// The goroutine ends with the process. It keeps its thread all that time,
	// since Linux takes the end of the starting thread for that of the parent.
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer log.Close()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // a killed broker's exit code says nothing
		}
		close(dead)
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("node %d: %w", n.ID, err)
	}
	n.process, n.dead = cmd.Process, dead
	return nil
}

func (n *Node) java(class string, args ...string) *exec.Cmd {
	path := filepath.Join(n.jars, "*")
	if n.classes != "" {
		path += string(os.PathListSeparator) + n.classes
	}
	args = append([]string{"-cp", path, class}, args...)
	return exec.Command("java", slices.Concat(javaFlags, n.flags, args)...)
}

func (n *Node) propertiesFile() string { return filepath.Join(n.dir, "server.properties") }
func (n *Node) logFile() string        { return filepath.Join(n.dir, "server.log") }
func (n *Node) dataDir() string        { return filepath.Join(n.dir, "data") }

// lastWords returns the end of the node's log, to say why it did not start.
func (n *Node) lastWords() string {
	log, err := os.ReadFile(n.logFile())
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(string(bytes.TrimSpace(log)), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}
