package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// organizations measures many organizations in one process: those that read history,
// and those in whose logs nothing happens.
func organizations(ctx context.Context, l *lab) error {
	var one, twelve float64
	for _, count := range []int{1, 12, 100} {
		r, err := readHistories(ctx, l, count, l.events/50)
		if err != nil {
			return fmt.Errorf("%d organizations: %w", count, err)
		}
		l.report.figure(fmt.Sprintf("organizations that read history, %s events each: %d", thousands(r.each), count),
			fmt.Sprintf("%s events/s, %.2f CPU-seconds for 100,000, %.0f MiB, longest time between two polls %s", thousands(int(r.rate)), r.cpu, r.rssMiB, seconds(r.gap)))
		switch count {
		case 1:
			one = r.cpu
		case 12:
			twelve = r.cpu
		default:
			l.report.aim(fmt.Sprintf("resident memory, %d organizations that read history", count), fmt.Sprintf("%.0f MiB", r.rssMiB), "≤ 256 MiB", r.rssMiB <= 256)
			l.report.aim(fmt.Sprintf("longest time between two polls of one of the %d, POLL_INTERVAL=%v", count, pollInterval),
				seconds(r.gap), fmt.Sprintf("≤ %v", 3*pollInterval), r.gap <= 3*pollInterval)
		}
	}
	l.report.aim("CPU for an event, 12 organizations that read history to one", fmt.Sprintf("%.2f×", twelve/one), "≤ 1.2×", twelve <= 1.2*one)
	if err := quietOrganizations(ctx, l); err != nil {
		return err
	}
	return lateOrganizations(ctx, l)
}

const pollInterval = 10 * time.Second

// histories is how several organizations read theirs.
type histories struct {
	plainResult
	each int           // about how many events each has
	gap  time.Duration // the longest time between two polls of one of them, while others read
}

// severally is the connector's environment for several organizations.
func severally(l *lab, audits []*audit, t topics, more ...string) []string {
	environ := l.environ(audits[0], t, append([]string{"POLL_INTERVAL=" + pollInterval.String(), "OPENAI_TENANT_EVENTS=off"}, more...)...)
	environ = slices.DeleteFunc(environ, func(v string) bool {
		return strings.HasPrefix(v, "OPENAI_ADMIN_KEY=") || strings.HasPrefix(v, "OPENAI_BASE_URL=")
	})
	for i, a := range audits {
		name := fmt.Sprintf("ORGANIZATIONS_%d_", i)
		environ = append(environ, name+fmt.Sprintf("NAME=o%d", i), name+"ADMIN_KEY="+keyOf(i), name+"BASE_URL="+a.url())
	}
	return environ
}

// keyOf is the key of an organization: no two may have the same.
func keyOf(i int) string { return fmt.Sprintf("%s-%d", simulator.Key, i) }

// auditsOf returns the logs of so many organizations, each with other ids.
func auditsOf(count int) []*audit {
	all := make([]*audit, count)
	for i := range all {
		all[i] = newAudit(simulator.Config{Seed: uint64(i + 1), Keys: []string{keyOf(i)}})
	}
	return all
}

// readHistories lets one process read so many histories, and compares the topic with all of them.
func readHistories(ctx context.Context, l *lab, count, each int) (r histories, err error) {
	all := auditsOf(count)
	n := 0
	for _, a := range all {
		defer a.close()
		n += a.fill(each, 400*day, 2*day)
	}
	r.each = n / count
	l.say("%d organizations with %s events each", count, thousands(r.each))
	t := l.topics()
	l.create(t)
	p, err := l.start(severally(l, all, t, "BACKFILL_START_TIME=401d"))
	if err != nil {
		return r, err
	}
	defer p.kill()
	done, err := l.awaitRecords(ctx, p, t.events, n, 10*time.Minute)
	if err != nil {
		return r, err
	}
	for _, a := range all {
		r.gap = max(r.gap, a.longestGap(done))
	}
	used, err := p.stop()
	if err != nil {
		return r, err
	}
	r.rate, r.cpu, r.rssMiB = float64(n)/done.Sub(p.began).Seconds(), used.per100k(n), used.rssMiB
	r.topic, err = l.cluster.CompareIDs(ctx, func(yield func(string) bool) {
		for _, a := range all {
			for id := range a.ids() {
				if !yield(id) {
					return
				}
			}
		}
	}, t.events)
	if err == nil && !r.topic.OK() {
		err = fmt.Errorf("the topic is not the log: %v", r.topic)
	}
	return r, err
}

// quietOrganizations measures what organizations cost in whose logs nothing happens,
// beside one alone.
func quietOrganizations(ctx context.Context, l *lab) error {
	one, err := quietly(ctx, l, 1, 0)
	if err != nil {
		return err
	}
	many, err := quietly(ctx, l, l.quiet, time.Minute)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("%d quiet organizations, ", l.quiet)
	memory := (many.rssMiB - one.rssMiB) / float64(l.quiet-1)
	cpu := many.cpu / float64(l.quiet)
	l.report.aim(name+"memory of each but the first", fmt.Sprintf("%.2f MiB", memory), "≤ 1 MiB", memory <= 1)
	l.report.aim(name+"CPU of one core for each", fmt.Sprintf("%.3f %%", cpu), "≤ 0.02 %", cpu <= 0.02)
	l.report.aim(name+"start to ready", seconds(many.ready), "≤ 10 s", many.ready <= 10*time.Second)
	l.report.aim(name+"SIGTERM to the end", seconds(many.left), "≤ 2 s", many.left <= 2*time.Second)
	l.report.figure(name+"connections to the one broker, and to the APIs", fmt.Sprintf("%d, %d; alone %d, %d", many.brokers, many.apis, one.brokers, one.apis))
	return nil
}

