"""Prints the events of the topic as JSON lines. No schema registry.

    pip install confluent-kafka==2.16.1 fastavro==1.13.1
    python read.py BROKERS TOPIC GROUP audit_event_v1.avsc...

Name the file of every version of the schema; they are in the folder schemas of this repository.
"""

import io
import json
import sys

import fastavro
from confluent_kafka import Consumer
from fastavro.schema import fingerprint, to_parsing_canonical_form


def load(files):
    """Returns the schemas by the eight bytes that a value has of them."""
    schemas = {}
    for file in files:
        with open(file) as text:
            schema = json.load(text)
        print_ = fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO")
        schemas[bytes.fromhex(print_)] = fastavro.parse_schema(schema)
    return schemas


def decode(value, schemas):
    """Returns the event of an Avro single object: C3 01, the fingerprint, the record."""
    if value[:2] != b"\xc3\x01":
        sys.exit("This topic's values are not Avro single objects. If they begin with 00, the connector writes with a "
                 "schema registry: use read_registry.py.")
    schema = schemas.get(value[2:10])
    if schema is None:
        sys.exit(f"A value has the schema with the fingerprint {value[9:1:-1].hex()}, which none of the files is. The "
                 "connector was upgraded. Get the newest audit_event_v*.avsc from its repository, name it beside the "
                 "others, and start again: reading goes on here, and nothing is lost.")
    return fastavro.schemaless_reader(io.BytesIO(value[10:]), schema, None)


def main(brokers, topic, group, *files):
    schemas = load(files)
    consumer = Consumer({
        "bootstrap.servers": brokers,
        "group.id": group,
        "isolation.level": "read_committed",  # the default here, but not of other clients
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
    })
    consumer.subscribe([topic])
    try:
        while True:
            message = consumer.poll(1.0)
            if message is None:
                continue
            if message.error():
                print(message.error(), file=sys.stderr)  # the client tries again by itself
                continue
            event = decode(message.value(), schemas)
            print(json.dumps(event, default=lambda time: time.isoformat()), flush=True)
            consumer.commit(message, asynchronous=True)  # after the work: at least once
    finally:
        consumer.close()


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
