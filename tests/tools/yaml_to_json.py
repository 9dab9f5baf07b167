"""Prints the YAML documents on stdin as one JSON array."""

import json
import sys

import yaml

# The C parser, where there is one.
loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
json.dump(list(yaml.load_all(sys.stdin, Loader=loader)), sys.stdout)
