"""The documents in `sync/` keep their standards, their examples are true, and no event is without a schema."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from edge.demo.forms import DATA
from peers.app import DATA as APP_DATA
from peers.app import is_gtin
from peers.spec import (
    ASYNCAPI,
    DOCUMENTS,
    EVENTS,
    FILES,
    OPEN,
    OPENAPI,
    SCHEMAS,
    STRICT,
    SYNC,
    event_misfit,
    misfit,
    nodes,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
PACKAGES = ("edge", "drivers", "sync")
FILE_ENDINGS = {
    "conf",
    "db",
    "html",
    "js",
    "json",
    "jsonl",
    "key",
    "log",
    "password",
    "svg",
    "token",
    "toml",
    "txt",
    "yaml",
}
ANYTHING = {"stock", "rating", "reviews", "image"}  # of a product: as the feed gave it
EXAMPLES = [(name, event) for name in EVENTS.values() for event in SCHEMAS[name]["examples"]]
example = pytest.mark.parametrize(("name", "event"), EXAMPLES, ids=[f"{n}-{e['seq']}" for n, e in EXAMPLES])


def test_openapi_is_openapi() -> None:
    checked = OpenAPIV31SpecValidator(OPENAPI, base_uri=(SYNC / "openapi.yaml").as_uri())
    assert [error.message for error in checked.iter_errors()] == []
    assert OPENAPI["openapi"].startswith("3.1.")


def test_each_schema_is_a_schema() -> None:
    for schema in SCHEMAS.values():
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        Draft202012Validator.check_schema(schema)


def test_every_reference_leads_somewhere() -> None:
    references = [(file, node["$ref"]) for file, value in FILES.items() for _, node in nodes(value) if "$ref" in node]
    for file, reference in references:
        OPEN.resolver(f"http://sync/{file}").lookup(reference)
    assert len(references) > 150
    told = {reference.rpartition("/")[2] for file, reference in references if file in DOCUMENTS}
    assert {"event.json", "cart.item_added.v1.json", "cart.item_removed.v1.json"} <= told


def test_the_documents_are_in_the_wheel(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
    (wheel,) = tmp_path.glob("*.whl")
    assert len(FILES) == 2 + 2 + len(EVENTS)
    assert {f"sync/{name}" for name in FILES} <= set(ZipFile(wheel).namelist())


def examples_of(document: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the pointer of a schema, and a value that is given as its example."""
    for pointer, node in nodes(document):
        if "/example" in pointer:
            continue
        if "schema" in node:
            values = [node["example"]] if "example" in node else []
            named = node.get("examples", {})
            values += [each["value"] for each in named.values()] if isinstance(named, dict) else []
            yield from ((f"{pointer}/schema", value) for value in values)
        elif isinstance(node.get("examples"), list) and "/schemas/" in pointer:
            yield from ((pointer, value) for value in node["examples"])


def test_every_example_in_openapi_is_valid() -> None:
    found = list(examples_of(OPENAPI))
    assert [wrong for pointer, value in found if (wrong := misfit(value, f"openapi.yaml#{pointer}"))] == []
    assert len(found) > 20
    for path in OPENAPI["paths"].values():
        for operation in path.values():
            (content,) = operation["responses"]["200"]["content"].values()
            assert content.keys() & {"example", "examples"}, "each answer has an example"


def test_every_example_in_asyncapi_is_valid() -> None:
    messages = ASYNCAPI["components"]["messages"]
    for name, message in messages.items():
        where = f"asyncapi.yaml#/components/messages/{name}/payload/schema"
        assert [misfit(each["payload"], where, STRICT) for each in message["examples"]] == [""] * len(
            message["examples"]
        )
    for parameter in ASYNCAPI["components"]["parameters"].values():
        assert all(re.fullmatch(parameter["x-pattern"], each) for each in parameter["examples"])


