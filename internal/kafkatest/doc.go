// Package kafkatest gives tests, and the demo, brokers to talk to: one inside
// the process, and real Apache Kafka in KRaft mode, started with Java from the
// jars that Maven fetches. A Proxy between client and broker loses requests and
// answers on purpose, and Compare says what part of a known truth is in a topic.
//
// The in-process broker is quick and has no asynchronous parts. So it is no
// proof: what must hold on a broker is run on both, by Each.
//
// # Environment
//
// Where real Kafka comes from is decided here and nowhere else:
//
//   - REQUIRE_KAFKA=1: a test that needs real Kafka, or another program, and cannot
//     have it fails. Otherwise it is skipped, and the summary of "make test" says so.
//   - KAFKA_VERSION: the version started, 4.3.1 by default.
//   - KAFKA_TEST_BROKERS=host:port,...: SharedReal uses these and starts none.
//     "make test" starts one broker for all packages that way. "off": this run
//     does without real Kafka.
//   - TEST_REPORT: a file to which every test adds a line about its broker.
package kafkatest
