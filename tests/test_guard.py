"""Who is let in at the staff's page: each route with each role, and from where a request comes."""

from __future__ import annotations

import asyncio
import http.client
import json
import ssl
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import ClientError
from msgspec import Raw

from edge import directory, plan
from edge.directory import Page
from edge.kiosk.guard import LEAST
from edge.kiosk.problems import CODES
from kiosk import DOCUMENT, FLOOR, ROLES, SECRET, Kiosk, kiosk
from peers.process import free_port
from peers.tls import issued

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
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
OPERATIONS = {
    operation["operationId"]: (method.upper(), path, operation["x-role"])
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
    if method != "parameters"
}
LAST = ("getEvents", "logOut")


def path_of(operation: str) -> str:
    """Its path with something in each place."""
    path = OPERATIONS[operation][1]
    return path.format(**PATHS | ({"id": UUID} if "intents" in path else {}))


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Kiosk]:
    async with kiosk(tmp_path) as served:
        yield served


def test_the_table_is_the_documents() -> None:
    open_to_all = {"page", "static", "healthz", "metrics"}
    told = {operation: role if role != "public" else None for operation, (_, _, role) in OPERATIONS.items()}
    assert told == {operation: least for operation, least in LEAST.items() if operation not in open_to_all}
    assert DOCUMENT["components"]["schemas"]["Problem"]["properties"]["code"]["enum"] == list(CODES)
    assert {
        operation["operationId"]
        for item in DOCUMENT["paths"].values()
        for operation in item.values()
        if isinstance(operation, dict) and "requestBody" in operation
    } == set(BODIES)


async def test_each_route_with_each_role(page: Kiosk) -> None:
    hands = await page.staff()
    for operation in [*(OPERATIONS.keys() - LAST), "logOut"]:
        method, _, least = OPERATIONS[operation]
        for role, browser in hands.items():
            answer = await browser.ask(method, path_of(operation), BODIES.get(operation))
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
            assert "unsafe" not in answer.headers["Content-Security-Policy"], where
    assert (await hands["none"].ask("GET", "/api/events")).code == "not-logged-in"


async def test_a_route_that_nobody_has_thought_of_is_refused(page: Kiosk, monkeypatch: pytest.MonkeyPatch) -> None:
    boss = await page.manager()
    assert (await boss.ask("GET", "/api/floor")).status == 200
    monkeypatch.delitem(LEAST, "getFloor")
    assert (await boss.ask("GET", "/api/floor")).code == "forbidden"


async def test_what_changes_something_needs_the_csrf_token_of_its_session(page: Kiosk) -> None:
    hands = await page.staff()
    for operation, (method, _, least) in OPERATIONS.items():
        if method == "GET":
            continue
        for token in ("", "0" * 64, hands["clerk"].csrf, "ä"):
            answer = await hands["manager"].ask(method, path_of(operation), BODIES.get(operation), X_CSRF_Token=token)
            assert answer.code == "csrf", f"{operation} with {token!r}"
        if least == "public":
            answer = await (await page.browser()).ask(method, path_of(operation), BODIES[operation])
            assert answer.code == "csrf", f"{operation} without a cookie"
    assert (await hands["manager"].ask("DELETE", "/api/session")).status == 204


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
    ids=str,
)
async def test_another_site_asks_in_vain(page: Kiosk, headers: dict[str, str]) -> None:
    boss = await page.manager()
    for method, path in (("GET", "/api/people"), ("POST", "/api/pull"), ("GET", "/api/session")):
        assert (await boss.ask(method, path, **headers)).code == "origin"
    own = {"Origin": page.base, "Sec_Fetch_Site": "same-origin"}
    assert (await boss.ask("POST", "/api/pull", **own)).status == 204


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "", "[::1", "10.0.0.1"]
)
async def test_another_name_for_our_address(page: Kiosk, host: str) -> None:
    boss = await page.manager()
    for path in ("/", "/api/session", "/metrics"):
        assert (await boss.ask("GET", path, Host=host)).code == "host", path
    port = page.base.rpartition(":")[2]
    for ours in (f"localhost:{port}", f"127.0.0.1:{port}", "[::1]:1", "LOCALHOST"):
        assert (await boss.ask("GET", "/api/session", Host=ours)).status == 200


async def test_the_names_of_a_page_on_the_network(tmp_path: Path) -> None:
    async with kiosk(tmp_path, lan=True, names=("till.example",)) as page:
        boss = await page.manager()
        assert (await boss.ask("GET", "/api/session", Host="till.example:8443")).json["people"] == []
        assert (await boss.ask("GET", "/api/session", Host="other.example:8443")).code == "host"


