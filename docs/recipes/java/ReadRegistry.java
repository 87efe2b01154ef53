import io.apicurio.registry.serde.avro.AvroKafkaDeserializer;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.avro.generic.GenericRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.errors.RecordDeserializationException;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * Prints the events of the topic as JSON lines, with the schemas from an Apicurio Registry.
 *
 *   java -cp 'jars/*' ReadRegistry.java BROKERS TOPIC GROUP http://registry:8080/apis/registry/v2
 *
 * The jars: org.apache.kafka:kafka-clients:4.3.1, io.apicurio:apicurio-registry-serdes-avro-serde:2.6.13.Final, and
 * what they need. With Confluent's own deserializer the settings are schema.registry.url and nothing else.
 */
class ReadRegistry {
  public static void main(String[] args) {
    PrintStream out = new PrintStream(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.UTF_8);
    Map<String, Object> settings = Map.of(
        "bootstrap.servers", args[0],
        "group.id", args[2],
        "isolation.level", "read_committed", // the default reads aborted records
        "auto.offset.reset", "earliest",
        "enable.auto.commit", false,
        "key.deserializer", StringDeserializer.class,
        "value.deserializer", AvroKafkaDeserializer.class,
        "apicurio.registry.url", args[3],
        "apicurio.registry.as-confluent", true, // the framing of the connector
        "apicurio.registry.use-id", "contentId");
    try (KafkaConsumer<String, GenericRecord> consumer = new KafkaConsumer<>(settings)) {
      consumer.subscribe(List.of(args[1]));
      while (true) {
        for (var record : consumer.poll(Duration.ofSeconds(1))) {
          out.println(record.value());
        }
        consumer.commitSync(); // after the work: at least once
      }
    } catch (RecordDeserializationException e) {
      System.err.println("The value at offset " + e.offset() + " cannot be read: " + e.getCause() + ". Look whether " + args[3]
          + " is the registry that the connector has in SCHEMA_REGISTRY_URL, and that it still has all its schemas. If the"
          + " values begin with C3 01, the connector has no registry: use Read.java. Start again then: reading goes on"
          + " here, and nothing is lost.");
      System.exit(1);
    }
  }
}
