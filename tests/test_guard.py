"""Who is let in at the staff's page: each route with each role, and from where a request comes."""

from __future__ import annotations

import json
import ssl
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import Raw

from edge import directory, plan
from edge.directory import Page
from edge.kiosk.guard import LEAST
from edge.kiosk.problems import CODES
from kiosk import FLOOR, ROLES, SECRET, Kiosk, kiosk
from peers.needles import words_in
from peers.process import free_port
from peers.staff import DOCUMENT, OPERATIONS
from peers.store import secret
from peers.tls import issued

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

UUID = "019aa2f1-0000-7000-8000-000000000000"
ITEM = {"id": UUID}
PATHS = {"id": "c-1", "name": "somebody", "seq": "7", "gtin": "08801045600130", "pseudonym": "0" * 64}
PATHS |= {"read_point": "till-1", "driver": "nfc@till-1"}
BODIES: dict[str, Any] = {
    "logIn": {"name": "nobody", "secret": "0000"},
    "changeSecret": {"secret": SECRET, "new": SECRET},
    "setUp": {"code": "00000000", "name": "other", "secret": SECRET},
    "putPerson": {"role": "viewer", "secret": SECRET},
    "train": {"on": True},
    "bindBand": {"pseudonym": "0" * 64},
    "removeItem": ITEM,
    "pushAgain": ITEM,
    "giveScan": {**ITEM, "customer": "c-1"},
    "readAtDesk": {"text": "8801045600130"},
    "retryRejected": {"ids": []},
    "dropRejected": {"ids": []},
}
LAST = ("getEvents", "logOut")


def path_of(operation: str) -> str:
    """Its path with something in each place."""
    path = OPERATIONS[operation][1]
    return path.format(**PATHS | ({"id": UUID} if "intents" in path else {}))


def least_of(operation: str) -> str:
    """The least role, by the document."""
    method, path = OPERATIONS[operation]
    return str(DOCUMENT["paths"][path][method]["x-role"])


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Kiosk]:
    with kiosk(tmp_path) as served:
        yield served


def test_the_table_is_the_documents() -> None:
    open_to_all = {"page", "static", "healthz", "metrics"}
    roles = {operation: least_of(operation) for operation in OPERATIONS}
    told = {operation: role if role != "public" else None for operation, role in roles.items()}
    assert told == {operation: least for operation, least in LEAST.items() if operation not in open_to_all}
    assert DOCUMENT["components"]["schemas"]["Problem"]["properties"]["code"]["enum"] == list(CODES)
    assert {
        operation["operationId"]
        for item in DOCUMENT["paths"].values()
        for operation in item.values()
        if isinstance(operation, dict) and "requestBody" in operation
    } == set(BODIES)


def test_each_route_with_each_role(page: Kiosk) -> None:
    hands = page.staff()
    for operation in [*(OPERATIONS.keys() - LAST), "logOut"]:
        method, least = OPERATIONS[operation][0].upper(), least_of(operation)
        for role, person in hands.items():
            answer = person.send(method, path_of(operation), BODIES.get(operation))
            where = f"{operation} as {role}: {answer.status} {answer.text[:200]}"
            if least == "public" or (role != "none" and ROLES.index(role) >= ROLES.index(least)):
                assert answer.status not in (401, 403, 404, 405) or answer.code in (
                    "wrong-secret",
                    "wrong-code",
                    "not-found",
                ), where
            elif role == "none":
                assert answer.code == "not-logged-in", where
            else:
                assert answer.code == "forbidden", where
            assert "unsafe" not in answer.headers["content-security-policy"], where
    assert hands["none"].ask("getEvents").code == "not-logged-in"


def test_a_route_that_nobody_has_thought_of_is_refused(page: Kiosk, monkeypatch: pytest.MonkeyPatch) -> None:
    boss = page.manager()
    assert boss.send("GET", "/api/floor").status == 200
    monkeypatch.delitem(LEAST, "getFloor")
    assert boss.send("GET", "/api/floor").code == "forbidden"


