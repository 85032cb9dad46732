"""`cartwire demo`, as somebody starts and ends it: what it prints, what it leaves, whom it lets in."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sys
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from peers.process import Child, free_port, until
from visitor import COMMAND, Demo, running

if TYPE_CHECKING:
    from contextlib import ExitStack

ENDS = 30.0


@pytest.fixture
def here(tmp_path: Path, ended: ExitStack) -> Path:
    """A folder for temporary files; at the end nothing of the demo runs."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    ended.callback(lambda: _kill(folder))
    return folder


def _kill(folder: Path) -> None:
    for pid in running(folder):
        os.kill(pid, signal.SIGKILL)


def started(folder: Path, ended: ExitStack, *options: str) -> Demo:
    demo = Demo(folder, *options)
    ended.callback(demo.child.kill)
    return demo


def ports(demo: Demo) -> list[int]:
    """The ports of the page, the staff's page and all that stands in the gateway's configuration."""
    found = re.findall(r":(\d{4,5})\b", demo.config.read_text() + demo.url + demo.staff)
    return [int(port) for port in found]


def nobody_listens(found: list[int]) -> bool:
    for port in found:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return False
    return True


def nothing_is_left(folder: Path, found: list[int]) -> None:
    until(lambda: not running(folder), lambda: f"still there: {running(folder)}", ENDS)
    assert nobody_listens(found)
    assert list(folder.iterdir()) == []


def ask(
    url: str, path: str, body: object = None, cookie: str = "", host: str = "", **headers: str
) -> tuple[int, dict[str, str], str]:
    """Status, headers, text."""
    to = urlsplit(url)
    headers |= {"Content-Type": "application/json", "Cookie": cookie, "Host": host or to.netloc}
    with closing(HTTPConnection("127.0.0.1", to.port or 0, timeout=20)) as connection:
        method = "GET" if body is None else "POST"
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        shown = {name.lower(): value for name, value in answer.getheaders()}
        stream = shown.get("content-type") == "text/event-stream"
        return answer.status, shown, "" if stream else answer.read().decode()


@pytest.mark.parametrize(("language", "ends"), [("ko", "매장을 닫았습니다."), ("en", "The store is closed.")])
def test_it_opens_soon_and_ctrl_c_closes_all_of_it(
    language: str, ends: str, tmp_path: Path, here: Path, ended: ExitStack
) -> None:
    demo = started(tmp_path, ended, "--language", language)
    print(f"open after {demo.started:.1f} s")
    status, headers, _ = ask(demo.url, "/")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    until(lambda: len(demo.processes()) == 5, lambda: f"broker, platform, gateway, one that looks: {demo.processes()}")
    found = ports(demo)
    assert len(found) >= 5
    assert not nobody_listens(found)
    os.killpg(demo.child.pid, signal.SIGINT)  # a terminal tells the whole group
    assert demo.child.terminate(ENDS, signal.SIGINT) == 0
    assert demo.child.text().endswith(f"{ends}\n")
    assert (tmp_path / "errors").read_text() == ""
    nothing_is_left(here, found)


def test_it_ends_with_who_started_it(tmp_path: Path, here: Path, ended: ExitStack) -> None:
    code = "import subprocess, sys; subprocess.run(sys.argv[1:])"
    parent = Child(["env", f"TMPDIR={here}", sys.executable, "-c", code, *COMMAND], tmp_path / "said")
    ended.callback(parent.kill)
    parent.line("Ctrl-C", 60)
    config = parent.line(r"--config (\S+)")[1]
    found = [int(port) for port in re.findall(r":(\d{4,5})\b", parent.text() + Path(config).read_text())]
    os.kill(parent.pid, signal.SIGKILL)
    until(lambda: not parent.running, "the parent to be dead")
    nothing_is_left(here, found)


