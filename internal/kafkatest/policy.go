package kafkatest

import (
	"context"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// sources are the classes that tests bring to the brokers.
//
//go:embed TopicPolicy.java TokenExtensions.java
var sources embed.FS

// TopicPolicy lets real Kafka refuse a new topic for any setting that is not among
// these, as a managed cluster does. With a least value a setting is
// "segment.bytes>=52428800". It needs a Java compiler.
func TopicPolicy(takes ...string) Option {
	return func(o *options) {
		o.class = "TopicPolicy"
		o.properties["create.topic.policy.class.name"] = "TopicPolicy"
		o.properties["topic.policy.takes"] = strings.Join(takes, " ")
	}
}

// TokenExtensions lets secured brokers want the extension logicalCluster=lkc-1 beside
// each token. It needs a Java compiler.
func TokenExtensions() Option {
	return func(o *options) {
		o.class = "TokenExtensions"
		o.properties["listener.name.sasltls.oauthbearer.sasl.server.callback.handler.class"] = o.class
	}
}

// compile makes the class that the brokers load, and lets them find it.
func (s *server) compile(ctx context.Context, class string) error {
	if _, err := exec.LookPath("javac"); err != nil {
		return fmt.Errorf("%w: no javac: %w", ErrUnavailable, err)
	}
	content, err := sources.ReadFile(class + ".java")
	if err != nil {
		return err
	}
	source := filepath.Join(s.dir, class+".java")
	if err := os.WriteFile(source, content, 0o600); err != nil {
		return err
	}
	classes := filepath.Join(s.dir, "classes")
	javac := exec.CommandContext(ctx, "javac", "-cp", filepath.Join(s.nodes[0].jars, "*"), "-d", classes, source)
	if out, err := javac.CombinedOutput(); err != nil {
		return fmt.Errorf("compiling the class: %w\n%s", err, out)
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
