"""The description as one HTML page, which needs nothing from elsewhere: no script, style sheet or font."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, Template


def page(document: Mapping[str, Any]) -> bytes:
    """Return `document`, an OpenAPI one, as HTML in UTF-8."""
    schemas = document["components"]["schemas"]
    operations = [
        {"path": path, "method": method.upper(), "curl": _curl(method, path, operation, schemas), **operation}
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    return _template().render(info=document["info"], schemas=schemas, operations=operations).encode()


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("server.description", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals["pretty"] = _pretty  # pyright: ignore[reportUnknownMemberType]  # Jinja types it loosely
    return environment.get_template("page.html")


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _curl(method: str, path: str, operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    """Return a command to paste, with what is the caller's own as variables of the shell."""
    places = {each["in"]: each["name"] for each in operation.get("parameters", ()) if each.get("required")}
    url = "$URL" + path.replace("{sandbox_id}", "$ID")
    if "query" in places:
        url = f'"{url}?{places["query"]}=$FILE"'
    words = ["curl -s"]
    if method not in {"get", "post"}:
        words.append(f"-X {method.upper()}")
    if operation.get("security"):
        words.append('-H "Authorization: Bearer $TOKEN"')
    elif method == "post":
        words.append("-c jar -b jar")
    content = operation.get("requestBody", {}).get("content", {})
    if "application/json" in content:
        body = _example(content["application/json"]["schema"], schemas)
        words.append("-d " + shlex.quote(json.dumps({} if body is None else body, ensure_ascii=False)))
    elif content:
        words.append("--data-binary @local")
    return " ".join([*words, url])


def _example(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Any:
    """Return a small value that `schema` takes: of objects what is required, of choices the first."""
    if "$ref" in schema:
        return _example(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "allOf" in schema:
        parts = [_example(part, schemas) for part in schema["allOf"]]
        return {key: value for part in parts if part for key, value in part.items()}
    for choices in ("anyOf", "oneOf"):
        if choices in schema:
            return _example(schema[choices][0], schemas)
    if "enum" in schema:
        return schema["enum"][0]
    required = schema.get("required", ())
    properties = schema.get("properties", {})
    plain: dict[str, Any] = {
        "object": {name: _example(properties.get(name, {}), schemas) for name in required},
        "string": "…",
        "integer": 1,
        "number": 1.0,
        "boolean": True,
        "array": [],
    }
    return plain.get(schema.get("type", ""))
