# The targets that people and CI use. "make" alone lists them.

SHELL := /bin/bash
.DELETE_ON_ERROR:

# What ldflags stamp into the binary; a tarball without git still builds.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT  ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)

PKG      ?= ./...
# A number of runs, and not a time: Go ends a fuzz run that is over its time with
# "context deadline exceeded" now and then, which is a failure of nothing. This is the
# short form; "make fuzz" is the long one.
FUZZTIME ?= 50000x
# A vulnerability database other than the public one, for example a file:// URL.
VULNDB   ?=

TOOLS := bin/tools

GO_BUILD := CGO_ENABLED=0 go build
# On a terminal, Ctrl-C is for the program alone, which ends in order and with 0. make
# would end with an error of its own.
own_ctrl_c = if [ -t 0 ]; then set -m; fi; $(1); exit $$?

# The benchmarks are a module of their own, so that what they compare with is not among
# the product's dependencies. What is done to all packages is done to theirs as well.
in_bench = $(if $(filter ./...,$(PKG)),cd internal/bench && $(1) ./...)

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build the static binary into bin/
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/openai-audit-kafka

.PHONY: demo
demo: ## show audit events flowing into Kafka, with nothing installed but Go
	@echo 'Compiling; the first time that takes a minute.'
	@$(GO_BUILD) -o bin/demo ./cmd/demo
	@$(call own_ctrl_c,bin/demo $(ARGS))

.PHONY: kafka
kafka: ## run a real Apache Kafka on this machine until Ctrl-C (Java, Maven)
	@echo 'Compiling; the first time that takes a minute.'
	@$(GO_BUILD) -o bin/localkafka ./internal/kafkatest/localkafka
	@$(call own_ctrl_c,bin/localkafka $(ARGS))

.PHONY: stack
stack: ## run the compose stack on this machine without Docker, and prove that it works (Java, Maven)
	@go run ./internal/stack/native $(ARGS)

# Tests that are parallel wait for brokers, more than they work: four on two cores.
.PHONY: test
test: ## run the tests, on real Kafka too if Java and Maven are there
	CGO_ENABLED=0 go run ./internal/kafkatest/localkafka -- go test -timeout 60m -parallel 4 $(TESTFLAGS) $(PKG)
	$(call in_bench,CGO_ENABLED=0 go test -timeout 60m $(TESTFLAGS))

.PHONY: release
release: ## make the files of a release in dist/
	rm -rf dist
	.ci/ship/release dist
	@cat dist/SHA256SUMS

.PHONY: release-check
release-check: ## make the release twice, in two places with two caches, and compare
	go test -count=1 -v -timeout 30m ./internal/release -full

# What the FIPS variant of a release is built with, and the tests of TLS, of sign-in and
# of signatures that are run with it.
FIPS_TESTS ?= SignIn|Password|TLS|SASL|SCRAM|AWS|MSK|OAuth|Sign|Seal|Certificate

.PHONY: fips-check
fips-check: ## TLS, sign-in and signatures with the certified module of Go (Java, Maven)
	GOFIPS140=$$(sed -n 's/^fips=//p' .ci/ship/release) REQUIRE_KAFKA=1 go test -count=1 -timeout 20m $(TESTFLAGS) -run '$(FIPS_TESTS)' \
		./cmd/openai-audit-kafka ./internal/kafka ./internal/openai ./internal/codec/...

.PHONY: image-check
image-check: ## build the images with a real engine, run them and the systemd unit (root, Debian, Java, Maven)
	.ci/image

.PHONY: compose-check
compose-check: ## run the compose file in Docker, with Docker Compose (root, Debian, kcat, curl, jq, Maven, pip; long the first time)
	.ci/compose

.PHONY: chart-check
chart-check: bin/cluster ## try the Helm chart: objects, a Kubernetes control plane, updates on Kafka (Java, Maven; long the first time)
	cd docker/chart/test && go vet ./... && CHART_CLUSTER=$(CURDIR)/bin/cluster REQUIRE_KAFKA=1 CGO_ENABLED=0 \
		go test -count=1 -v -timeout 20m $(TESTFLAGS) ./...

