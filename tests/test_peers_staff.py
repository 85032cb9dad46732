"""The client of the page's API and its stream find what is not in the document."""

from __future__ import annotations

from peers.staff import DOCUMENT, OPERATIONS, Answer, operation_of, unfit
from peers.stream import Message, parsed, unfit_message


def test_an_answer_that_is_not_in_the_document_is_found() -> None:
    json = {"content-type": "application/json; charset=utf-8"}
    problem = {"content-type": "application/problem+json"}
    told = {"type": "about:blank", "title": "No", "status": 404, "code": "not-found"}
    assert unfit("takeBack", Answer(404, problem, told)) == ""
    assert unfit("takeBack", Answer(204, {}, None)) == ""
    assert unfit("getPeople", Answer(200, json, {"people": [{"name": "mina", "role": "clerk"}]})) == ""
    assert "secret" in unfit(
        "getPeople", Answer(200, json, {"people": [{"name": "mina", "role": "clerk", "secret": 1}]})
    )
    assert "role" in unfit("getPeople", Answer(200, json, {"people": [{"name": "mina", "role": "boss"}]}))
    assert unfit("takeBack", Answer(404, json, told)) != ""
    assert unfit("takeBack", Answer(404, problem, told | {"status": 403})) != ""
    assert unfit("takeBack", Answer(200, json, {})) != ""
    assert unfit("", Answer(404, problem, told)) == unfit("", Answer(200, {}, "")) == ""
    assert unfit("", Answer(404, {"content-type": "text/plain"}, "Not found")) != ""
    assert (
        unfit("removeItem", Answer(202, json, {"id": "x", "action": "remove", "staff": "a", "left_seconds": 9.5})) != ""
    )


def test_every_operation_has_a_name_and_a_role() -> None:
    operations = [each for path in DOCUMENT["paths"].values() for each in path.values() if "operationId" in each]
    assert len(OPERATIONS) == len(operations)
    assert {each["x-role"] for each in operations} == {"public", "viewer", "clerk", "manager"}


def test_the_messages_of_a_stream_are_read_as_a_browser_reads_them() -> None:
    lines = [": hello", "", "event: row", "id: j:1", 'data: {"seq":', "data: 1}", "", "data: {}", "", "event: row"]
    assert list(parsed(lines)) == [Message("row", "j:1", {"seq": 1}), Message("message", None, {})]


def test_a_request_is_known_by_method_and_path() -> None:
    for operation, (method, path) in OPERATIONS.items():
        assert operation_of(method.upper(), f"{path}?q=1") == operation
    assert operation_of("PATCH", "/api/session") == operation_of("GET", "/healthz") == ""


def test_a_message_that_is_not_in_the_document_is_found() -> None:
    row = {"seq": 7, "id": "x", "kind": "tap.unknown", "time": "2026-11-27T09:00:00.000Z", "read_point": None}
    assert unfit_message(Message("row", "j:7", row)) == ""
    assert unfit_message(Message("row", None, row)) != ""
    assert unfit_message(Message("row", None, row | {"seq": None, "training": True})) == ""
    assert "uid" in unfit_message(Message("row", "j:7", row | {"uid": "04"}))
    assert unfit_message(Message("floor", None, {})) != ""
