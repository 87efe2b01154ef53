"""Prints the events of the JSON topic, each on one line that strict readers take, PostgreSQL's jsonb too.

    pip install confluent-kafka==2.16.1
    python read_json.py BROKERS TOPIC GROUP

OpenAI's bytes may hold what such readers stop at. With KAFKA_JSON_FORM=safe the connector does the same to new
records, but for NUL, which is JSON.
"""

import json
import math
import re
import sys

from confluent_kafka import Consumer


def number(text):
    """Returns a number beyond a double, such as 1e400, as its text: as a number it would be infinite."""
    return float(text) if math.isfinite(float(text)) else text


def character(text):
    """Puts U+FFFD where half of a surrogate pair is, which is no character, and where NUL is."""
    return re.sub("[\0\ud800-\udfff]", "\ufffd", text)


def clean(value):
    if isinstance(value, str):
        return character(value)
    if isinstance(value, list):
        return [clean(one) for one in value]
    if isinstance(value, dict):
        return {character(name): clean(one) for name, one in value.items()}
    return value


def parse(text):
    """Returns the event. Line breaks between its parts are no part of it, and of two members of a name the last one is."""
    return clean(json.loads(text, parse_float=number, parse_int=lambda digits: int(digits) if len(digits) < 309 else number(digits)))


# As in the other recipes: each is a whole program, so that it can be copied alone.
def main(brokers, topic, group):
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
            print(json.dumps(parse(message.value())), flush=True)
            consumer.commit(message, asynchronous=True)  # after the work: at least once
    finally:
        consumer.close()


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
