"""The staff's page of the real daemon: who may use it, from the first start on."""

from __future__ import annotations

import json
import re
import tomllib
from contextlib import closing
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

from peers.process import until

if TYPE_CHECKING:
    from peers.store import Store

SECRET = "a secret of the boss"


class Page:
    """A browser's side of one session."""

    def __init__(self, store: Store) -> None:
        """Begin without a cookie."""
        listen = tomllib.loads(store.config.read_text())["kiosk"]["listen"]
        self.port = int(listen.rpartition(":")[2])
        self.headers: dict[str, str] = {}

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Return status and JSON; what the page is told of cookie and token it sends from then on."""
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {"Content-Type": "application/json", **self.headers})
            answer = connection.getresponse()
            text = answer.read()
        if cookie := answer.getheader("Set-Cookie"):
            self.headers["Cookie"] = cookie.partition(";")[0]
        said = json.loads(text) if text else None
        if answer.status < 300 and path in ("/api/session", "/api/setup") and said:
            self.headers["X-CSRF-Token"] = said["csrf"]
        return answer.status, said


def codes(store: Store) -> list[str]:
    """Return the setup codes that the daemon has printed so far."""
    return re.findall(r"open http://\S+, the setup code is (\d{4} \d{4})", store.log.read_text())


def test_from_the_first_start_to_the_third(store: Store) -> None:
    store.start()
    store.ready()
    (lost,) = until(lambda: codes(store), "a setup code")
    store.kill()
    store.start()
    store.ready()
    _, code = until(lambda: len(codes(store)) == 2 and codes(store), "another one")
    page = Page(store)
    assert page.ask("GET", "/api/session")[1]["setup"] is True
    first = {"name": "boss", "secret": SECRET}
    assert page.ask("POST", "/api/setup", {"code": lost, **first})[0] == 403
    assert page.ask("POST", "/api/setup", {"code": code, **first})[0] == 201
    assert page.ask("PUT", "/api/people/kim", {"role": "clerk", "secret": "4711"})[0] == 201
    assert page.ask("GET", "/api/floor")[0] == 200
    assert page.ask("GET", "/api/status")[0] == 200
    store.kill()
    store.start()
    store.ready()
    assert page.ask("GET", "/api/floor")[0] == 401
    assert len(codes(store)) == 2
    kim = Page(store)
    assert kim.ask("GET", "/api/session")[1]["people"] == ["boss", "kim"]
    assert kim.ask("POST", "/api/session", {"name": "kim", "secret": "4711"})[1]["person"]["role"] == "clerk"
    assert kim.ask("GET", "/api/people")[1]["code"] == "forbidden"


def test_a_dismissed_person_is_out_after_ten_seconds_and_one_may_think_again(store: Store) -> None:
    store.start()
    store.ready()
    (code,) = until(lambda: codes(store), "a setup code")
    boss, kim = Page(store), Page(store)
    boss.ask("GET", "/api/session")
    boss.ask("POST", "/api/setup", {"code": code, "name": "boss", "secret": SECRET})
    boss.ask("PUT", "/api/people/kim", {"role": "clerk", "secret": "4711"})
    kim.ask("GET", "/api/session")
    assert kim.ask("POST", "/api/session", {"name": "kim", "secret": "4711"})[0] == 200
    assert boss.ask("DELETE", "/api/people/boss")[1]["code"] == "last-manager"
    status, intent = boss.ask("DELETE", "/api/people/kim")
    assert (status, intent["action"], intent["name"]) == (202, "dismiss", "kim")
    assert boss.ask("DELETE", f"/api/intents/{intent['id']}")[0] == 204
    boss.ask("DELETE", "/api/people/kim")
    assert kim.ask("GET", "/api/floor")[0] == 200
    until(lambda: kim.ask("GET", "/api/floor")[0] == 401, "kim to be out", 15)
    assert kim.ask("POST", "/api/session", {"name": "kim", "secret": "4711"})[1]["code"] == "wrong-secret"
