import io.apicurio.registry.serde.avro.AvroSerde;
import java.util.Map;
import java.util.Properties;
import org.apache.avro.generic.GenericRecord;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;

/**
 * Copies the events into a second topic as JSON, exactly once, with Kafka Streams.
 *
 *   java -cp 'jars/*' Streams.java BROKERS TOPIC GROUP http://registry:8080/apis/registry/v2 TARGET
 *
 * The jars: org.apache.kafka:kafka-streams:4.3.1, io.apicurio:apicurio-registry-serdes-avro-serde:2.6.13.Final, and
 * what they need. The target topic must exist.
 */
class Streams {
  public static void main(String[] args) {
    Properties settings = new Properties();
    settings.put("bootstrap.servers", args[0]);
    settings.put("application.id", args[2]);
    // With the default guarantee, at_least_once, Streams reads aborted records.
    settings.put("processing.guarantee", "exactly_once_v2");

    AvroSerde<GenericRecord> events = new AvroSerde<>();
    events.configure(Map.of(
        "apicurio.registry.url", args[3],
        "apicurio.registry.as-confluent", true, // the framing of the connector
        "apicurio.registry.use-id", "contentId"), false);

    StreamsBuilder builder = new StreamsBuilder();
    builder.stream(args[1], Consumed.with(Serdes.String(), events))
        .mapValues(GenericRecord::toString) // JSON
        .to(args[4], Produced.with(Serdes.String(), Serdes.String()));

    KafkaStreams streams = new KafkaStreams(builder.build(), settings);
    streams.setUncaughtExceptionHandler(e -> {
      System.err.println("Stopped: " + e.getMessage() + ": " + e.getCause() + ". If a value cannot be read, look whether " + args[3]
          + " is the registry that the connector has in SCHEMA_REGISTRY_URL. Start again then: nothing is lost, and nothing doubled.");
      return org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
    });
    Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
    streams.start();
  }
}
