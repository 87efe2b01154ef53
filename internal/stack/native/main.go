// Command native runs the compose stack of docker on this machine without Docker: the
// same services in the same order, with the settings and health checks of the
// compose file. Addresses are other ones, since here all share one network.
//
// It ends by itself: when decoded events arrive, history and live ones, and
// Prometheus has scraped for a while with no alert. It exits with 0 then, and with 1
// and the reason otherwise.
//
// What it runs is not the images: Kafka comes from the jars that Maven fetches, the
// registry from its archive on Maven Central, Java 21 from PyPI if there is none,
// Prometheus from Debian; ours are built. Kafka UI and Grafana are not run.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/stack"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "native:", err)
		os.Exit(1)
	}
}

// notRun are the services that nothing here could run.
var notRun = map[string]string{
	"kafka-ui": "its jar is not on Maven Central",
	"grafana":  "it is in no archive that Debian has",
}

func run(ctx context.Context) (err error) {
	watch := flag.Duration("watch", 40*time.Second, "how long alerts are watched")
	only := flag.Bool("fetch", false, "only fetch the programs of others, and print NAME=PATH of each, for images that stand in for theirs")
	flag.Parse()
	if *only {
		return fetchOthers(ctx)
	}
	project, err := stack.Load(ctx, ".", "compose.yaml")
	if err != nil {
		return err
	}
	order, err := project.Order()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "stack-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	fmt.Println("== What the services are run from")
	have, err := fetch(ctx, dir)
	if err != nil {
		return err
	}
	r := &runner{project: project, addresses: stack.NewAddresses(project), have: have, dir: dir, began: time.Now()}
	defer func() {
		if stopped := r.stop(); err == nil {
			err = stopped
		}
	}()
	fmt.Println("== The services, in the order of the compose file")
	for _, name := range order {
		if why := notRun[name]; why != "" {
			fmt.Printf("  %-11s NOT RUN: %s\n", name, why)
			continue
		}
		if err := r.start(ctx, name); err != nil {
			return err
		}
	}
	return r.prove(ctx, *watch)
}
