"""Prints the events of a topic as JSON lines, read by one of several clients and decoded by the recipe for Python.

clients.py CLIENT RECIPE BROKERS TOPIC GROUP ISOLATION STATE SCHEMA...
"""

import asyncio
import importlib.util
import json
import sys

client, recipe, brokers, topic, group, isolation, state, *files = sys.argv[1:]
spec = importlib.util.spec_from_file_location("recipe", recipe)
read = importlib.util.module_from_spec(spec)
spec.loader.exec_module(read)
schemas = read.load(files)


def show(value):
    print(json.dumps(read.decode(value, schemas), default=lambda time: time.isoformat()), flush=True)


def aiokafka():
    from aiokafka import AIOKafkaConsumer

    async def run():
        settings = {"isolation_level": isolation} if isolation else {}
        consumer = AIOKafkaConsumer(topic, bootstrap_servers=brokers, group_id=group, auto_offset_reset="earliest", **settings)
        await consumer.start()
        async for message in consumer:
            show(message.value)

    asyncio.run(run())


def kafka_python():
    from kafka import KafkaConsumer

    settings = {"isolation_level": isolation} if isolation else {}
    for message in KafkaConsumer(topic, bootstrap_servers=brokers, group_id=group, auto_offset_reset="earliest", **settings):
        show(message.value)


def quixstreams():
    from quixstreams import Application

    settings = {"consumer_extra_config": {"isolation.level": isolation}} if isolation else {}
    app = Application(broker_address=brokers, consumer_group=group, auto_offset_reset="earliest", loglevel="ERROR", state_dir=state, **settings)
    stream = app.dataframe(app.topic(topic, value_deserializer="bytes"))
    stream.update(show)
    app.run()


{"aiokafka": aiokafka, "kafka-python": kafka_python, "quixstreams": quixstreams}[client]()
