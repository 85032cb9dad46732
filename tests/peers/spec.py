"""The documents in `sync/` as a reader has them: OpenAPI, AsyncAPI and a JSON Schema for each type of event."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import best_match
from referencing import Registry
from referencing.jsonschema import DRAFT202012

if TYPE_CHECKING:
    from collections.abc import Iterator

SYNC = Path(__file__).parent.parent.parent / "sync"
DOCUMENTS: dict[str, Any] = {path.name: yaml.safe_load(path.read_text()) for path in SYNC.glob("*.yaml")}
OPENAPI, ASYNCAPI = DOCUMENTS["openapi.yaml"], DOCUMENTS["asyncapi.yaml"]
SCHEMAS: dict[str, Any] = {path.name: json.loads(path.read_text()) for path in (SYNC / "schemas").glob("*.json")}
EVENTS = {
    schema["properties"]["type"]["const"]: name
    for name, schema in SCHEMAS.items()
    if "properties" in schema and "const" in schema["properties"]["type"]
}
FILES = DOCUMENTS | {f"schemas/{name}": schema for name, schema in SCHEMAS.items()}
"""All of them, by the paths that their references to each other have."""
IN_PLACE = ("if", "then", "else", "not")  # they look at the object that their schema describes already


def closed(schema: Any) -> Any:
    """Return the schema without room for what it does not name; as shipped it leaves receivers that room."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: value if key in IN_PLACE else closed(value) for key, value in schema.items()}
    return {"unevaluatedProperties": False, **inner} if isinstance(schema.get("properties"), dict) else inner


def registry(files: dict[str, Any]) -> Registry[Any]:
    """Return the files where references find them."""
    return Registry().with_resources(
        [(f"http://sync/{name}", DRAFT202012.create_resource(file)) for name, file in files.items()]
    )


OPEN = registry(FILES)
STRICT = registry({name: file if name == "openapi.yaml" else closed(file) for name, file in FILES.items()})


def misfit(value: object, where: str, known: Registry[Any] = OPEN) -> str:
    """Say what is wrong with a value by the schema at `where` (`file#/pointer`); empty if nothing is."""
    validator = Draft202012Validator({"$ref": f"http://sync/{where}"}, registry=known, format_checker=FormatChecker())
    error = best_match(validator.iter_errors(value))
    return f"{error.json_path}: {error.message}"[:500] if error else ""


def event_misfit(event: dict[str, Any]) -> str:
    """Say what is wrong with an event, or has no name in its type's schema; empty if nothing is."""
    name = EVENTS.get(str(event.get("type")))
    return misfit(event, f"schemas/{name}", STRICT) if name else f"no schema for {event.get('type')!r}"


def nodes(value: Any, pointer: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every object in a document with its JSON pointer."""
    if isinstance(value, dict):
        yield pointer, value
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield from nodes(inner, f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}")