async def test_on_the_network_all_goes_over_tls(tmp_path: Path) -> None:
    certificate, key = issued(tmp_path)
    (tmp_path / "key").write_bytes(bytes(32))
    (tmp_path / "edge.toml").write_text(
        '[store]\nid = "gangnam"\ngateway = "gw-1"\npseudonym_key_file = "key"\n'
        f'[kiosk]\nlisten = "0.0.0.0:{free_port()}"\nlan = true\ncert_file = "{certificate}"\nkey_file = "{key}"\n'
    )
    made = plan.make(tmp_path / "edge.toml")
    assert made.config.kiosk
    assert made.page_tls
    assert made.page_tls.minimum_version == ssl.TLSVersion.TLSv1_2
    table = {name: getattr(made.config.kiosk, name) for name in ("listen", "lan", "cert_file", "key_file")}
    async with kiosk(tmp_path, tls=made.page_tls, **table) as page:
        browser = await page.browser()
        answer = await browser.ask("GET", "/api/session", Origin=page.base)
        assert "Secure" in answer.headers["Set-Cookie"].split("; ")
        assert (await browser.ask("GET", "/api/session", Host="192.0.2.7")).status == 200
        assert (await browser.ask("GET", "/api/session", Host="evil.example")).code == "host"
        plain = page.base.replace("https", "http")
        assert (await browser.ask("GET", "/api/session", Origin=plain)).code == "origin"
        with pytest.raises(ClientError):
            await browser.client.get(plain)


async def test_the_cookie_is_nobodys_but_the_servers(page: Kiosk) -> None:
    browser = await page.browser()
    opened = await browser.ask("GET", "/api/session")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(opened.headers["Set-Cookie"].split("; "))
    assert "Secure" not in opened.headers["Set-Cookie"]
    assert "Set-Cookie" not in (await browser.ask("GET", "/api/session")).headers
    boss = await page.manager()
    before = {cookie.value for cookie in boss.client.cookie_jar}
    again = await boss.log_in("boss")
    assert again.headers["Set-Cookie"].split(";")[0].removeprefix("cartwire=") not in before


async def test_what_every_answer_carries(page: Kiosk) -> None:
    boss = await page.manager()
    paths = ("/", "/healthz", "/metrics", "/nothing", "/api/nothing", "/api/session", "/api/floor", "/api/openapi.yaml")
    for path in paths:
        answer = await boss.ask("GET", path)
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert "camera=()" in answer.headers["Permissions-Policy"]
        assert answer.headers["Server"] == "cartwire"
        assert "aiohttp" not in answer.text
        if path.startswith("/api/") and "yaml" not in path:
            assert answer.headers["Cache-Control"] == "no-store"


async def test_after_ten_minutes_without_a_touch_nobody_is_logged_in(page: Kiosk) -> None:
    boss = await page.manager()
    for _ in range(3):
        page.now += 599
        assert (await boss.ask("GET", "/api/floor")).status == 200
    for _ in range(2):
        page.now += 299
        assert (await boss.ask("GET", "/api/status", X_Idle="1")).status == 200
    page.now += 3
    assert (await boss.ask("GET", "/api/floor")).code == "not-logged-in"
    assert (await boss.session())["person"] is None


async def test_after_twelve_hours_one_logs_in_again(page: Kiosk) -> None:
    boss = await page.manager()
    for _ in range(12 * 8 - 1):
        page.now += 450
        assert (await boss.ask("GET", "/api/floor")).status == 200
    page.now += 450
    assert (await boss.ask("GET", "/api/floor")).code == "not-logged-in"


async def test_every_error_is_a_problem(page: Kiosk) -> None:
    boss = await page.manager()
    person = "/api/people/kim"
    for body in ({}, [], {"role": "king"}, {"role": "clerk", "more": 1}, {"role": "clerk", "secret": 4711}):
        answer = await boss.ask("PUT", person, body)
        assert (answer.status, answer.code) == (400, "bad-request")
    assert "$.role" in (await boss.ask("PUT", person, {"role": "king"})).json["detail"]
    plain = await boss.ask("PUT", person, {"role": "clerk"}, Content_Type="text/plain")
    assert (plain.status, plain.code) == (415, "media-type")
    packed = await boss.ask("PUT", person, {"role": "clerk"}, Content_Encoding="gzip")
    assert (packed.status, packed.code) == (415, "media-type")
    big = await boss.ask("POST", "/api/desk", {"text": "1" * 70_000})
    assert (big.status, big.code) == (413, "too-large")
    wrong = await boss.ask("PATCH", "/api/session")
    assert (wrong.status, wrong.code) == (405, "method")
    assert set(wrong.headers["Allow"].split(",")) == {"GET", "POST", "DELETE"}
    for path in ("/api/nothing", "/api/people/KIM", "/api/items/0/push", "/nothing", "/static/../server.py"):
        answer = await boss.ask("GET", path)
        assert (answer.status, answer.code) in ((404, "not-found"), (405, "method")), path
    assert (await boss.ask("GET", f"/api/products?q={'1' * 101}")).code == "bad-request"
    page.opened = False
    for path in ("/api/session", "/api/floor"):
        answer = await boss.ask("GET", path)
        assert (answer.status, answer.code) == (503, "starting")
    assert (await boss.ask("GET", "/healthz")).status == 200


