"""Prints files in YAML as a list in JSON: vector.py FILE..."""

import json
import sys

import yaml

print(json.dumps([yaml.safe_load(open(file)) for file in sys.argv[1:]]))
