"""dlt's rest_api source, with a Kafka destination as dlt's documentation has them:
a function that gets batches. Its state is in dlt's own folder.

    dlt_kafka.py once|poll URL KEY BROKERS TOPIC DIR SINCE
"""

import json
import os
import sys
import time

mode, url, key, brokers, topic, state, since = sys.argv[1:]
os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["RUNTIME__LOG_LEVEL"] = "ERROR"
os.environ["DLT_DATA_DIR"] = state

import dlt  # noqa: E402
from confluent_kafka import Producer  # noqa: E402
from dlt.sources.rest_api import rest_api_source  # noqa: E402

producer = Producer({
    "bootstrap.servers": brokers,
    "enable.idempotence": True,
    "compression.type": "zstd",
    "linger.ms": 50,
})


@dlt.destination(batch_size=1000, name="kafka", naming_convention="direct", skip_dlt_columns_and_tables=True)
def kafka(items, table):
    failed = []
    for item in items:
        producer.produce(topic, key=item["id"], value=json.dumps(item, default=str),
                         on_delivery=lambda error, _: failed.append(error) if error else None)
        producer.poll(0)
    producer.flush()
    if failed:
        raise RuntimeError(str(failed[0]))


def source():
    return rest_api_source({
        "client": {
            "base_url": url,
            "auth": {"type": "bearer", "token": key},
            "paginator": {"type": "cursor", "cursor_path": "last_id", "cursor_param": "after", "has_more_path": "has_more"},
        },
        "resources": [{
            "name": "audit_logs",
            "primary_key": "id",
            "write_disposition": "append",
            "max_table_nesting": 0,
            "endpoint": {
                "path": "organization/audit_logs",
                "data_selector": "data",
                "params": {"limit": 100, "effective_at[gte]": "{incremental.start_value}"},
                "incremental": {"cursor_path": "effective_at", "initial_value": int(since)},
            },
        }],
    })


pipeline = dlt.pipeline("audit", destination=kafka, dataset_name="audit", progress=None)
while True:
    pipeline.run(source())
    if mode == "once":
        break
    time.sleep(1)
