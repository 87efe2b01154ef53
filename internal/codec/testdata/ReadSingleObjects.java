import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import org.apache.avro.Schema;
import org.apache.avro.SchemaNormalization;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.message.BinaryMessageDecoder;

/**
 * Reads what the Go encoder framed. Arguments: the schema's file, and a file with one value in
 * hexadecimal a line. Prints the schema's fingerprint, then for each value two lines: raw_event and
 * the other columns, in hexadecimal UTF-8 so that no platform's encoding is in the way.
 */
public class ReadSingleObjects {
  public static void main(String[] args) throws Exception {
    Schema schema = new Schema.Parser().parse(Files.readString(Path.of(args[0])));
    System.out.printf("%016x%n", SchemaNormalization.parsingFingerprint64(schema));
    BinaryMessageDecoder<GenericRecord> decoder =
        new BinaryMessageDecoder<>(GenericData.get(), schema);
    for (String line : Files.readAllLines(Path.of(args[1]))) {
      GenericRecord record = decoder.decode(HexFormat.of().parseHex(line));
      print(record.get("raw_event"));
      print(record.get("id") + " " + record.get("effective_at") + " " + record.get("actor_email")
          + " " + record.get("source_asn") + " " + record.get("scopes"));
    }
  }

  private static void print(Object text) throws Exception {
    System.out.println(HexFormat.of().formatHex(text.toString().getBytes("UTF-8")));
  }
}
