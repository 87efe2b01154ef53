"""Prints the events of the topic as JSON lines, with the schemas from a schema registry.

    pip install confluent-kafka==2.16.1 fastavro==1.13.1 httpx==0.28.1 attrs authlib cachetools
    python read_registry.py BROKERS TOPIC GROUP REGISTRY
"""

import json
import sys

from confluent_kafka import Consumer
from confluent_kafka.error import SerializationError
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext


def main(brokers, topic, group, registry):
    # A value names its schema, and the registry has it: a new version needs nothing here.
    deserialize = AvroDeserializer(SchemaRegistryClient({"url": registry}))
    context = SerializationContext(topic, MessageField.VALUE)
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
            try:
                event = deserialize(message.value(), context)
            except (SchemaRegistryError, SerializationError) as error:
                sys.exit(f"The value at offset {message.offset()} cannot be read: {error}. Look whether {registry} is the "
                         "registry that the connector has in SCHEMA_REGISTRY_URL, and that it still has all its schemas. If the "
                         "values begin with C3 01, the connector has no registry: use read.py. Start again then: reading goes "
                         "on here, and nothing is lost.")
            print(json.dumps(event, default=lambda time: time.isoformat()), flush=True)
            consumer.commit(message, asynchronous=True)  # after the work: at least once
    finally:
        consumer.close()


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
