"""Runs the recipes of ClickHouse in process. Each command is a JSON object with the keys

    file    a recipe to run
    group   what stands for GROUP in it
    column  what stands for NEW_COLUMN
    last    the id of the last event
    until   a condition: the table is filled until the last event meets it

and after each the rows of the table are printed as JSON lines.

clickhouse.py FOLDER BROKERS TOPIC REGISTRY COMMAND...
"""

import json
import re
import sys

from chdb.session import Session

folder, brokers, topic, registry, *commands = sys.argv[1:]
session = Session(folder)
session.query("CREATE DATABASE recipe")
session.query("USE recipe")
session.query("SET stream_like_engine_allow_direct_select = 1")
session.query("SET output_format_json_quote_64bit_integers = 0")
view = None


def run(file, names):
    """Runs the statements of a recipe."""
    global view
    text = re.sub("--.*", "", open(file).read())
    for name, value in names.items():
        text = text.replace(f"'{name}'", f"'{value}'").replace(f"`{name}`", f"`{value}`")
    for statement in filter(None, map(str.strip, text.split(";"))):
        # In process nothing reads in the background. So what the view would do is done below.
        made = re.match(r"CREATE MATERIALIZED VIEW \w+ TO (\w+) AS (.*)", statement, re.S)
        if made:
            view = made
            continue
        try:
            session.query(statement)
        except RuntimeError as error:
            # That is all that fails: the table is there.
            if "Shutdown was called" not in str(error):
                raise


for command in map(json.loads, commands):
    run(command["file"], {"BROKERS": brokers, "TOPIC": topic, "REGISTRY": registry,
                          "GROUP": command["group"], "NEW_COLUMN": command["column"]})
    last = command["last"]
    while str(session.query(f"SELECT count() FROM {view[1]} FINAL WHERE id = '{last}' AND {command['until']}")).strip() == "0":
        session.query(f"INSERT INTO {view[1]} {view[2]}")
    columns = "* REPLACE (toUnixTimestamp64Milli(effective_at) AS effective_at, toUnixTimestamp64Milli(ingested_at) AS ingested_at)"
    # The last event at last: it is the sign that there is no more.
    print(session.query(f"SELECT {columns} FROM events FINAL ORDER BY id = '{last}', id", "JSONEachRow"), end="", flush=True)
