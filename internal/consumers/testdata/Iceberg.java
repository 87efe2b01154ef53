import static java.time.format.DateTimeFormatter.ISO_OFFSET_DATE_TIME;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.iceberg.Table;
import org.apache.iceberg.catalog.TableIdentifier;
import org.apache.iceberg.data.IcebergGenerics;
import org.apache.iceberg.data.Record;
import org.apache.iceberg.hadoop.HadoopCatalog;
import org.apache.iceberg.types.Types;

/**
 * Prints the rows of an Iceberg table as JSON lines, each time a line is read, and then an empty object.
 *
 *   java Iceberg.java WAREHOUSE NAMESPACE TABLE
 */
class Iceberg {
  public static void main(String[] args) throws Exception {
    ObjectMapper json = new ObjectMapper();
    HadoopCatalog catalog = new HadoopCatalog(new Configuration(), args[0]);
    TableIdentifier name = TableIdentifier.of(args[1], args[2]);
    var in = new BufferedReader(new InputStreamReader(System.in));
    while (in.readLine() != null) {
      if (catalog.tableExists(name)) {
        Table table = catalog.loadTable(name);
        List<Map<String, Object>> rows = new ArrayList<>();
        try (var records = IcebergGenerics.read(table).build()) {
          for (Record record : records) {
            Map<String, Object> row = new LinkedHashMap<>();
            for (Types.NestedField field : table.schema().columns()) {
              Object value = record.getField(field.name());
              row.put(field.name(), value instanceof OffsetDateTime time ? ISO_OFFSET_DATE_TIME.format(time) : value);
            }
            rows.add(row);
          }
        }
        for (Map<String, Object> row : rows) {
          System.out.println(json.writeValueAsString(row));
        }
      }
      System.out.println("{}");
    }
  }
}