async def test_a_fault_says_nothing_of_what_is_inside(page: Kiosk, monkeypatch: pytest.MonkeyPatch) -> None:
    boss = await page.manager()
    monkeypatch.setitem(FLOOR, "read_points", None)
    answer = await boss.ask("GET", "/api/shoppers")
    assert (answer.status, answer.code) == (500, "internal")
    assert "NoneType" not in answer.text


async def test_a_viewer_sees_no_shopper(page: Kiosk) -> None:
    hands = await page.staff()
    seen = await hands["viewer"].ask("GET", "/api/floor")
    assert "c-1" not in seen.text
    assert "KIM" not in seen.text
    assert "LEE" not in seen.text
    assert seen.json["read_points"][0]["session"]["left_seconds"] == 30
    assert "c-2" in (await hands["clerk"].ask("GET", "/api/floor")).text


async def test_a_rehearsal_is_no_visit(page: Kiosk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever rehearses with a shopper's band does not make the shopper be there: nothing can be given to them."""
    hands = await page.staff()
    with_band = {**FLOOR["read_points"][0], "training": 60.0}
    change = {"kind": "customer", "op": "upsert", "key": "c-1", "value": {"cart": "k", "consents": ["cart"]}}
    feed = Page("1", False, [Raw(json.dumps(change))])
    await page.database.write(lambda connection: directory.apply(connection, feed, None))

    async def seen() -> tuple[Any, Any]:
        found = await hands["clerk"].ask("GET", "/api/shoppers")
        return found.json["shoppers"], (await hands["clerk"].ask("GET", "/api/shoppers/c-1")).json["sessions"]

    there = {"id": "c-1", "display": None, "here": ["till-1"]}
    assert await seen() == ([there], [{"read_point": "till-1", "left_seconds": 30.0}])
    monkeypatch.setitem(FLOOR, "read_points", [with_band])
    assert await seen() == ([], [])


async def test_there_is_no_training_at_the_desk(page: Kiosk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read there is kept nowhere anyhow."""
    boss = await page.manager()
    assert (await boss.ask("PUT", "/api/read-points/till-1/training", {"on": True})).status == 200
    monkeypatch.setitem(FLOOR, "read_points", [{**FLOOR["read_points"][0], "desk": True}])
    assert (await boss.ask("PUT", "/api/read-points/till-1/training", {"on": True})).code == "not-found"


async def test_files_are_packed_and_asked_for_once(page: Kiosk) -> None:
    browser = await page.browser()
    document = await browser.ask("GET", "/api/openapi.yaml")
    assert document.text.startswith("openapi: 3.1")
    assert document.headers["Content-Encoding"] == "gzip"
    again = await browser.ask("GET", "/api/openapi.yaml", If_None_Match=document.headers["ETag"])
    assert (again.status, again.text) == (304, "")


async def test_raw_requests(page: Kiosk) -> None:
    """What no browser sends."""
    boss = await page.manager()
    cookie = f"cartwire={next(iter(boss.client.cookie_jar)).value}"
    host, _, port = page.base.removeprefix("http://").partition(":")

    def sent(body: bytes, **more: str) -> tuple[int, Any]:
        with closing(http.client.HTTPConnection(host, int(port), timeout=5)) as connection:
            headers = {"Cookie": cookie, "X-CSRF-Token": boss.csrf, "Content-Type": "application/json"} | {
                name.replace("_", "-"): value for name, value in more.items()
            }
            connection.request("PUT", "/api/people/kim", body, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    for body in (b"", b"{", b"\xff", b'"\\ud800"', b"[" * 60_000, b"nan"):
        status, problem = await asyncio.to_thread(sent, body)
        assert (status, problem["code"]) == (400, "bad-request"), body[:10]
    for odd in ({"X_CSRF_Token": "\xff"}, {"Cookie": "cartwire=\xff"}, {"Origin": "\xff"}, {"Content_Type": "\xff"}):
        status, _ = await asyncio.to_thread(sent, b"{}", **odd)
        assert 400 <= status < 500, odd
    with closing(http.client.HTTPConnection(host, int(port), timeout=5)) as connection:
        await asyncio.to_thread(connection.request, "GET", "/api/session", headers={"Cookie": "cartwire=\xff"})
        assert (await asyncio.to_thread(connection.getresponse)).status == 200
