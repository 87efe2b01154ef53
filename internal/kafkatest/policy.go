package kafkatest

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed TopicPolicy.java
var policySource []byte

// TopicPolicy lets real Kafka refuse a new topic for any setting that is not among
// these, as a managed cluster does. With a least value a setting is
// "segment.bytes>=52428800". It needs a Java compiler.
func TopicPolicy(takes ...string) Option {
	return func(o *options) {
		o.policy = true
		o.properties["create.topic.policy.class.name"] = "TopicPolicy"
		o.properties["topic.policy.takes"] = strings.Join(takes, " ")
	}
}

// compilePolicy makes the class that the brokers load, and lets them find it.
func (s *server) compilePolicy(ctx context.Context) error {
	if _, err := exec.LookPath("javac"); err != nil {
		return fmt.Errorf("%w: no javac: %w", ErrUnavailable, err)
	}
	source := filepath.Join(s.dir, "TopicPolicy.java")
	if err := os.WriteFile(source, policySource, 0o600); err != nil {
		return err
	}
	classes := filepath.Join(s.dir, "classes")
	javac := exec.CommandContext(ctx, "javac", "-cp", filepath.Join(s.nodes[0].jars, "*"), "-d", classes, source)
	if out, err := javac.CombinedOutput(); err != nil {
		return fmt.Errorf("compiling the policy: %w\n%s", err, out)
	}
	for _, n := range s.nodes {
		n.classes = classes
	}
	return nil
}

// tools are the classes of Kafka's command-line tools.
var tools = map[string]string{
	"kafka-topics.sh":  "org.apache.kafka.tools.TopicCommand",
	"kafka-configs.sh": "kafka.admin.ConfigCommand",
}

// Shell runs a remedy as it is printed, against this cluster: commands of Kafka's own
// tools, joined with &&, where BROKER stands for the brokers.
func (c *Cluster) Shell(ctx context.Context, remedy string) error {
	for command := range strings.SplitSeq(remedy, " && ") {
		words := strings.Fields(strings.ReplaceAll(command, "BROKER", c.brokers[0]))
		class, ok := tools[words[0]]
		if !ok {
			return fmt.Errorf("no tool of Kafka: %s", command)
		}
		cmd := c.Node(0).java(class, words[1:]...)
		if out, err := cmd.CombinedOutput(); err != nil || ctx.Err() != nil {
			return fmt.Errorf("%s: %w\n%s", command, err, out)
		}
	}
	return nil
}
