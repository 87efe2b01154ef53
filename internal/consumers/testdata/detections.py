"""Runs the detections over events, and prints what each finds as JSON lines: the queries in ClickHouse, the Sigma rules in
SQLite.

detections.py DETECTIONS RECIPE FOLDER EVENTS.jsonl...
"""

import glob
import json
import os
import re
import sqlite3
import sys
from datetime import datetime, timezone

import yaml
from chdb.session import Session
from sigma.backends.sqlite import sqliteBackend
from sigma.collection import SigmaCollection
from sigma.processing.pipeline import ProcessingPipeline

detections, recipe, folder, *files = sys.argv[1:]
columns = re.search(r"CREATE TABLE events_queue \((.*?)\n\) ENGINE", open(recipe).read(), re.S)[1]


def name(path):
    return os.path.splitext(os.path.basename(path))[0]


def report(form, rule, events, found):
    print(json.dumps({"form": form, "detection": rule, "events": name(events).split(".")[0], "found": found}))


def clickhouse(session, events):
    session.query("CREATE OR REPLACE TABLE events (" + columns + ") ENGINE = ReplacingMergeTree(ingested_at) ORDER BY (organization, id)")
    structure = re.sub(r"\s+", " ", columns).strip()
    session.query("SET date_time_input_format = 'best_effort'")
    for _ in range(2):  # every row twice, as a pipe that delivers at least once would
        session.query(f"INSERT INTO events SELECT * FROM file('{events}', 'JSONEachRow', '{structure}')")
    for path in sorted(glob.glob(detections + "/sql/*.sql")):
        rows = str(session.query(open(path).read(), "JSONEachRow"))
        alerts = [json.loads(line) for line in rows.splitlines()]
        report("sql", name(path), events, sorted({event for alert in alerts for event in alert["ids"]}))
        for alert in alerts:
            assert alert["at"] and alert["who"] and alert["what"], alert


# What the fields of the rules are in each form, and where its time and its id are.
forms = {"columns": ("effective_at", "id"), "ecs": ("@timestamp", "event.id"), "ocsf": ("time", "metadata.uid")}

# SQLite has no lists: a condition on one is a condition on its JSON text.
lists = ProcessingPipeline.from_yaml("""
name: lists
priority: 30
transformations:
    - type: replace_string
      regex: ^(.*)$
      replacement: '*"\\1"*'
      field_name_conditions:
          - type: include_fields
            mode: re
            fields: [".*[.]scopes", ".*[.]allowed_ips", ".*[.]changed_fields", "privileges", "resources[.]type"]
    - type: set_state
      key: table
      val: events
""")


def flat(value, path=""):
    """Returns what is in an event by its path, as an index has it."""
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        found = {}
        for item in value:
            for name, inner in flat(item, path).items():
                found.setdefault(name, []).append(inner)
        return {name: json.dumps(inner) for name, inner in found.items()}
    if isinstance(value, list):
        return {path: json.dumps(value)}
    if not isinstance(value, dict):
        return {path: value}
    found = {}
    for name, inner in value.items():
        found.update(flat(inner, f"{path}.{name}" if path else name))
    return found


def mapped(form):
    """Returns the fields that a pipeline names: an index has them, and these events need not."""
    transformations = yaml.safe_load(open(f"{detections}/sigma/pipelines/{form}.yml"))["transformations"]
    fields = [field for step in transformations for field in step.get("mapping", {}).values()]
    return {name for field in fields for name in ([field] if isinstance(field, str) else field)}


def sigma(form, events):
    at, identity = forms[form]
    rows = [flat(json.loads(line)) for line in open(events)]
    for row in rows:
        if isinstance(row[at], int):
            row[at] = datetime.fromtimestamp(row[at] / 1000, timezone.utc).isoformat()
    names = sorted({name for row in rows for name in row} | mapped(form))
    quoted = ", ".join(f'"{column}" TEXT' for column in names)
    db = sqlite3.connect(":memory:")
    db.execute(f"CREATE TABLE events ({quoted})")
    for row in rows:
        db.execute("INSERT INTO events VALUES (" + ", ".join("?" for _ in names) + ")", [row.get(name) for name in names])
    ids = dict(db.execute(f'SELECT rowid, "{identity}" FROM events'))
    pipeline = ProcessingPipeline.from_yaml(open(f"{detections}/sigma/pipelines/{form}.yml").read())
    if form != "columns":
        pipeline += lists
    for path in sorted(glob.glob(detections + "/sigma/*.yml")):
        found = set()
        for query in sqliteBackend(pipeline, timestamp_field=at).convert(SigmaCollection.from_yaml(open(path).read())):
            cursor = db.execute(query)
            head = [column[0] for column in cursor.description]
            for row in cursor:
                row = dict(zip(head, row))
                if "event_ids" in row:
                    found.update(ids[int(event.split(":")[-1])] for event in json.loads(row["event_ids"]))
                else:
                    found.add(row[identity])
        report("sigma" if form == "columns" else f"sigma {form}", name(path), events, sorted(found))


session = Session(folder)
session.query("CREATE DATABASE detections")
session.query("USE detections")
for file in files:
    clickhouse(session, file)
    sigma("columns", file)
    for form in ("ecs", "ocsf"):
        sigma(form, file.replace(".jsonl", f".{form}.jsonl"))
