// Command localkafka runs real Apache Kafka on this machine, with Java from the
// jars that Maven fetches.
//
//	localkafka                      in the foreground, at 127.0.0.1:9092, until Ctrl-C
//	localkafka -- go test ./...     for one command, then a table of what ran
//	localkafka -table=false -- ...  for one that is no test
//	localkafka -summary FILE        that table again
//	localkafka -faults FILE         the table of faults of such a report, which must not be empty
//
// Without Java or Maven the command runs all the same, and what was not tested
// is said loudly; with REQUIRE_KAFKA=1 that is a failure.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code, err := run(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "localkafka:", err)
		code = max(code, 1)
	}
	stop()
	os.Exit(code)
}

func run(ctx context.Context) (code int, err error) {
	nodes := flag.Int("nodes", 1, "number of brokers")
	version := flag.String("version", "", "version of Apache Kafka (default KAFKA_VERSION, else "+kafkatest.DefaultVersion+")")
	port := flag.Int("port", 9092, "where the first broker listens, in the foreground; 0: anywhere")
	report := flag.String("summary", "", "print the table of a test report and leave")
	tried := flag.String("faults", "", "print the table of faults of a test report and leave")
	table := flag.Bool("table", true, "after a command, print a table of the tests that ran")
	flag.Parse()
	required := os.Getenv("REQUIRE_KAFKA") == "1"
	if *report != "" {
		return 0, summary(os.Stdout, *report, required)
	}
	if *tried != "" {
		return 0, faultTable(os.Stdout, *tried, true)
	}
	dir, err := os.MkdirTemp("", "localkafka-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)

	opts := []kafkatest.Option{kafkatest.Nodes(*nodes)}
	if *version != "" {
		opts = append(opts, kafkatest.Version(*version))
	}
	if flag.NArg() > 0 {
		return around(ctx, dir, flag.Args(), required, *table, opts)
	}
	fmt.Println("Starting Apache Kafka; the first time, Maven fetches it.")
	cluster, err := kafkatest.StartReal(ctx, dir, append(opts, kafkatest.Port(*port))...)
	if errors.Is(err, syscall.EADDRINUSE) {
		err = fmt.Errorf("%w; choose another port: make kafka ARGS='-port 19092'", err)
	}
	if err != nil {
		return 1, err
	}
	defer cluster.Close()
	fmt.Printf(greeting, cluster.Backend(), strings.Join(cluster.Brokers(), ","))
	<-ctx.Done()
	return 0, nil
}

const greeting = `%[1]s is ready at %[2]s. Ctrl-C stops it and removes its data.

Next, in another terminal:
  make demo ARGS='--brokers %[2]s'                    the demo, on this Kafka
  KAFKA_BROKERS=%[2]s bin/openai-audit-kafka check    or your own settings
`

// around runs the command with a broker for all test processes in it, and sums
// up what they report.
func around(ctx context.Context, dir string, command []string, required, table bool, opts []kafkatest.Option) (int, error) {
	env := os.Environ()
	if os.Getenv("KAFKA_TEST_BROKERS") == "" {
		cluster, err := kafkatest.StartReal(ctx, dir, opts...)
		switch {
		case errors.Is(err, kafkatest.ErrUnavailable) && !required:
			fmt.Fprintf(os.Stderr, "\n*** NOT TESTED ON REAL KAFKA: %v\n*** Install Java 17 and Maven, or set KAFKA_TEST_BROKERS.\n\n", err)
			env = append(env, "KAFKA_TEST_BROKERS=off")
		case err != nil:
			return 1, err
		default:
			defer cluster.Close()
			env = append(env, "KAFKA_TEST_BROKERS="+strings.Join(cluster.Brokers(), ","),
				"KAFKA_VERSION="+strings.TrimPrefix(cluster.Backend(), "kafka-"))
		}
	}
	// The name is a new one each time, so that no test that tells its broker is
	// taken from the cache and missing in the table.
	report := os.Getenv("TEST_REPORT")
	if report == "" {
		report = filepath.Join(dir, "report.tsv")
		env = append(env, "TEST_REPORT="+report)
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = env, os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return 1, err
	}
	// Ctrl-C reaches the command from the terminal, other signals from here.
	stopped := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
	defer stopped()
	err := cmd.Wait()
	tell := func() error { return nil }
	if table {
		tell = func() error { return summary(os.Stdout, report, required) }
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		// The command has said why. Its table is shown all the same.
		return max(1, exit.ExitCode()), tell()
	}
	return 0, errors.Join(err, tell())
}