def test_asyncapi_fits_together() -> None:
    for name, channel in ASYNCAPI["channels"].items():
        assert set(re.findall(r"\{(\w+)\}", channel["address"])) == channel["parameters"].keys()
        used = {each["channel"]["$ref"] for each in ASYNCAPI["operations"].values()}
        assert f"#/channels/{name}" in used
    items = ASYNCAPI["channels"]["items"]["messages"]
    payloads = [ASYNCAPI["components"]["messages"][name]["payload"]["schema"] for name in items]
    assert payloads == [{"$ref": f"schemas/{EVENTS[type]}"} for type in APP_DATA]


@example
def test_an_example_is_an_event_by_its_type_and_in_general(name: str, event: dict[str, Any]) -> None:
    assert event_misfit(event) == ""
    assert f"schemas/{EVENTS[event['type']]}" == f"schemas/{name}"
    assert misfit(event, "schemas/event.json", STRICT) == ""
    assert is_gtin(event["data"].get("gtin", "08801045600130"))


@example
def test_what_is_not_known_is_kept(name: str, event: dict[str, Any]) -> None:
    more = {**event, "weather": "fine", "data": {**event["data"], "mood": "good"}}
    assert misfit(more, f"schemas/{name}") == ""
    assert misfit(more, "schemas/event.json") == ""
    assert "weather" in event_misfit({**event, "weather": "fine"})
    assert "mood" in event_misfit({**event, "data": more["data"]})
    later = {**more, "type": "cartwire.of.later.v1"}
    assert misfit(later, "schemas/event.json") == ""
    assert "no schema" in event_misfit(later)


