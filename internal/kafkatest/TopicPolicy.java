import java.util.HashMap;
import java.util.Map;
import org.apache.kafka.common.errors.PolicyViolationException;
import org.apache.kafka.server.policy.CreateTopicPolicy;

/** Takes only the settings of new topics that topic.policy.takes names. */
public class TopicPolicy implements CreateTopicPolicy {
    private final Map<String, Long> least = new HashMap<>();

    public void configure(Map<String, ?> configs) {
        for (String word : ((String) configs.get("topic.policy.takes")).split(" ")) {
            String[] parts = word.split(">=");
            least.put(parts[0], parts.length > 1 ? Long.valueOf(parts[1]) : Long.MIN_VALUE);
        }
    }

    public void validate(RequestMetadata topic) {
        if (topic.topic().startsWith("__")) return; // Kafka's own are made under the policy, too
        topic.configs().forEach((name, value) -> {
            Long from = least.get(name);
            if (from == null) throw new PolicyViolationException(name + " may not be set");
            if (from != Long.MIN_VALUE && Long.parseLong(value) < from)
                throw new PolicyViolationException(name + " must be " + from + " or more");
        });
    }

    public void close() {}
}