// stillness is what quiet organizations cost together.
type stillness struct {
	cpu, rssMiB   float64 // per cent of a core; the most
	ready, left   time.Duration
	brokers, apis int // connections
}

// quietly lets one process be, for so long after the start has settled.
func quietly(ctx context.Context, l *lab, count int, span time.Duration) (r stillness, err error) {
	const settle = 30 * time.Second
	all := auditsOf(count)
	for _, a := range all {
		defer a.close()
		a.fill(20, 23*time.Hour, time.Hour)
	}
	t := l.topics()
	l.create(t)
	l.say("%d quiet organizations", count)
	p, err := startReady(ctx, l, all, t)
	if err != nil {
		return r, err
	}
	defer p.kill()
	r.ready = time.Since(p.began)
	if err := pause(ctx, settle); err != nil {
		return r, err
	}
	before, err := cpuOf(p.cmd.Process.Pid)
	if err != nil {
		return r, fmt.Errorf("%w; it said:\n%s", err, p.wordsIfEnded())
	}
	began := time.Now()
	if err := pause(ctx, span); err != nil {
		return r, err
	}
	after, err := cpuOf(p.cmd.Process.Pid)
	if err != nil {
		return r, err
	}
	r.cpu = (after - before).Seconds() / time.Since(began).Seconds() * 100
	r.brokers, r.apis = connections(l, p.cmd.Process.Pid)
	signalled := time.Now()
	used, err := p.stop()
	r.left, r.rssMiB = time.Since(signalled), used.rssMiB
	return r, err
}

// lateOrganizations measures the first start of organizations whose topics hold the events of
// another one already.
func lateOrganizations(ctx context.Context, l *lab) error {
	before := newAudit(simulator.Config{Seed: 4242})
	defer before.close()
	n := before.fill(l.events, 400*day, 2*day)
	t := l.topics()
	l.create(t)
	l.say("%d organizations beside %s events", l.quiet, thousands(n))
	p, err := l.start(l.environ(before, t, "BACKFILL_START_TIME=401d", "OPENAI_TENANT_EVENTS=off"))
	if err != nil {
		return err
	}
	defer p.kill()
	if _, err := l.awaitRecords(ctx, p, t.events, n, 10*time.Minute); err != nil {
		return err
	}
	if _, err := p.stop(); err != nil {
		return err
	}
	all := auditsOf(l.quiet)
	for _, a := range all {
		defer a.close()
		a.fill(20, 23*time.Hour, time.Hour)
	}
	late, err := startReady(ctx, l, all, t)
	if err != nil {
		return err
	}
	defer late.kill()
	took := time.Since(late.began)
	used, err := late.stop()
	name := fmt.Sprintf("%d organizations that are added where another has %s events, ", l.quiet, thousands(n))
	l.report.aim(name+"start to ready", seconds(took), "≤ 10 s", took <= 10*time.Second)
	l.report.figure(name+"to ready and the end", fmt.Sprintf("%.1f CPU-seconds, %.0f MiB", used.cpu.Seconds(), used.rssMiB))
	return err
}

// startReady starts a process with organizations, and waits until it is ready.
func startReady(ctx context.Context, l *lab, all []*audit, t topics) (*process, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	p, err := l.start(append(severally(l, all, t, "BACKFILL_START_TIME=1d"), "HTTP_ADDR="+addr))
	if err != nil {
		return nil, err
	}
	if err := until(ctx, 10*time.Minute, "ready", func() bool { return p.ended() || isReady(ctx, addr) }); err != nil {
		p.kill()
		return nil, err
	}
	return p, nil
}

func isReady(ctx context.Context, addr string) bool {
	_, ok := page(ctx, addr, "/readyz")
	return ok
}

// connections counts the open ones of a process: to the broker, and to others, which are
// the APIs.
func connections(l *lab, pid int) (brokers, apis int) {
	own := map[string]bool{}
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, file := range files {
		if at, err := os.Readlink(file); err == nil {
			if inode, ok := strings.CutPrefix(at, "socket:["); ok {
				own[strings.TrimSuffix(inode, "]")] = true
			}
		}
	}
	ports := map[string]bool{}
	for _, broker := range l.cluster.Brokers() {
		_, text, _ := strings.Cut(broker, ":")
		port, err := strconv.Atoi(text)
		if err != nil {
			continue // no port of ours
		}
		ports[fmt.Sprintf("%04X", port)] = true
	}
	for _, table := range []string{"tcp", "tcp6"} {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		for line := range strings.Lines(string(text)) {
			const remote, state, inode, established = 2, 3, 9, "01"
			f := strings.Fields(line)
			if len(f) <= inode || f[state] != established || !own[f[inode]] {
				continue
			}
			if _, port, _ := strings.Cut(f[remote], ":"); ports[port] {
				brokers++
			} else {
				apis++
			}
		}
	}
	return brokers, apis
}