def leaves(value: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, inner in value.items():
        yield (*path, key)
        if isinstance(inner, dict):
            yield from leaves(inner, (*path, key))


def changed(event: dict[str, Any], path: tuple[str, ...], *value: object) -> dict[str, Any]:
    """Return the event with another value there, or without any."""
    copy = deepcopy(event)
    place = copy
    for key in path[:-1]:
        place = place[key]
    if value:
        place[path[-1]] = value[0]
    else:
        del place[path[-1]]
    return copy


OPTIONAL = {
    "cart.item_added.v1.json": {"in_store", "price"},
    "cart.item_confirmed.v1.json": {"read_point"},
    "cart.item_removed.v1.json": {"read_point"},
    "band.bound.v1.json": {"read_point"},
    "band.unbound.v1.json": {"read_point"},
    "device.lost.v1.json": {"read_point"},
    "device.recovered.v1.json": {"read_point"},
}


@example
def test_an_event_without_a_field_or_with_one_of_another_form_is_none(name: str, event: dict[str, Any]) -> None:
    for path in leaves(event):
        assert event_misfit(changed(event, path, ["nonsense"])), path
        missing = event_misfit(changed(event, path))
        assert bool(missing) is (path[-1] not in OPTIONAL.get(name, ())), (path, missing)
        if isinstance(before := event[path[0]] if len(path) == 1 else None, str):
            assert event_misfit(changed(event, path, before + " ")) or path == ("subject",), path
    assert event_misfit(changed(event, ("data",), {}))


MUTATIONS: list[tuple[str, tuple[str, ...], object]] = [
    ("cart.item_added", ("specversion",), "1.1"),
    ("cart.item_added", ("id",), "6f2c1d5e-0000-4000-8000-000000000001"),
    ("cart.item_added", ("id",), "019AA2F1-5C07-7C11-9C5E-8A4F0D6B2E10"),
    ("cart.item_added", ("source",), "/stores/Gangnam/gateways/gw-1"),
    ("cart.item_added", ("type",), "cartwire.cart.item_added.v2"),
    ("cart.item_added", ("subject",), "c-1001"),
    ("cart.item_added", ("time",), "2026-11-21T09:12:45Z"),
    ("cart.item_added", ("time",), "2026-11-21T09:12:45.123+00:00"),
    ("cart.item_added", ("time",), "2026-11-31T09:12:45.123Z"),
    ("cart.item_added", ("journal",), "6f2c1d5e-0000-4000-8000-000000000001"),
    ("cart.item_added", ("seq",), "48213"),
    ("cart.item_added", ("seq",), -1),
    ("cart.item_added", ("seq",), 1.5),
    ("cart.item_added", ("bootid",), "boot 7"),
    ("cart.item_added", ("clockok",), 1),
    ("cart.item_added", ("data", "customer"), None),
    ("cart.item_added", ("data", "cart"), "k/7"),
    ("cart.item_added", ("data", "cart"), "k" * 65),
    ("cart.item_added", ("data", "session"), "1"),
    ("cart.item_added", ("data", "read_point"), ""),
    ("cart.item_added", ("data", "gtin"), "8801045600130"),
    ("cart.item_added", ("data", "quantity"), 2),
    ("cart.item_added", ("data", "symbology"), "PDF417"),
    ("cart.item_added", ("data", "product", "name"), {"ko": "물"}),
    ("cart.item_added", ("data", "product", "price", "amount"), 12900),
    ("cart.item_added", ("data", "product", "price", "currency"), "won"),
    ("cart.item_added", ("data", "in_store"), {"kind": "size", "value": "1"}),
    ("cart.item_added", ("data", "in_store"), {"kind": "price", "value": "1,5"}),
    ("cart.item_added", ("data", "staff"), "s-7"),
    ("cart.item_confirmed", ("data", "event"), "k7f3a9"),
    ("cart.item_confirmed", ("subject",), "customers/c-1001"),
    ("customer.identified", ("data", "method"), "face"),
    ("tap.unknown", ("data", "pseudonym"), "04A1B2C3D4E5F6"),
    ("session.ended", ("data", "reason"), "bored"),
    ("session.ended", ("data", "customer"), None),
    ("presence.left", ("data", "dwell_seconds"), "61.5"),
    ("presence.left", ("data", "dwell_seconds"), -1),
    ("customer.erased", ("data", "reason"), "timeout"),
    ("device.lost", ("data", "driver"), "nfc"),
    ("clock.adjusted", ("data", "offset_seconds"), None),
    ("journal.opened", ("data", "reason"), "deleted"),
    ("journal.opened", ("data", "rows_lost"), -1),
    ("journal.opened", ("data", "previous"), ""),
]


@pytest.mark.parametrize(("kind", "path", "value"), MUTATIONS)
def test_a_wrong_value_is_found(kind: str, path: tuple[str, ...], value: object) -> None:
    event = SCHEMAS[f"{kind}.v1.json"]["examples"][0]
    assert misfit(changed(event, path, value), f"schemas/{kind}.v1.json")


def test_the_sandbox_and_the_schemas_name_the_same_types() -> None:
    assert EVENTS.keys() == DATA.keys()
    assert {f"cartwire.{name.removesuffix('.json')}" for name in EVENTS.values()} == EVENTS.keys()
    listed = [each["$ref"] for each in SCHEMAS["event.json"]["anyOf"] if each["$ref"] != "envelope.json"]
    assert sorted(listed) == sorted(EVENTS.values())
    assert set(SCHEMAS["event.json"]["anyOf"][-1]["properties"]["type"]["not"]["enum"]) == EVENTS.keys()


def kinds_in(source: str) -> set[str]:
    """Return what may be a kind of row in a file: each text of the form `word.word` that names no file or module."""
    texts = {node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)}
    found = {text for text in texts if isinstance(text, str) and re.fullmatch(r"[a-z]+\.[a-z_]+", text)}
    modules = {text for text in found if (ROOT / text.replace(".", "/")).with_suffix(".py").exists()}
    return {text for text in found - modules if text.split(".")[1] not in FILE_ENDINGS}


def test_no_kind_of_event_is_without_a_schema() -> None:
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    files = [path for path in files if path.name != "forms.py" and path.parent.name != "verify"]  # no writers of rows
    kinds = set().union(*(kinds_in(path.read_text()) for path in files))
    outside = {kind for kind in kinds if not kind.startswith("inside.")}
    assert {f"cartwire.{kind}.v1" for kind in outside} - EVENTS.keys() == set()
    assert {"cart.item_added", "session.ended", "device.lost", "journal.opened"} <= outside


def test_a_new_kind_would_be_seen() -> None:
    assert kinds_in('Row("cart.item_weighed", now, open("edge.toml"), import_module("edge.cli"))') == {
        "cart.item_weighed"
    }
