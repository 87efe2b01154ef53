// Prints the events of the topic as JSON lines. No schema registry.
//
//   npm install kafkajs@2.2.4 avsc@5.7.9 fzstd@0.1.1
//   node read.mjs BROKERS TOPIC GROUP 5d6629bb2191bf3e=audit_event_v1.avsc...
//
// Name every version of the schema; docs/consuming.md has their fingerprints, and the folder schemas the files.

import { readFileSync } from "node:fs";
import avsc from "avsc";
import { decompress } from "fzstd";
import kafkajs from "kafkajs";

// KafkaJS brings no codec but gzip, and the connector writes zstd unless KAFKA_COMPRESSION says otherwise.
kafkajs.CompressionCodecs[kafkajs.CompressionTypes.ZSTD] = () => ({
  compress: () => { throw new Error("only reading is set up here"); },
  decompress: async (buffer) => Buffer.from(decompress(buffer)),
});

const [brokers, topic, group, ...versions] = process.argv.slice(2);
const types = new Map(versions.map((version) => {
  const [fingerprint, file] = version.split("=");
  return [fingerprint, avsc.Type.forSchema(JSON.parse(readFileSync(file, "utf8")))];
}));

// decode returns the event of an Avro single object: C3 01, the fingerprint from its last byte to its first, the record.
function decode(value) {
  if (value[0] !== 0xc3 || value[1] !== 0x01) {
    fail("This topic's values are not Avro single objects. If they begin with 00, the connector writes with a schema " +
      "registry: read them with @kafkajs/confluent-schema-registry.");
  }
  const fingerprint = Buffer.from(value.subarray(2, 10)).reverse().toString("hex");
  const type = types.get(fingerprint);
  if (!type) {
    fail(`A value has the schema with the fingerprint ${fingerprint}, which none of the files is. The connector was ` +
      "upgraded. Get the newest audit_event_v*.avsc from its repository, name it beside the others, and start again: " +
      "reading goes on here, and nothing is lost.");
  }
  return type.fromBuffer(value.subarray(10));
}

function fail(message) {
  console.error(message);
  process.exit(1);
}

const consumer = new kafkajs.Kafka({ brokers: brokers.split(","), logLevel: kafkajs.logLevel.ERROR }).consumer({
  groupId: group,
  readUncommitted: false, // the default here, but not of other clients
});
await consumer.connect();
await consumer.subscribe({ topic, fromBeginning: true });
await consumer.run({ eachMessage: async ({ message }) => console.log(JSON.stringify(decode(message.value))) });
