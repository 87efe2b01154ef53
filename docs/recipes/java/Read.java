import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.message.BadHeaderException;
import org.apache.avro.message.BinaryMessageDecoder;
import org.apache.avro.message.MissingSchemaException;
import org.apache.avro.message.SchemaStore;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Prints the events of the topic as JSON lines. No schema registry.
 *
 *   java -cp 'jars/*' Read.java BROKERS TOPIC GROUP audit_event_v1.avsc...
 *
 * The jars: org.apache.kafka:kafka-clients:4.3.1, org.apache.avro:avro:1.12.0, and what they need. Name the
 * file of every version of the schema, the one that you want to read as last.
 */
class Read {
  public static void main(String[] args) throws Exception {
    SchemaStore.Cache store = new SchemaStore.Cache();
    Schema newest = null;
    for (String file : List.of(args).subList(3, args.length)) {
      newest = new Schema.Parser().parse(Files.readString(Path.of(file)));
      store.addSchema(newest);
    }
    BinaryMessageDecoder<GenericRecord> decoder = new BinaryMessageDecoder<>(GenericData.get(), newest, store);
    PrintStream out = new PrintStream(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.UTF_8);
    Map<String, Object> settings = Map.of(
        "bootstrap.servers", args[0],
        "group.id", args[2],
        "isolation.level", "read_committed", // the default reads aborted records
        "auto.offset.reset", "earliest",
        "enable.auto.commit", false);
    try (KafkaConsumer<byte[], byte[]> consumer =
        new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
      consumer.subscribe(List.of(args[1]));
      while (true) {
        for (var record : consumer.poll(Duration.ofSeconds(1))) {
          out.println(decoder.decode(record.value()));
        }
        consumer.commitSync(); // after the work: at least once
      }
    } catch (MissingSchemaException e) {
      fail(e.getMessage() + ". None of the files is that schema: the connector was upgraded. Get the newest audit_event_v*.avsc"
          + " from its repository, name it beside the others, and start again: reading goes on here, and nothing is lost.");
    } catch (BadHeaderException e) {
      fail("This topic's values are not Avro single objects. If they begin with 00, the connector writes with a schema"
          + " registry: use ReadRegistry.java.");
    }
  }

  private static void fail(String message) {
    System.err.println(message);
    System.exit(1);
  }
}
