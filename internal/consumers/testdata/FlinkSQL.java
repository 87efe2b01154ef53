import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;

/** Runs the statements of a file in a Flink of its own, as its SQL client would, and waits for the last: java FlinkSQL.java FILE. */
class FlinkSQL {
  public static void main(String[] args) throws Exception {
    TableEnvironment flink = TableEnvironment.create(EnvironmentSettings.inStreamingMode());
    String text = Files.readString(Path.of(args[0])).replaceAll("--[^\n]*", "");
    for (String statement : text.split(";\\s*\n")) {
      statement = statement.strip().replaceAll(";$", "");
      if (statement.startsWith("SET ")) {
        String[] setting = statement.substring(4).split("=");
        flink.getConfig().set(setting[0].strip().replace("'", ""), setting[1].strip().replace("'", ""));
      } else if (statement.startsWith("INSERT ")) {
        flink.executeSql(statement).await();
      } else if (!statement.isEmpty()) {
        flink.executeSql(statement);
      }
    }
  }
}