def test_when_it_is_killed_its_parts_end_and_the_next_one_tidies_up(
    tmp_path: Path, here: Path, ended: ExitStack
) -> None:
    demo = started(tmp_path, ended)
    os.kill(demo.child.pid, signal.SIGKILL)
    until(lambda: not running(here), lambda: f"still there: {running(here)}", ENDS)
    left = list(here.iterdir())
    assert len(left) == 1
    (tmp_path / "said").unlink()
    again = started(tmp_path, ended)
    assert [path for path in here.iterdir() if path in left] == []
    other = started(tmp_path, ended)
    assert len(list(here.iterdir())) == 2, "of one that runs nothing is touched"
    for each in (again, other):
        assert each.child.terminate(ENDS, signal.SIGINT) == 0
    assert list(here.iterdir()) == []


def test_a_terminal_that_is_closed_closes_it(tmp_path: Path, here: Path, ended: ExitStack) -> None:
    demo = started(tmp_path, ended)
    assert demo.child.terminate(ENDS, signal.SIGHUP) == 0
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("listen", "said"),
    [
        ("nowhere", "demo --listen: is not \"host:port\": 'nowhere'; give HOST:PORT"),
        ("127.0.0.1:{taken}", "demo --listen: 127.0.0.1:{taken} cannot be had (Address already in use)"),
    ],
)
def test_an_address_that_cannot_be_had(listen: str, said: str, tmp_path: Path, here: Path) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as server:
        taken = str(server.getsockname()[1])
        with Child([*COMMAND, "--listen", listen.format(taken=taken)], tmp_path / "o", tmp_path / "e") as demo:
            until(lambda: not demo.running, "the end", 60)
            assert demo.terminate() == 2
    error = (tmp_path / "e").read_text()
    assert error.startswith(f"cartwire: {said.format(taken=taken)}")
    assert error.count("\n") == 1


def test_a_part_that_cannot_be_had_is_said_in_one_line(tmp_path: Path, here: Path, ended: ExitStack) -> None:
    """Files may not get larger than the broker needs them."""
    command = ["sh", "-c", 'ulimit -f 1 && exec "$@"', "sh", "env", f"TMPDIR={here}", *COMMAND]
    demo = Child(command, tmp_path / "o", tmp_path / "e")
    ended.callback(demo.kill)
    until(lambda: not demo.running, "the end", 60)
    assert demo.terminate() == 2
    error = (tmp_path / "e").read_text()
    assert error.startswith("cartwire: demo: ")
    assert error.count("\n") == 1
    assert list(here.iterdir()) == []


def test_others_come_in_by_a_link_that_works_once(tmp_path: Path, here: Path, ended: ExitStack) -> None:
    demo = started(tmp_path, ended, "--listen", "127.0.0.1:0", "--language", "en")
    assert "A link works once, within 10 minutes." in demo.child.text()
    url, _, token = demo.url.partition("/enter#")
    for path in ("/", "/events", "/mqtt", "/phone/cart-minji", "/static/app.js", "/nothing"):
        assert ask(url, path)[0] == 403, path
    for path in ("/acts", "/links", "/phones/cart-minji"):
        assert ask(url, path, {})[0] == 403, path
    assert ask(url, "/enter")[0] == 200
    for wrong in ("", token[:-1], token + "x", "ä"):
        status, _, text = ask(url, "/enter", {"token": wrong})
        assert (status, json.loads(text)) == (403, {"why": "unknown"})

    def enter(token: str) -> str:
        status, headers, _ = ask(url, "/enter", {"token": token})
        assert status == 200
        assert all(word in headers["set-cookie"] for word in ("HttpOnly", "SameSite=Strict"))
        return headers["set-cookie"].partition(";")[0]

    cookie = enter(token)
    assert ask(url, "/enter", {"token": token})[2] == '{"why": "used"}', "a second time"
    assert cookie.startswith(f"cartwire-demo-{urlsplit(url).port}=")
    assert ask(url, "/", cookie=cookie)[0] == 200
    assert ask(url, "/", cookie=f"{cookie}x")[0] == 403
    status, _, text = ask(url, "/links", {"path": "/phone/cart-alex"}, cookie)
    made: dict[str, Any] = json.loads(text)
    assert status == 200
    assert made["url"].startswith(f"{url}/enter#")
    assert made["url"].endswith("/phone/cart-alex")
    other = enter(made["url"].partition("#")[2].partition("/")[0])
    assert other != cookie
    assert ask(url, "/phone/cart-alex", cookie=other)[0] == 200
    assert ask(url, "/links", {"path": "//evil.example"}, cookie)[0] == 400