def test_what_changes_something_needs_the_csrf_token_of_its_session(page: Kiosk) -> None:
    hands = page.staff()
    for operation in [each for each, (method, _) in OPERATIONS.items() if method != "get"]:
        method = OPERATIONS[operation][0].upper()
        for token in ("", "0" * 64, hands["clerk"].csrf, "ä"):
            answer = hands["manager"].send(
                method, path_of(operation), BODIES.get(operation), headers={"X-CSRF-Token": token}
            )
            assert answer.code == "csrf", f"{operation} with {token!r}"
        if least_of(operation) == "public":
            answer = page.stranger().send(method, path_of(operation), BODIES[operation])
            assert answer.code == "csrf", f"{operation} without a cookie"
    assert hands["manager"].send("DELETE", "/api/session").status == 204


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
def test_another_site_asks_in_vain(page: Kiosk, headers: dict[str, str]) -> None:
    boss = page.manager()
    for method, path in (("GET", "/api/people"), ("POST", "/api/pull"), ("GET", "/api/session")):
        assert boss.send(method, path, headers=headers).code == "origin"
    own = {"Origin": page.base, "Sec-Fetch-Site": "same-origin"}
    assert boss.send("POST", "/api/pull", headers=own).status == 204


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "", "[::1", "10.0.0.1"]
)
def test_another_name_for_our_address(page: Kiosk, host: str) -> None:
    boss = page.manager()
    for path in ("/", "/api/session", "/metrics"):
        assert boss.send("GET", path, headers={"Host": host}).code == "host", path
    port = page.base.rpartition(":")[2]
    for ours in (f"localhost:{port}", f"127.0.0.1:{port}", "[::1]:1", "LOCALHOST"):
        assert boss.send("GET", "/api/session", headers={"Host": ours}).status == 200


def test_the_names_of_a_page_on_the_network(tmp_path: Path) -> None:
    with kiosk(tmp_path, lan=True, names=("till.example",)) as page:
        boss = page.manager()
        assert boss.send("GET", "/api/session", headers={"Host": "till.example:8443"}).json["people"] == []
        assert boss.send("GET", "/api/session", headers={"Host": "other.example:8443"}).code == "host"


def test_on_the_network_all_goes_over_tls(tmp_path: Path) -> None:
    certificate, key = issued(tmp_path)
    secret(tmp_path / "key", bytes(32))
    (tmp_path / "edge.toml").write_text(
        '[store]\nid = "gangnam"\ngateway = "gw-1"\npseudonym_key_file = "key"\n'
        f'[kiosk]\nlisten = "0.0.0.0:{free_port()}"\nlan = true\ncert_file = "{certificate}"\nkey_file = "{key}"\n'
    )
    made = plan.make(tmp_path / "edge.toml")
    assert made.config.kiosk
    assert made.page_tls
    assert made.page_tls.minimum_version == ssl.TLSVersion.TLSv1_2
    table = {name: getattr(made.config.kiosk, name) for name in ("listen", "lan", "cert_file", "key_file")}
    trusted = ssl.create_default_context(cafile=certificate)
    with kiosk(tmp_path, tls=made.page_tls, trusted=trusted, **table) as page:
        somebody = page.stranger()
        answer = somebody.send("GET", "/api/session", headers={"Origin": page.base})
        assert "Secure" in answer.headers["set-cookie"].split("; ")
        assert somebody.send("GET", "/api/session", headers={"Host": "192.0.2.7"}).status == 200
        assert somebody.send("GET", "/api/session", headers={"Host": "evil.example"}).code == "host"
        plain = page.base.replace("https", "http")
        assert somebody.send("GET", "/api/session", headers={"Origin": plain}).code == "origin"
        somebody.tls = None
        with pytest.raises((OSError, HTTPException)):
            somebody.ask("getSession")


