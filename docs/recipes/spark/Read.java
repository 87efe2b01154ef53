import static org.apache.spark.sql.avro.functions.from_avro;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.expr;
import static org.apache.spark.sql.functions.to_json;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.SparkSession;

/**
 * Prints the events of the topic as JSON lines with Spark.
 *
 *   java -cp 'jars/*' Read.java BROKERS TOPIC audit_event_v1.avsc FRAMING
 *
 * The jars: spark-sql_2.13, spark-sql-kafka-0-10_2.13 and spark-avro_2.13 of org.apache.spark:4.1.1, and what they need. FRAMING is the length
 * of what stands before the Avro record: 5 with a schema registry, 10 without one. Name the oldest version of the schema that the
 * topic has: newer records are read with it too, without their newer columns. With a newer file older records cannot be read.
 */
class Read {
  public static void main(String[] args) throws Exception {
    SparkSession spark = SparkSession.builder().appName("events").master("local[1]")
        .config("spark.ui.enabled", false)
        .config("spark.sql.session.timeZone", "UTC")
        .getOrCreate();
    Dataset<String> events = spark.read().format("kafka")
        .option("kafka.bootstrap.servers", args[0])
        .option("subscribe", args[1])
        .option("kafka.isolation.level", "read_committed") // the default reads aborted records
        .option("startingOffsets", "earliest")
        .load()
        .select(from_avro(expr("substring(value, " + (1 + Integer.parseInt(args[3])) + ")"), Files.readString(Path.of(args[2]))).as("event"))
        .select(to_json(col("event"), Map.of("ignoreNullFields", "false")))
        .as(Encoders.STRING());
    PrintStream out = new PrintStream(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.UTF_8);
    events.toLocalIterator().forEachRemaining(out::println);
    spark.stop();
  }
}
