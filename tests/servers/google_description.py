#!/usr/bin/env python3
"""Google's own discovery documents as one OpenAPI description, for Prism.

    google_description.py OUT

The documents are those that the package google-api-python-client brings, so what is described is what
Google published when that package was made. Nothing is asked of the network.

All APIs are in one description, since our simulator serves all of Google's hosts as one. What is strict:

* Each method has its flat path: `/v3/projects/{projectsId}:setIamPolicy` is a path of its own, which
  `/v3/{+resource}:setIamPolicy` would not be.
* An object has the fields that it is described with, and no others. What only Google sets (`readOnly`)
  is no field of a request.
* A method that is described with an answer gives it with 200, and one without answers 204. Everything
  else is an error in Google's shape.
"""

import argparse
import json
import re
from importlib.resources import files

APIS = (
    "cloudresourcemanager.v3",
    "iam.v1",
    "cloudidentity.v1",
    "admin.directory_v1",
    "cloudbilling.v1",
    "serviceusage.v1",
    "cloudasset.v1",
    "oauth2.v2",
)

# How JSON writes what the documents call the format of a string.
# https://developers.google.com/discovery/v1/type-format
FORMATS = {
    "int64": {"pattern": r"^-?[0-9]+$"},
    "uint64": {"pattern": r"^[0-9]+$"},
    "byte": {"format": "byte"},
    "date": {"format": "date"},
    "date-time": {"format": "date-time"},
    "google-datetime": {"format": "date-time"},
    "google-duration": {"pattern": r"^-?[0-9]+(\.[0-9]{1,9})?s$"},
    "google-fieldmask": {"pattern": r"^(\*|[A-Za-z0-9_.]+(,[A-Za-z0-9_.]+)*)$"},
}

# https://cloud.google.com/apis/design/errors#http_mapping; `errors` is of the time before it, and stays.
ERROR = {
    "type": "object",
    "required": ["error"],
    "additionalProperties": False,
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "additionalProperties": False,
            "properties": {
                "code": {"type": "integer", "minimum": 400, "maximum": 599},
                "message": {"type": "string"},
                "status": {"type": "string", "pattern": "^[A-Z_]+$"},
                "errors": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["message", "domain", "reason"],
                        "additionalProperties": False,
                        "properties": {
                            name: {"type": "string"}
                            for name in ("message", "domain", "reason", "location", "locationType")
                        },
                    },
                },
                "details": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["@type"],
                        "properties": {"@type": {"type": "string"}},
                    },
                },
            },
        }
    },
}


def reference(api, name):
    return {"$ref": f"#/components/schemas/{api}.{name}"}


def schema(api, told):
    """A schema of a document in the words of OpenAPI."""
    if "$ref" in told:
        return reference(api, told["$ref"])
    kind = told.get("type", "any")
    if kind == "any":
        return {}
    made = {"type": kind}
    if kind == "string":
        made.update(FORMATS.get(told.get("format"), {}))
    if "enum" in told:
        made["enum"] = told["enum"]
    elif "pattern" in told:
        made["pattern"] = told["pattern"]
    if kind == "array":
        made["items"] = schema(api, told["items"])
    if kind == "object" and "properties" in told:
        made["properties"] = {name: schema(api, inner) for name, inner in told["properties"].items()}
        for name, inner in told["properties"].items():
            # Beside a reference nothing else counts.
            if inner.get("readOnly") and "$ref" not in inner:
                made["properties"][name]["readOnly"] = True
        made["additionalProperties"] = False
    elif kind == "object":
        made["additionalProperties"] = schema(api, told.get("additionalProperties", {}))
    return made


def in_query(api, name, told):
    """A parameter of the query; what may be repeated is repeated: `keyTypes=A&keyTypes=B`."""
    parameter = {"name": name, "in": "query", "required": told.get("required", False)}
    inner = schema(api, {key: told[key] for key in ("type", "format", "enum", "pattern") if key in told})
    if told.get("repeated"):
        return parameter | {"schema": {"type": "array", "items": inner}, "style": "form", "explode": True}
    return parameter | {"schema": inner}


def operation(api, document, method, names):
    """A method, where the parts of its path are called `names`."""
    parameters = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
    told = document.get("parameters", {}) | method.get("parameters", {})
    parameters += [in_query(api, name, it) for name, it in told.items() if it["location"] == "query"]
    made = {
        "operationId": method["id"],
        "parameters": parameters,
        "responses": {"default": {"$ref": "#/components/responses/Error"}},
    }
    if "response" in method:
        made["responses"]["200"] = {"description": "done", "content": body(api, method["response"])}
    else:
        made["responses"]["204"] = {"description": "done"}
    if "request" in method:
        made["requestBody"] = {"content": body(api, method["request"])}
    return made


def body(api, told):
    return {"application/json": {"schema": schema(api, told)}}


def methods(resource):
    """All methods of a document, those of its resources' resources too."""
    yield from resource.get("methods", {}).values()
    for inner in resource.get("resources", {}).values():
        yield from methods(inner)


def describe(documents):
    """The description of all APIs, of which `documents` has the discovery documents."""
    schemas, paths, known = {}, {}, {}
    for api, document in documents.items():
        for name, told in document["schemas"].items():
            schemas[f"{api}.{name}"] = schema(api, told)
        for method in methods(document):
            path = "/" + document["servicePath"] + method.get("flatPath", method["path"])
            # Two APIs may have one path, and call its parts differently: the first one's names stay.
            path = known.setdefault(re.sub(r"\{\w+\}", "{}", path), path)
            verb = method["httpMethod"].lower()
            item = paths.setdefault(path, {})
            if verb in item:
                raise SystemExit(f"{verb} {path} is both {item[verb]['operationId']} and {method['id']}")
            item[verb] = operation(api, document, method, re.findall(r"\{(\w+)\}", path))
    # Of paths that fit equally well Prism takes the last: `{id}:getIamPolicy` comes after `{id}`.
    paths = dict(sorted(paths.items(), key=lambda item: len(re.sub(r"\{\w+\}", "", item[0]))))
    revisions = ", ".join(f"{api} {document['revision']}" for api, document in documents.items())
    error = {"description": "refused", "content": {"application/json": {"schema": ERROR}}}
    return {
        "openapi": "3.0.3",
        "info": {"title": "Google", "version": revisions},
        "paths": paths,
        "components": {"schemas": schemas, "responses": {"Error": error}},
    }


def main():
    parser = argparse.ArgumentParser(description="Google's discovery documents as one OpenAPI description")
    parser.add_argument("out", help="the file to write")
    args = parser.parse_args()

    folder = files("googleapiclient") / "discovery_cache" / "documents"
    documents = {api: json.loads((folder / f"{api}.json").read_text(encoding="utf-8")) for api in APIS}
    with open(args.out, "w", encoding="utf-8") as out:
        json.dump(describe(documents), out)


if __name__ == "__main__":
    main()