def test_the_cookie_is_nobodys_but_the_servers(page: Kiosk) -> None:
    somebody = page.stranger()
    opened = somebody.send("GET", "/api/session")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(opened.headers["set-cookie"].split("; "))
    assert "Secure" not in opened.headers["set-cookie"]
    assert "set-cookie" not in somebody.send("GET", "/api/session").headers
    boss = page.manager()
    before = boss.cookies["cartwire"]
    boss.log_in("boss", SECRET)
    assert boss.cookies["cartwire"] != before


def test_what_every_answer_carries(page: Kiosk) -> None:
    boss = page.manager()
    paths = ("/", "/healthz", "/metrics", "/nothing", "/api/nothing", "/api/session", "/api/floor", "/api/openapi.yaml")
    for path in paths:
        answer = boss.send("GET", path)
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert "camera=()" in answer.headers["permissions-policy"]
        assert answer.headers["server"] == "cartwire"
        assert "aiohttp" not in answer.text
        if path.startswith("/api/") and "yaml" not in path:
            assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("table", "ancestors"),
    [
        ({}, "'none'"),
        (
            {"frame_ancestors": ("http://127.0.0.1:9", "https://till.example")},
            "http://127.0.0.1:9 https://till.example",
        ),
    ],
    ids=["nobody", "two"],
)
def test_only_the_pages_that_are_named_may_show_it_in_a_frame(
    tmp_path: Path, table: dict[str, Any], ancestors: str
) -> None:
    with kiosk(tmp_path, **table) as page:
        policy = page.stranger().send("GET", "/").headers["content-security-policy"]
    assert policy.rpartition("frame-ancestors ")[2] == ancestors


def test_after_ten_minutes_without_a_touch_nobody_is_logged_in(page: Kiosk) -> None:
    boss = page.manager()
    for _ in range(3):
        page.now += 599
        assert boss.send("GET", "/api/floor").status == 200
    for _ in range(2):
        page.now += 299
        assert boss.send("GET", "/api/status", headers={"X-Idle": "1"}).status == 200
    page.now += 3
    assert boss.send("GET", "/api/floor").code == "not-logged-in"
    assert boss.does("getSession")["person"] is None


def test_after_twelve_hours_one_logs_in_again(page: Kiosk) -> None:
    boss = page.manager()
    for _ in range(12 * 8 - 1):
        page.now += 450
        assert boss.send("GET", "/api/floor").status == 200
    page.now += 450
    assert boss.send("GET", "/api/floor").code == "not-logged-in"


def test_every_error_is_a_problem(page: Kiosk) -> None:
    boss = page.manager()
    person = "/api/people/kim"
    for body in ({}, [], {"role": "king"}, {"role": "clerk", "more": 1}, {"role": "clerk", "secret": 4711}):
        answer = boss.send("PUT", person, body)
        assert (answer.status, answer.code) == (400, "bad-request")
    assert "$.role" in boss.send("PUT", person, {"role": "king"}).json["detail"]
    plain = boss.send("PUT", person, {"role": "clerk"}, headers={"Content-Type": "text/plain"})
    assert (plain.status, plain.code) == (415, "media-type")
    packed = boss.send("PUT", person, {"role": "clerk"}, headers={"Content-Encoding": "gzip"})
    assert (packed.status, packed.code) == (415, "media-type")
    big = boss.send("POST", "/api/desk", {"text": "1" * 70_000})
    assert (big.status, big.code) == (413, "too-large")
    wrong = boss.send("PATCH", "/api/session")
    assert (wrong.status, wrong.code) == (405, "method")
    assert set(wrong.headers["allow"].split(",")) == {"GET", "POST", "DELETE"}
    for path in ("/api/nothing", "/api/people/KIM", "/api/items/0/push", "/nothing", "/static/../server.py"):
        answer = boss.send("GET", path)
        assert (answer.status, answer.code) in ((404, "not-found"), (405, "method")), path
    assert boss.send("GET", f"/api/products?q={'1' * 101}").code == "bad-request"
    page.opened = False
    for path in ("/api/session", "/api/floor"):
        answer = boss.send("GET", path)
        assert (answer.status, answer.code) == (503, "starting")
    assert boss.send("GET", "/healthz").status == 200