# The control plane of Kubernetes, built once. A nested module, so that what it needs is
# not among what the chart's tests need.
bin/cluster: $(addprefix docker/chart/test/cluster/,main.go go.mod go.sum)
	@echo 'Compiling Kubernetes; the first time that takes a quarter of an hour or more.'
	cd docker/chart/test/cluster && version=$$(go list -m -f '{{.Version}}' k8s.io/kubernetes) && \
		CGO_ENABLED=0 go vet . && CGO_ENABLED=0 go build -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$$version" -o $(CURDIR)/$@ .

# The versions of Kafka that are tortured, and the tests that do it: each adds lines
# to the table of faults. TORTURE_RUNS and TORTURE_SEED make another number of runs,
# and begin at a seed that a failure printed.
TORTURE_KAFKA ?= $(KAFKA_VERSIONS)
TORTURE_TESTS ?= LostMarkers|EpochsRunOut|WireFaults|EveryStepFailsBothWays|SilentEndlessRetry|KillAnywhere|HangingTransaction|SleeperIsReplaced|BrokersAreKilled|AllBrokersDown|DiskBreaks|RepairIsKilledAnywhere|TwoRepairsAtOnce|SimulatedYear
KAFKA_VERSIONS := 4.3.1 3.9.2

.PHONY: torture
torture: ## the long form of the tests of faults, on two versions of Kafka, and their table (an hour)
	@report=$$(mktemp); status=0; \
	for version in $(TORTURE_KAFKA); do \
		TORTURE=full REQUIRE_KAFKA=1 KAFKA_VERSION=$$version TEST_REPORT=$$report CGO_ENABLED=0 go run ./internal/kafkatest/localkafka -- \
			go test -count=1 -timeout 2h -p 1 $(TESTFLAGS) -run '^Test($(TORTURE_TESTS))$$' ./connector ./cmd/openai-audit-kafka ./internal/txlog || status=1; \
	done; \
	go run ./internal/kafkatest/localkafka -faults $$report || status=1; \
	rm -f $$report; exit $$status

# How long the soak is.
SOAK ?= 30m

.PHONY: soak
soak: ## run one connector for long, on real Kafka with faults, and print what might grow
	SOAK=$(SOAK) REQUIRE_KAFKA=1 CGO_ENABLED=0 go test -count=1 -timeout 0 -v -run '^TestSoak$$' ./cmd/openai-audit-kafka

.PHONY: bench
bench: build ## measure it all on real Kafka, beside other programs (15 min)
	go run -C internal/bench . -commit "$(COMMIT)$$(test -z "$$(git status --porcelain -- . ':!docs/benchmarks.md')" || echo -dirty)" $(BENCHFLAGS) $(ARGS)

.PHONY: bench-faucet
bench-faucet: BENCHFLAGS := -only peers -faucet
bench-faucet: bench ## measure the other programs, faucet-stream too (Rust)

.PHONY: bench-micro
bench-micro: ## benchmarks of single functions
	go test -run '^$$' -bench . -benchmem $(PKG)

.PHONY: verify-million
verify-million: ## verify and --repair on a million events and real Kafka: time and memory (Java, Maven)
	REQUIRE_KAFKA=1 go test -timeout 30m -run '^$$' -bench '^BenchmarkVerify$$' -benchtime 1x ./cmd/openai-audit-kafka $(ARGS)

.PHONY: consumers
consumers: ## read the topic with more consumers than CI does: Connect, Flink, Spark, sarama, KafkaJS and others (Java, Maven, Python, Node, PostgreSQL)
	CONSUMERS=full REQUIRE_KAFKA=1 CGO_ENABLED=0 go test -count=1 -timeout 30m -v $(TESTFLAGS) -run '^Test(MoreConsumers|Sinks)$$' ./internal/consumers

.PHONY: alerts-check
alerts-check: ## try every alert against a running connector, that of a hanging transaction on real Kafka too (Java, Maven, promtool)
	TORTURE=full REQUIRE_KAFKA=1 CGO_ENABLED=0 go test -count=1 -timeout 20m -v $(TESTFLAGS) -run '^Test(FaultsSetOffAlerts|AlertOnKafka|CrashLoopSetsOffAlert)$$' \
		./connector ./cmd/openai-audit-kafka

.PHONY: registry-check
registry-check: ## try the schema registry at REGISTRY_URL
	@test -n "$$REGISTRY_URL" || { echo 'REGISTRY_URL is not set' >&2; exit 1; }
	go test -count=1 -v $(TESTFLAGS) -run '^TestRealRegistry$$' ./internal/codec