@pytest.mark.parametrize("listen", ["0.0.0.0", "[::]"])
def test_where_all_addresses_are_open_this_machine_has_a_link_of_its_own(
    listen: str, tmp_path: Path, here: Path, ended: ExitStack
) -> None:
    """Camera and staff's page want 127.0.0.1; the others are told an address of this machine's."""
    demo = started(tmp_path, ended, "--listen", f"{listen}:0", "--language", "en")
    others = demo.child.line(r"^  other devices  (http://\S+)$")[1]
    url, _, token = demo.url.partition("/enter#")
    assert urlsplit(url).hostname == "127.0.0.1"
    assert urlsplit(others).port == urlsplit(url).port
    for one in (token, others.partition("/enter#")[2]):
        assert ask(url, "/enter", {"token": one})[0] == 200
    if ":" in listen:
        with socket.create_connection(("::1", urlsplit(url).port or 0), timeout=20):
            pass


def test_another_page_asks_in_vain_and_nonsense_is_said_to_be(tmp_path: Path, here: Path, ended: ExitStack) -> None:
    demo = started(tmp_path, ended)
    day = {"do": "day", "on": False}
    assert ask(demo.url, "/acts", day)[0] == 200
    assert ask(demo.url, "/acts", day, Origin="http://evil.example")[0] == 403
    assert ask(demo.url, "/mqtt", Origin="http://evil.example")[0] == 403
    assert ask(demo.url, "/events", **{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"})[0] == 403
    assert ask(demo.url, "/", **{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"})[0] == 200
    for host in ("evil.example", "127.0.0.1.evil.example", "[::1"):
        assert ask(demo.url, "/", host=host)[0] == 421, host
    for body in (
        [],
        {"do": "dance"},
        {"do": "tap", "read_point": "roof", "customer": "c-1001"},
        {"do": "tap", "read_point": "till-1", "customer": "c-1005"},
        {"do": "tap", "read_point": "till-1", "customer": None},
        {"do": "scan", "customer": "c-1001", "text": "88010460\n"},
        {"do": "switch", "name": "sun", "on": False},
    ):
        assert ask(demo.url, "/acts", body)[0] == 400, body
    for path in ("/static/../stage.py", "/static/%2e%2e/stage.py", "/static/vendor/lit-html/../../app.css", "/x"):
        assert ask(demo.url, path)[0] == 404, path
    policy = ask(demo.url, "/")[1]["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'")
    assert "unsafe" not in policy
    assert f"frame-src {demo.staff};" in policy


def test_who_taps_stands_there_though_nobody_reads(tmp_path: Path, here: Path, ended: ExitStack) -> None:
    demo = started(tmp_path, ended)

    def act(**what: object) -> dict[str, Any]:
        return dict(json.loads(ask(demo.url, "/acts", what)[2]))

    scan = {"do": "scan", "customer": "c-1001", "text": "8801046000007"}
    assert act(**scan) == {"at": None, "read": False}, "held up nowhere"
    act(do="switch", name="power", on=False)
    assert act(do="tap", customer="c-1001", read_point="till-1") == {"at": "till-1", "read": False}
    assert act(**scan) == act(do="stranger", customer="c-1001") == {"at": "till-1", "read": False}


def listening(folder: Path) -> set[int]:
    """All ports on which somebody of the demo listens, whatever for."""
    sockets = set()
    for pid in running(folder):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):  # closed meanwhile
                sockets |= set(re.findall(r"socket:\[(\d+)\]", str(link.readlink())))
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A" and row[9] in sockets}


def test_no_port_lets_a_page_from_elsewhere_in(tmp_path: Path, here: Path, ended: ExitStack) -> None:
    """Neither by a WebSocket, for which a browser asks nobody, nor by a request."""
    demo = started(tmp_path, ended)
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    upgrade |= {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Protocol": "mqtt"}
    found = listening(here)
    assert found >= set(ports(demo))
    for port in found:
        for path in ("/mqtt", "/sandbox/events"):
            url = f"http://127.0.0.1:{port}"
            with suppress(HTTPException, OSError):  # no HTTP at all
                status, headers, text = ask(url, path, Origin="http://evil.example", **upgrade)
                assert status in (403, 404), (port, path, status, text)
                assert "access-control-allow-origin" not in headers
    url = demo.url.rstrip("/")
    status, headers, _ = ask(url, "/mqtt", Origin=url, **upgrade)
    assert (status, headers["sec-websocket-protocol"]) == (101, "mqtt")


def scene(url: str) -> dict[str, Any]:
    """The first picture that the page is sent."""
    with closing(HTTPConnection("127.0.0.1", urlsplit(url).port or 0, timeout=20)) as connection:
        connection.request("GET", "/events")
        answer = connection.getresponse()
        while answer.readline() != b"event: scene\n":
            pass
        shown: dict[str, Any] = json.loads(answer.readline().partition(b": ")[2])
        return shown


def test_a_phones_report_that_makes_no_sense_is_refused_and_changes_nothing(
    tmp_path: Path, here: Path, ended: ExitStack
) -> None:
    demo = started(tmp_path, ended)
    data = {"customer": "c-1001", "cart": "cart-minji", "read_point": "till-1", "gtin": "08801046000007"}
    data["product"] = None  # type: ignore[assignment]
    event = {"id": "e", "type": "cartwire.cart.item_added.v1", "time": "2026-11-21T09:12:45.123Z", "data": data}
    report = {"phone": "p", "from": 0, "took": [event]}
    for wrong, said in (
        ({}, "missing required field `phone`"),
        (report | {"from": -1}, "`$.from`"),
        (report | {"took": [event | {"data": {**data, "cart": 1}}]}, "`$.took[0].data.cart`"),
        (report | {"took": [event | {"data": {"gtin": "08801046000007"}}]}, "missing required field `customer`"),
        (report | {"took": [event | {"time": "yesterday"}]}, "`$.took[0].time`"),
        (report | {"took": [event | {"type": "cartwire.cart.item_confirmed.v1"}]}, "`$.took[0].type`"),
    ):
        status, _, text = ask(demo.url, "/phones/cart-minji", wrong)
        assert (status, said in text, text.count("\n")) == (400, True, 1), text
    status, _, text = ask(demo.url, "/phones/x", report)
    assert (status, text) == (400, "there is no cart 'x' here\n")
    assert scene(demo.url)["counts"]["accepted"] == 0
    assert ask(demo.url, "/phones/cart-minji", report)[0] == 200
    until(lambda: scene(demo.url)["counts"]["accepted"] == 1, "one item")


def test_the_gateway_is_cartwire_run_with_a_plain_configuration(tmp_path: Path, here: Path, ended: ExitStack) -> None:
    """All that it is told stands in a file that `cartwire check` finds usable, and its events are read by a command."""
    demo = started(tmp_path, ended)
    lines = demo.processes()
    assert any(re.search(rf"edge\.cli run --config {demo.config} ?$", line) for line in lines), lines
    check = Child([COMMAND[0], "check", "--config", str(demo.config)], tmp_path / "check")
    ended.callback(check.kill)
    until(lambda: not check.running, "the check", 60)
    parts = {part: mark for mark, part in re.findall(r"^(ok|BAD) +(\S+)", check.text(), re.MULTILINE)}
    parts.pop("clock")  # is this machine's
    assert parts == dict.fromkeys(("disk", "broker", "platform", "replay@table-1"), "ok"), check.text()