def test_a_fault_says_nothing_of_what_is_inside(page: Kiosk, monkeypatch: pytest.MonkeyPatch) -> None:
    boss = page.manager()
    monkeypatch.setitem(FLOOR, "read_points", None)
    answer = boss.send("GET", "/api/shoppers")
    assert (answer.status, answer.code) == (500, "internal")
    assert "NoneType" not in answer.text


def test_a_viewer_sees_no_shopper(page: Kiosk) -> None:
    hands = page.staff()
    seen = hands["viewer"].send("GET", "/api/floor")
    assert words_in(seen.text, "c-1", "KIM", "LEE") == []
    assert seen.json["read_points"][0]["session"]["left_seconds"] == 30
    assert "c-2" in hands["clerk"].send("GET", "/api/floor").text


def test_a_rehearsal_is_no_visit(page: Kiosk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever rehearses with a shopper's band does not make the shopper be there: nothing can be given to them."""
    clerk = page.staff()["clerk"]
    with_band = {**FLOOR["read_points"][0], "training": 60.0}
    change = {"kind": "customer", "op": "upsert", "key": "c-1", "value": {"cart": "k", "consents": ["cart"]}}
    feed = Page("1", False, [Raw(json.dumps(change))])
    page.database.write_now(lambda connection: directory.apply(connection, feed, None))

    def seen() -> tuple[Any, Any]:
        return clerk.does("findShoppers")["shoppers"], clerk.does("getShopper", id="c-1")["sessions"]

    there = {"id": "c-1", "display": None, "here": ["till-1"]}
    assert seen() == ([there], [{"read_point": "till-1", "left_seconds": 30.0}])
    monkeypatch.setitem(FLOOR, "read_points", [with_band])
    assert seen() == ([], [])


def test_there_is_no_training_at_the_desk(page: Kiosk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read there is kept nowhere anyhow."""
    boss = page.manager()
    boss.does("train", {"on": True}, read_point="till-1")
    monkeypatch.setitem(FLOOR, "read_points", [{**FLOOR["read_points"][0], "desk": True}])
    assert boss.ask("train", {"on": True}, read_point="till-1").code == "not-found"


def test_files_are_packed_and_asked_for_once(page: Kiosk) -> None:
    somebody = page.stranger()
    document = somebody.send("GET", "/api/openapi.yaml", headers={"Accept-Encoding": "gzip"})
    assert document.text.startswith("openapi: 3.1")
    assert document.headers["content-encoding"] == "gzip"
    start = somebody.send("GET", "/")
    again = somebody.send("GET", "/", headers={"If-None-Match": start.headers["etag"]})
    assert (again.status, again.text) == (304, "")


def test_what_is_no_json(page: Kiosk) -> None:
    """What no browser sends."""
    boss = page.manager()
    for body in (b"", b"{", b"\xff", b'"\\ud800"', b"[" * 60_000, b"nan"):
        answer = boss.send("PUT", "/api/people/kim", headers={"Content-Type": "application/json"}, raw=body)
        assert (answer.status, answer.code) == (400, "bad-request"), body[:10]
    for odd in ({"X-CSRF-Token": "\xff"}, {"Cookie": "cartwire=\xff"}, {"Origin": "\xff"}, {"Content-Type": "\xff"}):
        assert 400 <= boss.send("PUT", "/api/people/kim", {}, headers=odd).status < 500, odd
    assert boss.send("GET", "/api/session", headers={"Cookie": "cartwire=\xff"}).status == 200