# CHROMIUM names the browser. SHOTS is a folder for screenshots of every state; those
# in docs/images are from there.
.PHONY: page-check
page-check: export SHOTS ?= $(CURDIR)/bin/page
page-check: .ci/page/node_modules ## try the status page in a browser, and make its screenshots in bin/page (Chromium, Node)
	@mkdir -p "$$SHOTS"
	node --test --test-timeout=300000 .ci/page/check.mjs

.ci/page/node_modules: .ci/page/package-lock.json
	cd .ci/page && npm ci --no-audit --no-fund
	@touch $@

# What CI runs after the tests. Each step can be run alone.
.PHONY: check
check: check-race-connector check-format check-vet check-race-rest check-lint check-vuln check-fuzz ## all that must hold: format, lint, vulnerabilities, -race, fuzz

.PHONY: check-format
check-format:
	@files=$$(gofmt -l cmd connector internal schemas .ci docker/chart 2>/dev/null); \
	if [ -n "$$files" ]; then echo "not formatted, run gofmt -w on:"; echo "$$files"; exit 1; fi

.PHONY: check-vet
check-vet:
	go vet $(PKG)
	$(call in_bench,go vet)

.PHONY: check-lint
check-lint: $(TOOLS)
	$(TOOLS)/staticcheck $(PKG)
	$(TOOLS)/golangci-lint run $(PKG)
	$(call in_bench,$(CURDIR)/$(TOOLS)/staticcheck)
	$(call in_bench,$(CURDIR)/$(TOOLS)/golangci-lint run)
	cd .ci/tools && go vet ./vulns && go test ./vulns
	cd .ci/ship && go vet ./compose ./provenance
	cd .ci/grafana && go vet ./... && go test -count=1 ./... # its cache does not see the dashboard

.PHONY: check-vuln
check-vuln: $(TOOLS)
	.ci/vuln '$(TOOLS)/govulncheck' '$(VULNDB)' $(PKG)
	$(call in_bench,../../.ci/vuln '$(CURDIR)/$(TOOLS)/govulncheck' '$(VULNDB)')

# Import rules and "the docs match the code" are tests. Real Kafka was the turn
# of "make test"; here its tests are skipped.
.PHONY: check-race check-race-connector check-race-rest
check-race: check-race-connector check-race-rest

# The tests of ./connector take as long as all others together. With --jobs=2 these two
# run beside each other.
RACE := REQUIRE_KAFKA= KAFKA_TEST_BROKERS=off CGO_ENABLED=1 go test -race -short -timeout 60m
# "make test" has these. They measure memory, cost and seconds, one after the other, or
# take hundreds of megabytes in.
RACE_NEVER := ^Test(LargePages|LargeEventsAtTheHead|EndlessBodies|EndlessBodiesInHistory|HistoryCost|FaultsSetOffAlerts|HundredEventsASecond)$$
# And these, which read files or run other programs and builds, into which the race
# detector does not see.
RACE_NOTHING := /internal/(consumers|docs|release|rooms|stack)$$

check-race-connector:
	all=$$(go list $(PKG)) || exit 1; connector=$$(echo "$$all" | grep '/connector$$'); \
	if [ -n "$$connector" ]; then $(RACE) -skip '$(RACE_NEVER)' $(TESTFLAGS) $$connector; fi

check-race-rest:
	status=0; all=$$(go list $(PKG)) || exit 1; others=$$(echo "$$all" | grep -vE '/connector$$|$(RACE_NOTHING)'); \
	if [ -n "$$others" ]; then $(RACE) -skip '$(RACE_NEVER)' $(TESTFLAGS) $$others || status=1; fi; \
	$(if $(filter ./...,$(PKG)),(cd internal/bench && $(RACE) $(TESTFLAGS) ./...) || status=1;) \
	exit $$status

.PHONY: check-fuzz fuzz
check-fuzz:
	.ci/fuzz $(FUZZTIME) $(PKG)

fuzz: ## the long form of the fuzz targets (half an hour)
	.ci/fuzz 1000000x $(PKG)

# The tools are a module of their own, so that the product's go.mod stays small.
$(TOOLS): .ci/tools/go.mod .ci/tools/go.sum $(wildcard .ci/tools/*/*.go)
	cd .ci/tools && go build -o ../../$(TOOLS)/ tool ./...
	@touch $(TOOLS)
