package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// A managed cluster takes only some settings of a topic, or only some of their values
// (docs/brokers.md). It refuses the whole topic for one of them, and names one a try. So
// it is asked about each, without making anything.

// milder are values that Confluent Cloud takes where it refuses ours: still far below
// the defaults, with which the offsets topic is not compacted for a week.
var milder = map[string]string{
	"segment.bytes": "52428800",
	"segment.ms":    "14400000",
}

// costs says what it costs to go without a setting.
var costs = map[string]string{
	"min.cleanable.dirty.ratio":      "the offsets topic is compacted later, and a start reads more",
	"min.insync.replicas":            "it is the cluster's: below 2, what one broker alone has acknowledged can be lost with it",
	"retention.ms":                   "it is the cluster's, which may delete what was to be kept",
	"segment.bytes":                  "the offsets topic is compacted later, and a start reads more",
	"segment.ms":                     "the offsets topic is compacted later, and a start reads more",
	"unclean.leader.election.enable": "it is the cluster's: if true, a replica that lags may become the leader, and what it lacks is lost",
}

// CostOf says what it costs to go without settings, for people.
func CostOf(settings []string) string {
	var words []string
	for _, setting := range settings {
		words = append(words, setting+": "+costs[setting])
	}
	return strings.Join(words, "; ")
}

// essential are the settings without which the records cannot go into the topic, or
// would not stay there.
func (s TopicSpec) essential() map[string]*string {
	return map[string]*string{"cleanup.policy": s.Config["cleanup.policy"]}
}

// refusesSettings reports whether the broker does not take a topic's settings.
func refusesSettings(err error) bool {
	return errors.Is(err, kerr.PolicyViolation) || errors.Is(err, kerr.InvalidConfig)
}

// fit returns the spec with those of its settings that the cluster takes, and the names
// of the others. The error is a *CreateError where it takes the topic in no way.
func fit(ctx context.Context, admin *kadm.Client, spec TopicSpec) (fitted TopicSpec, leftOut []string, err error) {
	fitted = spec
	fitted.Config = spec.essential()
	if err := validate(ctx, admin, fitted); err != nil {
		return fitted, nil, err
	}
	for _, key := range slices.Sorted(maps.Keys(spec.Config)) {
		if _, there := fitted.Config[key]; there {
			continue
		}
		values := []*string{spec.Config[key]}
		if value, ok := milder[key]; ok {
			values = append(values, &value)
		}
		taken, err := fitOne(ctx, admin, &fitted, key, values)
		if err != nil {
			return fitted, nil, err
		}
		if !taken {
			leftOut = append(leftOut, key)
		}
	}
	return fitted, leftOut, nil
}

// fitOne gives the spec the first of the values that the cluster takes.
func fitOne(ctx context.Context, admin *kadm.Client, spec *TopicSpec, key string, values []*string) (taken bool, err error) {
	for _, value := range values {
		with := *spec
		with.Config = maps.Clone(spec.Config)
		with.Config[key] = value
		err := validate(ctx, admin, with)
		switch {
		case err == nil:
			*spec = with
			return true, nil
		case !refusesSettings(err):
			return false, err
		}
	}
	return false, nil
}

// fitAll returns the specs as the cluster takes them, as far as that can be found out:
// a command for people must not be refused by the same policy, one setting a try.
func fitAll(ctx context.Context, admin *kadm.Client, specs []TopicSpec) []TopicSpec {
	out := slices.Clone(specs)
	for i, spec := range specs {
		if !refusesSettings(validate(ctx, admin, spec)) {
			continue
		}
		if fitted, _, err := fit(ctx, admin, spec); err == nil {
			out[i] = fitted
		}
	}
	return out
}

// validate asks whether the topic could be made. It does not make it.
func validate(ctx context.Context, admin *kadm.Client, spec TopicSpec) error {
	responses, err := admin.ValidateCreateTopics(ctx, spec.Partitions, spec.Replication, spec.Config, spec.Name)
	if err != nil {
		return fmt.Errorf("asking whether the topic %s could be made: %w", spec.Name, err)
	}
	response := responses[spec.Name]
	if response.Err == nil || errors.Is(response.Err, kerr.TopicAlreadyExists) {
		return nil
	}
	return newCreateError(spec, response, response.Err)
}
