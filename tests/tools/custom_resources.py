"""Validates the custom resources among the YAML documents on stdin with the definitions (CRDs) in the directory of the
first argument, strictly: an unknown field is an error, as it is for kubectl. Rules in CEL are not evaluated.

Prints KIND/NAME of each resource that has been validated. A resource that does not match ends it with an error."""

import pathlib
import sys

import jsonschema
import yaml

loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# An enumeration of operators has "=", which is something else in YAML 1.1.
loader.add_constructor("tag:yaml.org,2002:value", lambda _, node: node.value)


def strict(schema):
    """The schema as JSON Schema, without unknown fields."""
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    result = {}
    for key, value in schema.items():
        if key == "properties":
            result[key] = {name: strict(property) for name, property in value.items()}
        elif key in ("items", "additionalProperties", "not"):
            result[key] = strict(value)
        elif key in ("allOf", "anyOf", "oneOf"):
            # These only restrict: fields and types are declared outside of them.
            result[key] = value
        elif not key.startswith("x-") and key not in ("default", "format", "description", "nullable"):
            result[key] = value
    closed = "additionalProperties" not in schema and not schema.get("x-kubernetes-preserve-unknown-fields")
    if schema.get("type") == "object" and closed:
        result["additionalProperties"] = False
    if schema.get("nullable") and "type" in result:
        result["type"] = [result["type"], "null"]
    return result


def schemas(directory):
    found = {}
    for file in sorted(pathlib.Path(directory).glob("*.yaml")):
        for crd in yaml.load_all(file.read_text(), Loader=loader):
            if not crd or crd.get("kind") != "CustomResourceDefinition":
                continue
            spec = crd["spec"]
            for version in spec["versions"]:
                schema = strict(version["schema"]["openAPIV3Schema"])
                # The API server checks metadata by itself.
                schema["properties"]["metadata"] = {"type": "object"}
                found[f"{spec['group']}/{version['name']}", spec["names"]["kind"]] = schema
    return found


known = schemas(sys.argv[1])
for document in yaml.load_all(sys.stdin, Loader=loader):
    schema = known.get((document["apiVersion"], document["kind"]))
    if schema is None:
        continue
    name = f"{document['kind']}/{document['metadata']['name']}"
    errors = list(jsonschema.Draft7Validator(schema).iter_errors(document))
    if errors:
        sys.exit("\n".join(f"{name}: {error.json_path}: {error.message[:300]}" for error in errors))
    print(name)
