package kafkatest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// properties returns the content of the node's server.properties.
func (s *server) properties(n *Node, o options) string {
	voters := make([]string, len(s.nodes))
	for i, n := range s.nodes {
		voters[i] = fmt.Sprintf("%d@%s", n.ID, n.controller)
	}
	replicas := strconv.Itoa(min(3, len(s.nodes)))
	minISR := strconv.Itoa(max(1, min(2, len(s.nodes)-1)))
	p := map[string]string{
		"process.roles":                  "broker,controller",
		"node.id":                        strconv.Itoa(n.ID),
		"controller.quorum.voters":       strings.Join(voters, ","),
		"controller.listener.names":      "CONTROLLER",
		"listeners":                      "PLAINTEXT://" + n.Addr + ",CONTROLLER://" + n.controller,
		"listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"log.dirs":                       n.dataDir(),

		"default.replication.factor":                       replicas,
		"offsets.topic.replication.factor":                 replicas,
		"transaction.state.log.replication.factor":         replicas,
		"transaction.state.log.min.isr":                    minISR,
		"share.coordinator.state.topic.replication.factor": replicas,
		"share.coordinator.state.topic.min.isr":            minISR,

		// Fifty partitions each, the default, cost a second at the first use.
		"offsets.topic.num.partitions":         "4",
		"transaction.state.log.num.partitions": "4",

		"auto.create.topics.enable":        "false",
		"group.initial.rebalance.delay.ms": "0",
		// A killed broker may come back only when its session is over: 9 s by
		// default, which every test with a restart would wait.
		"broker.session.timeout.ms":    "4000",
		"broker.heartbeat.interval.ms": "500",
	}
	if o.controller {
		p["controller.quorum.voters"] = voters[0]
		if n != s.nodes[0] {
			p["process.roles"], p["listeners"] = "broker", "PLAINTEXT://"+n.Addr
		}
	}
	if s.security != nil {
		maps.Copy(p, s.security.properties(n, p))
	}
	if o.kdc != nil {
		maps.Copy(p, o.kdc.properties(p))
	}
	maps.Copy(p, o.properties)

	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(p)) {
		fmt.Fprintf(&b, "%s=%s\n", k, p[k])
	}
	return b.String()
}
