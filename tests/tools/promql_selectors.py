"""Reads a JSON array of PromQL queries from stdin. Prints an array with the selectors of each: their
metric and their matchers, as [label, operator, value]. An invalid query ends it with an error."""

import json
import sys

import promql_parser


def selectors(query):
    found = []

    def visit(expression):
        if isinstance(expression, promql_parser.VectorSelector):
            matchers = [[m.name, str(m.op).rsplit(".", 1)[-1], m.value] for m in expression.matchers.matchers]
            found.append({"metric": expression.name, "matchers": matchers})

    try:
        promql_parser.walk(promql_parser.parse(query), visit)
    except ValueError as error:
        sys.exit(f"{query}: {error}")
    return found


json.dump([selectors(query) for query in json.load(sys.stdin)], sys.stdout)
