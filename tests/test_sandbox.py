"""The sandbox platform as others meet it: a process, its HTTP, its data folder."""

import contextlib
import gzip
import hashlib
import hmac
import http.client
import json
import queue
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

BATCH = {"Content-Type": "application/cloudevents-batch+json"}
GZIP = {"Content-Encoding": "gzip"}
JOURNAL = "019aa2f0-0000-7000-8000-00000000000a"
SESSION = "019aa2f0-0000-7000-8000-0000000000aa"
SOURCE = "/stores/gangnam/gateways/gw-1"
PSEUDONYM = "9f2c" * 16
LIMITS = {"batch": True, "maxBatch": 500, "maxBytes": 1048576}
BOOT = "7c0e0000-0000-4000-8000-000000000000"
Json = dict[str, Any]


class Answer:
    """Status, headers and body of one answer."""

    def __init__(self, raw: http.client.HTTPResponse) -> None:
        self.status, self.headers, self.text = raw.status, raw.headers, raw.read().decode()

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Sandbox:
    """One process over a data folder; it can be killed and started again."""

    def __init__(self, data: Path, *options: str) -> None:
        self.data, self.options, self.log = data, options, data.with_suffix(".stderr")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """It ends cleanly and had nothing to complain about."""
        code = self.end(signal.SIGTERM)
        assert (code, self.log.read_text()) == (0, "")

    def start(self) -> None:
        command = [
            sys.executable,
            "-m",
            "edge.demo.sandbox",
            "--listen",
            "127.0.0.1:0",
            "--data",
            str(self.data),
        ]
        with self.log.open("a") as log:
            self.process = subprocess.Popen([*command, *self.options], stdout=subprocess.PIPE, stderr=log, text=True)
        assert self.process.stdout
        ready, _, _ = select.select([self.process.stdout], [], [], 20)
        line = self.process.stdout.readline() if ready else ""
        assert line.startswith("listening on http://127.0.0.1:"), line + self.log.read_text()
        self.port = int(line.rpartition(":")[2])

    def end(self, name: signal.Signals) -> int:
        self.process.send_signal(name)
        code = self.process.wait(20)
        assert self.process.stdout
        self.process.stdout.close()
        return code

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        wait: float = 20,
    ) -> Answer:
        """One request on a connection of its own; `body` is bytes, or sent as JSON."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=wait)) as line:
            line.request(method, path, data, headers or {})
            return Answer(line.getresponse())

    def post(self, *events: Any, headers: dict[str, str] | None = None, wait: float = 20) -> Answer:
        """A batch of events, or the bytes of one."""
        data = events[0] if events and isinstance(events[0], bytes) else json.dumps(events).encode()
        return self.ask("POST", "/v1/events", data, BATCH | (headers or {}), wait)

    def results(self, *events: Json) -> list[str]:
        """What becomes of each event of a batch."""
        answer = self.post(*events)
        assert answer.status == 200, answer.text
        assert [each["id"] for each in answer.json["results"]] == [each["id"] for each in events]
        return [each["status"] for each in answer.json["results"]]

    def stored(self) -> list[str]:
        """Ids in the order of arrival."""
        return [each["event"]["id"] for each in self.ask("GET", "/sandbox/events").json["events"]]

    def problems(self) -> list[Json]:
        return list(self.ask("GET", "/sandbox/problems").json["problems"])

    def rules(self) -> list[str]:
        return [each["rule"] for each in self.problems()]

    def noted(self, event: Json) -> list[str]:
        """The rules of the problems that come with an event, which is accepted all the same."""
        before = len(self.problems())
        assert self.results(event) == ["accepted"]
        return self.rules()[before:]

    def feed(self, *changes: Json, store: str = "*") -> Json:
        answer = self.ask("POST", "/sandbox/changes", {"store": store, "changes": changes})
        assert answer.status == 200, answer.text
        return dict(answer.json)

    def pull(self, since: str | None = None, limit: int = 500, store: str = "gangnam") -> Json:
        """One page."""
        tail = "" if since is None else f"&since={since}"
        answer = self.ask("GET", f"/v1/stores/{store}/changes?limit={limit}{tail}")
        assert answer.status == 200, answer.text
        return dict(answer.json)

    def plan(self, do: str, path: str = "/v1/events", **more: Any) -> None:
        answer = self.ask("POST", "/sandbox/faults", {"path": path, "do": do, **more})
        assert answer.status == 200, answer.text


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """A sandbox as a demo starts it."""
    with Sandbox(tmp_path / "data") as it:
        yield it


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[Sandbox]:
    """A sandbox as the tests of a gateway start it."""
    with Sandbox(tmp_path / "data", "--strict") as it:
        yield it


def name(number: int) -> str:
    """A UUIDv7."""
    return f"019aa2f1-0000-7000-8000-{number:012x}"


def event(number: int, kind: str = "cart.item_added", data: Json | None = None, **envelope: Any) -> Json:
    """A correct event; `number` is its id and its `seq`."""
    data = item() if data is None else data
    subject = {"subject": f"customers/{data['customer']}"} if data.get("customer") else {}
    return {
        "specversion": "1.0",
        "id": name(number),
        "source": SOURCE,
        "type": f"cartwire.{kind}.v1",
        **subject,
        "time": "2026-11-21T09:12:45.123Z",
        "datacontenttype": "application/json",
        "journal": JOURNAL,
        "seq": number,
        "bootid": BOOT,
        "clockok": True,
        "data": data,
        **envelope,
    }


def item(**more: Any) -> Json:
    """The data of an item_added."""
    return {
        "customer": "c-1001",
        "cart": "k7f3a9",
        "session": SESSION,
        "read_point": "till-1",
        "gtin": "08801045600130",
        "quantity": 1,
        "symbology": "EAN13",
        "product": {"name": "Ramyun", "price": {"amount": "12900", "currency": "KRW"}},
        **more,
    }


def without(data: Json, *names: str) -> Json:
    return {each: value for each, value in data.items() if each not in names}


def upsert(kind: str, key: str, **value: Any) -> Json:
    return {"kind": kind, "op": "upsert", "key": key, "value": value}


def delete(kind: str, key: str) -> Json:
    return {"kind": kind, "op": "delete", "key": key}


def apply(state: dict[tuple[str, str], Json], page: Json) -> None:
    """What a gateway does with a page."""
    for change in page["changes"]:
        if change["op"] == "delete":
            state.pop((change["kind"], change["key"]), None)
        else:
            state[change["kind"], change["key"]] = change["value"]


# Events


def test_what_was_accepted_outlives_kill_9_and_is_kept_once(tmp_path: Path) -> None:
    box = Sandbox(tmp_path / "data")
    box.start()
    answered: queue.Queue[int] = queue.Queue()

    def send_until_it_dies() -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            for number in range(1, 100_000):
                assert box.results(event(number)) == ["accepted"]
                answered.put(number)

    sender = threading.Thread(target=send_until_it_dies)
    sender.start()
    accepted = [answered.get(timeout=20) for _ in range(25)]
    box.end(signal.SIGKILL)
    sender.join(20)
    accepted += [answered.get_nowait() for _ in range(answered.qsize())]
    with box:
        stored = box.stored()
        assert stored[: len(accepted)] == [name(number) for number in accepted]
        assert len(stored) - len(accepted) in (0, 1)  # one may be committed and not answered
        again = [event(number) for number in accepted[-25:]]
        assert box.results(*again, event(999_999)) == ["duplicate"] * 25 + ["accepted"]
        assert box.stored() == [*stored, name(999_999)]


def test_events_come_back_byte_for_byte_in_the_order_of_arrival_with_their_copies(
    sandbox: Sandbox,
) -> None:
    texts = [json.dumps(event(number, data=item(product=None, note="{[가\\u0041]}"))) for number in (2, 1)]
    odd = texts[0].replace(": ", " :  ").encode()
    assert sandbox.post(b" [ " + odd + b" ,\n" + texts[1].encode() + b"]\n").status == 200
    assert sandbox.results(json.loads(texts[1])) == ["duplicate"]
    answer = sandbox.ask("GET", "/sandbox/events")
    assert [(each["n"], each["copies"]) for each in answer.json["events"]] == [(1, 1), (2, 2)]
    assert odd.decode() in answer.text
    assert texts[1] in answer.text
    assert [each["n"] for each in sandbox.ask("GET", "/sandbox/events?since=1").json["events"]] == [2]


def test_one_batch_may_hold_an_event_twice(sandbox: Sandbox) -> None:
    assert sandbox.results(event(1), event(1)) == ["accepted", "duplicate"]
    assert sandbox.ask("GET", "/sandbox/events").json["events"][0]["copies"] == 2


def test_the_same_id_from_another_source_is_another_event(sandbox: Sandbox) -> None:
    other = event(1, source="/stores/gangnam/gateways/gw-2")
    assert sandbox.results(event(1), other) == ["accepted", "accepted"]


def test_other_content_under_a_known_id_is_refused_and_noted(sandbox: Sandbox) -> None:
    sandbox.results(event(1))
    for changed in ({"seq": 2}, {"clockok": 1}, {"seq": 1.0}, {"extra": None}):
        assert sandbox.results(event(1, **changed)) == ["rejected"]
    assert [(each["rule"], each["id"]) for each in sandbox.problems()] == [("resend", name(1))] * 4
    assert sandbox.ask("GET", "/sandbox/events").json["events"] == [{"n": 1, "event": event(1), "copies": 1}]


def test_the_same_json_in_other_bytes_is_a_duplicate_that_strict_mode_notes(
    strict: Sandbox,
) -> None:
    strict.results(event(1))
    assert strict.post(json.dumps([event(1)], indent=1).encode()).json["results"][0]["status"] == "duplicate"
    assert strict.rules() == ["resend"]


def test_what_is_no_batch_is_answered_400_as_problem_json(sandbox: Sandbox) -> None:
    bodies = [
        b"",
        b"[",
        b"{}",
        b"[1]",
        b"[{}]",
        b'[{"id":1}]',
        b'[{"id":"a"}] x',
        b'[{"id":"a","n":NaN}]',
        b"\xff",
    ]
    bodies += [b'[{"id":"\\ud800"}]', b'[{"id":"a"},]', b'\xef\xbb\xbf[{"id":"a"}]', b"[" * 99_999]
    for body in bodies:
        answer = sandbox.post(body)
        assert (body, answer.status) == (body, 400)
        assert answer.headers["Content-Type"].partition(";")[0] == "application/problem+json"
        assert {"type", "title", "status", "detail"} <= answer.json.keys()
    assert sandbox.stored() == []


def test_one_bad_event_leaves_nothing_of_a_refused_batch(sandbox: Sandbox) -> None:
    assert sandbox.post(event(1), 5).status == 400
    assert sandbox.stored() == []


def test_an_event_without_source_is_rejected_alone(sandbox: Sandbox) -> None:
    assert sandbox.results(event(1), without(event(2), "source")) == ["accepted", "rejected"]


def test_what_is_not_known_is_kept(sandbox: Sandbox) -> None:
    strange = {
        "id": "x",
        "source": "y",
        "later": [1],
        "seq": 10**30,
        "type": 7,
        "data": "text",
        "journal": {},
    }
    assert sandbox.results(strange) == ["accepted"]
    assert sandbox.ask("GET", "/sandbox/events").json["events"][0]["event"] == strange
    assert sandbox.problems() == []


def test_gzip_is_understood(strict: Sandbox) -> None:
    packed = gzip.compress(json.dumps([event(1)]).encode())
    assert strict.post(packed, headers=GZIP).json["results"][0]["status"] == "accepted"
    assert strict.results(event(1)) == ["duplicate"]
    assert strict.problems() == []


def test_torn_gzip_is_answered_400(sandbox: Sandbox) -> None:
    packed = gzip.compress(json.dumps([event(1)]).encode())
    for harmed in (
        packed[:-20],
        b"no gzip at all",
        packed[:30] + b"\xff" * 20,
        packed[:-4],
        packed + b"x",
    ):
        assert (harmed, sandbox.post(harmed, headers=GZIP).status) == (harmed, 400)
    assert sandbox.stored() == []


def test_a_gzip_bomb_is_answered_413(sandbox: Sandbox) -> None:
    assert sandbox.post(gzip.compress(b" " * (64 << 20)), headers=GZIP).status == 413


def test_more_events_than_announced_are_answered_413(sandbox: Sandbox) -> None:
    limits = sandbox.ask("GET", "/v1/capabilities").json
    assert limits == LIMITS
    small = [{"id": str(number), "source": "s"} for number in range(501)]
    assert sandbox.post(*small).status == 413
    assert sandbox.stored() == []
    assert sandbox.results(*small[:500]) == ["accepted"] * 500


def test_more_bytes_than_announced_are_answered_413_however_well_they_pack(
    sandbox: Sandbox,
) -> None:
    full = json.dumps([event(1)]).encode()
    full += b" " * (1048576 - len(full))
    assert sandbox.post(gzip.compress(full + b" "), headers=GZIP).status == 413
    assert sandbox.post(full + b" ").status == 413
    assert sandbox.post(full).status == 200


def test_other_capabilities_are_announced_kept_to_and_remembered(tmp_path: Path) -> None:
    with Sandbox(tmp_path / "data") as box:
        one = {"batch": False, "maxBatch": 500, "maxBytes": 2000}
        assert box.ask("PUT", "/sandbox/capabilities", {**one, "maxBatch": 0}).status == 400
        assert box.ask("PUT", "/sandbox/capabilities", one).status == 200
    with Sandbox(tmp_path / "data") as box:
        assert box.ask("GET", "/v1/capabilities").json == one
        assert box.post(event(1), event(2)).status == 413
        assert box.post(event(1)).status == 200
        assert box.post(event(2, note="x" * 2000)).status == 413


def test_another_content_type_or_encoding_is_refused(strict: Sandbox) -> None:
    assert strict.post(event(1), headers={"Content-Encoding": "br"}).status == 415
    assert strict.post(event(1), headers={"Content-Type": "application/json"}).status == 415
    assert strict.post(event(1), headers={"Content-Type": BATCH["Content-Type"] + "; charset=utf-8"}).status == 200
    assert strict.rules() == ["request"] * 2


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 403),
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1.evil.example"}, 421),
        ({"Host": "[::1"}, 421),
        ({"Host": "localhost:1"}, 200),
        ({"Host": "[::1]:1"}, 200),
        ({"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}, 200),
    ],
)
def test_a_page_in_a_browser_has_nothing_to_ask(strict: Sandbox, headers: dict[str, str], status: int) -> None:
    """Whatever it asks; what somebody types into the address bar is answered, and it is no problem of the gateway's."""
    assert strict.ask("GET", "/sandbox/events", headers=headers).status == status
    body = {"store": "*", "changes": [{"kind": "customer", "op": "delete", "key": "c-1"}]}
    assert strict.ask("POST", "/sandbox/changes", body, headers).status == status
    assert strict.post(event(1), headers=headers).status == status
    assert len(strict.stored()) == (status == 200)
    assert strict.rules() == []


def test_a_request_that_ends_in_the_middle_leaves_nothing(sandbox: Sandbox) -> None:
    body = json.dumps([event(1)]).encode()
    head = [
        "POST /v1/events HTTP/1.1",
        "Host: localhost",
        f"Content-Type: {BATCH['Content-Type']}",
        f"Content-Length: {len(body)}",
    ]
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=20) as line:
        line.sendall("\r\n".join([*head, "", ""]).encode() + body[:-1])
    for _ in range(1000):
        if counts := sandbox.ask("GET", "/sandbox/requests").json["requests"]:
            break
    assert counts == [{"method": "POST", "path": "/v1/events", "status": 0, "count": 1}]
    assert sandbox.stored() == []
    assert sandbox.results(event(1)) == ["accepted"]


def test_a_reader_can_wait_for_the_next_event(sandbox: Sandbox) -> None:
    sandbox.results(event(1))
    found: queue.Queue[Answer] = queue.Queue()
    reader = threading.Thread(target=lambda: found.put(sandbox.ask("GET", "/sandbox/events?since=1&wait=20")))
    reader.start()
    with pytest.raises(queue.Empty):
        found.get(timeout=0.2)
    sandbox.results(event(2))
    assert [each["n"] for each in found.get(timeout=10).json["events"]] == [2]
    reader.join(20)
    assert sandbox.ask("GET", "/sandbox/events?since=2&wait=0").json == {"events": []}


# The feed


def test_a_store_gets_its_state_then_what_changed(sandbox: Sandbox) -> None:
    sandbox.feed(
        upsert("product", "1", name="old"),
        upsert("product", "2", name="gone"),
        upsert("customer", "c", cart="k"),
    )
    sandbox.feed(upsert("product", "1", name="new"), delete("product", "2"))
    page = sandbox.pull()
    assert page["changes"] == [
        upsert("customer", "c", cart="k"),
        upsert("product", "1", name="new"),
    ]
    assert page["more"] is False
    assert sandbox.pull(page["cursor"])["changes"] == []
    news = [
        upsert("product", "3", name="x"),
        delete("product", "1"),
        upsert("product", "3", name="y"),
    ]
    sandbox.feed(*news)
    after = sandbox.pull(page["cursor"])
    assert (after["changes"], after["more"]) == (news, False)
    assert sandbox.pull(page["cursor"])["changes"] == news  # a page may be asked for again
    assert sandbox.pull(after["cursor"])["changes"] == []


def test_deltas_come_in_pages(sandbox: Sandbox) -> None:
    cursor = sandbox.pull()["cursor"]
    news = [upsert("product", str(number), name="x") for number in range(5)]
    sandbox.feed(*news)
    found, sizes, more = [], [], True
    while more:
        page = sandbox.pull(cursor, limit=2)
        cursor, more = page["cursor"], page["more"]
        found += page["changes"]
        sizes.append(len(page["changes"]))
    assert (found, sizes) == (news, [2, 2, 1])


def test_a_full_pull_is_one_moment_whatever_comes_in_between(sandbox: Sandbox) -> None:
    first = {str(number): {"name": f"name {number}"} for number in range(9)}
    sandbox.feed(*(upsert("product", key, **value) for key, value in first.items()))
    page = sandbox.pull(limit=2)
    state: dict[tuple[str, str], Json] = {}
    apply(state, page)
    told: list[Json] = list(page["changes"])
    for number in range(20):
        if not page["more"]:
            break
        if number < 4:  # one told before, one not told yet, one that is new, one that goes
            sandbox.feed(
                upsert("product", "0", name=f"now {number}"),
                upsert("product", "8", name=f"now {number}"),
            )
            sandbox.feed(upsert("product", f"new {number}", name="new"), delete("product", str(7 - number)))
        page = sandbox.pull(page["cursor"], limit=2)
        apply(state, page)
        told += page["changes"]
    else:
        pytest.fail("the pull has no end")
    assert told[:9] == [upsert("product", key, **value) for key, value in first.items()]
    assert len(told) == 9 + 16
    fresh: dict[tuple[str, str], Json] = {}
    apply(fresh, sandbox.pull())
    assert state == fresh
    assert fresh["product", "8"] == {"name": "now 3"}
    assert ("product", "7") not in fresh


def test_a_change_is_for_one_store_or_for_all(sandbox: Sandbox) -> None:
    cursors = {store: sandbox.pull(store=store)["cursor"] for store in ("gangnam", "mapo")}
    sandbox.feed(upsert("product", "1", name="all"))
    sandbox.feed(upsert("product", "1", name="here"), store="gangnam")
    for since in (None, "deltas"):
        pages = {store: sandbox.pull(cursor if since else None, store=store) for store, cursor in cursors.items()}
        assert pages["gangnam"]["changes"][-1]["value"] == {"name": "here"}
        assert pages["mapo"]["changes"] == [upsert("product", "1", name="all")]


def test_cursors_and_changes_outlive_kill_9(tmp_path: Path) -> None:
    box = Sandbox(tmp_path / "data")
    box.start()
    box.feed(*(upsert("product", str(number), name="x") for number in range(3)))
    page = box.pull(limit=2)
    box.feed(upsert("product", "9", name="x"))
    box.end(signal.SIGKILL)
    with box:
        rest = box.pull(page["cursor"], limit=2)
        assert [change["key"] for change in rest["changes"]] == ["2"]
        assert rest["more"] is True
        assert [change["key"] for change in box.pull(rest["cursor"])["changes"]] == ["9"]


def test_expired_cursors_answer_410_also_in_the_middle_of_a_pull_and_after_a_restart(
    tmp_path: Path,
) -> None:
    box = Sandbox(tmp_path / "data")
    with box:
        box.feed(*(upsert("product", str(number), name="x") for number in range(3)))
        cursors = [box.pull()["cursor"], box.pull(limit=1)["cursor"]]
        assert box.ask("POST", "/sandbox/expire").status == 200
        fresh = box.pull()["cursor"]
    with box:
        assert [box.ask("GET", f"/v1/stores/gangnam/changes?since={each}").status for each in cursors] == [410, 410]
        assert box.pull(fresh)["changes"] == []


def test_cursors_of_others_answer_410(tmp_path: Path, strict: Sandbox) -> None:
    with Sandbox(tmp_path / "other") as other:
        elsewhere = other.pull()["cursor"]
    neighbour = strict.pull(store="mapo")["cursor"]
    for cursor in (elsewhere, neighbour):
        assert strict.ask("GET", f"/v1/stores/gangnam/changes?since={cursor}").status == 410
    assert strict.problems() == []
    for cursor in ("", "None", "42", "bnVsbA==", "WzEsMiwzXQ==", "%ff"):
        assert strict.ask("GET", f"/v1/stores/gangnam/changes?since={cursor}").status == 410
    assert strict.rules() == ["request"] * 6


def test_a_pull_the_contract_does_not_name_is_answered_400(strict: Sandbox) -> None:
    paths = [
        "gangnam/changes?limit=0",
        "gangnam/changes?limit=x",
        "gangnam/changes?limit=-1",
        "Gangnam/changes",
    ]
    assert [strict.ask("GET", f"/v1/stores/{path}").status for path in [*paths, "*/changes"]] == [400] * 5
    assert strict.rules() == ["request"] * 5


def test_changes_are_appended_all_or_none(sandbox: Sandbox) -> None:
    for change in (
        5,
        {},
        {"kind": "product", "op": "upsert", "key": "1"},
        {"kind": "product", "op": "upsert", "key": "1", "value": 3},
        {"kind": "product", "op": "upsert", "key": 1, "value": {}},
        {"kind": "product", "op": "put", "key": "1", "value": {}},
        upsert("identifier", "nfc:04A1B2C3D4E5F6", type="nfc", customer="c"),  # there is no key file
    ):
        body = {"store": "*", "changes": [upsert("product", "1", name="x"), change]}
        assert (change, sandbox.ask("POST", "/sandbox/changes", body).status) == (change, 400)
    assert sandbox.ask("POST", "/sandbox/changes", {"store": "A", "changes": []}).status == 400
    assert sandbox.pull()["changes"] == []


def test_unknown_kinds_and_fields_of_changes_are_passed_on(sandbox: Sandbox) -> None:
    strange = {
        "kind": "coupon",
        "op": "upsert",
        "key": "1",
        "value": {"cart": "no such form!"},
        "later": 1,
    }
    sandbox.feed(strange)
    assert sandbox.pull()["changes"] == [strange]


def test_resolve_tells_who_has_a_pseudonym(strict: Sandbox) -> None:
    def ask() -> Answer:
        return strict.ask("POST", "/v1/identifiers/resolve", {"pseudonym": PSEUDONYM})

    assert ask().status == 404
    strict.feed(upsert("identifier", PSEUDONYM, type="nfc", customer="c-1"))
    assert ask().status == 404  # its customer is unknown
    strict.feed(upsert("customer", "c-1", cart="k1", consents=["cart"]))
    assert ask().json == {
        "customer": {"id": "c-1", "cart": "k1", "consents": ["cart"]},
        "identifier": {"type": "nfc", "customer": "c-1"},
    }
    strict.feed(delete("identifier", PSEUDONYM))
    assert ask().status == 404
    assert strict.problems() == []


def test_resolve_takes_a_pseudonym(strict: Sandbox) -> None:
    for body in ({}, {"pseudonym": "04A1B2C3D4E5F6"}, {"pseudonym": 1}, []):
        assert strict.ask("POST", "/v1/identifiers/resolve", body).status == 400
    assert strict.rules() == ["request"] * 4


def test_resolve_answers_as_usual_to_more_than_a_pseudonym_and_notes_it(strict: Sandbox) -> None:
    strict.feed(upsert("identifier", PSEUDONYM, type="nfc", customer="c-1"), upsert("customer", "c-1", cart="k1"))
    body = {"pseudonym": PSEUDONYM, "type": "nfc"}
    assert strict.ask("POST", "/v1/identifiers/resolve", body).status == 200
    assert [each["detail"] for each in strict.problems()] == ["POST /v1/identifiers/resolve: type is not named"]


def test_with_the_chains_key_raw_identifiers_become_pseudonyms_before_they_are_kept(
    tmp_path: Path,
) -> None:
    key = bytes(range(32)) + b"\n"
    (tmp_path / "key").write_bytes(key)
    with Sandbox(tmp_path / "data", "--key-file", str(tmp_path / "key")) as box:
        pseudonym = hmac.new(key, b"nfc:04A1B2C3D4E5F6", hashlib.sha256).hexdigest()
        assert box.feed(upsert("identifier", "nfc:04A1B2C3D4E5F6", type="nfc", customer="c"))["keys"] == [pseudonym]
        assert box.pull()["changes"] == [upsert("identifier", pseudonym, type="nfc", customer="c")]
    assert b"04A1B2C3D4E5F6" not in b"".join(each.read_bytes() for each in (tmp_path / "data").iterdir())


# The bearer token


def test_without_the_token_nothing_is_answered_but_401(tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(b"secret\n")
    with Sandbox(tmp_path / "data", "--strict", "--token-file", str(tmp_path / "token")) as box:
        right, wrong = {"Authorization": "Bearer secret"}, {"Authorization": "Bearer Secret"}
        for each in ({}, wrong):
            for method, path in [
                ("GET", "/v1/capabilities"),
                ("GET", "/sandbox/events"),
                ("POST", "/sandbox/expire"),
            ]:
                answer = box.ask(method, path, headers=each)
                assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
            assert box.post(event(1), headers=each).status == 401
        assert box.post(event(1), headers=right).json["results"][0]["status"] == "accepted"
        problems = box.ask("GET", "/sandbox/problems", headers=right).json["problems"]
        assert len(problems) == 2  # a request without any token is misuse, one with a wrong token is a setting
        assert {each["rule"] for each in problems} == {"request"}


# Faults


def test_status_is_answered_as_often_as_planned_and_nothing_is_stored(sandbox: Sandbox) -> None:
    sandbox.plan("status", status=429, times=2, headers={"Retry-After": "7"})
    for _ in range(2):
        answer = sandbox.post(event(1))
        assert (answer.status, answer.headers["Retry-After"]) == (429, "7")
        assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert sandbox.stored() == []
    assert sandbox.results(event(1)) == ["accepted"]


def test_a_status_can_have_any_body(sandbox: Sandbox) -> None:
    sandbox.plan("status", "/v1/capabilities", status=200, body={"batch": "perhaps"})
    assert sandbox.ask("GET", "/v1/capabilities").json == {"batch": "perhaps"}


def test_a_fault_meets_its_paths_only_and_the_first_planned_is_first(sandbox: Sandbox) -> None:
    sandbox.plan("status", "/v1/stores/", status=500)
    sandbox.plan("status", "/", status=502)
    assert sandbox.ask("GET", "/sandbox/events").status == 200
    assert [sandbox.ask("GET", "/v1/stores/gangnam/changes").status for _ in range(3)] == [
        500,
        502,
        200,
    ]


def test_reset_carries_nothing_out_and_answers_nothing(sandbox: Sandbox) -> None:
    sandbox.plan("reset")
    with pytest.raises(ConnectionError):
        sandbox.post(event(1))
    assert sandbox.stored() == []
    assert sandbox.results(event(1)) == ["accepted"]


def test_swallow_carries_out_and_answers_nothing(sandbox: Sandbox) -> None:
    sandbox.plan("swallow")
    with pytest.raises(ConnectionError):
        sandbox.post(event(1))
    assert sandbox.stored() == [name(1)]
    assert sandbox.results(event(1)) == ["duplicate"]


def test_stall_keeps_one_request_waiting_and_not_the_others(sandbox: Sandbox) -> None:
    sandbox.plan("stall", seconds=600)
    with pytest.raises(TimeoutError):
        sandbox.post(event(1), wait=0.3)
    assert sandbox.stored() == []
    assert sandbox.results(event(2)) == ["accepted"]


def test_stall_carries_out_though_nobody_waits(sandbox: Sandbox) -> None:
    sandbox.plan("stall", seconds=5)
    with pytest.raises(TimeoutError):
        sandbox.post(event(1), wait=0.2)
    assert [each["n"] for each in sandbox.ask("GET", "/sandbox/events?wait=20").json["events"]] == [1]


def test_stall_ends_in_the_usual_answer(sandbox: Sandbox) -> None:
    sandbox.plan("stall", seconds=0.2)
    assert sandbox.results(event(1)) == ["accepted"]


def test_garbage_is_a_200_that_is_no_json(sandbox: Sandbox) -> None:
    sandbox.plan("garbage", times=2)
    answer = sandbox.post(event(1))
    assert answer.status == 200
    with pytest.raises(ValueError, match="Expecting value"):
        _ = answer.json
    assert sandbox.stored() == []
    sandbox.ask("DELETE", "/sandbox/faults")
    sandbox.plan("garbage", body="what?")
    assert sandbox.post(event(1)).text == "what?"


def test_reject_takes_single_events_out_of_a_batch(sandbox: Sandbox) -> None:
    sandbox.plan("reject", ids=[name(1)], types=["cartwire.cart.item_confirmed.v1"], status=400)
    confirmed = event(3, "cart.item_confirmed", {"event": name(2)})
    results = sandbox.post(event(1), event(2), confirmed).json["results"]
    assert [each["status"] for each in results] == ["rejected", "accepted", "rejected"]
    assert results[0]["problem"]["status"] == 400
    assert "problem" not in results[1]
    assert sandbox.stored() == [name(2)]
    assert sandbox.results(event(1), event(2), confirmed) == ["accepted", "duplicate", "accepted"]


def test_faults_can_be_forgotten(sandbox: Sandbox) -> None:
    sandbox.plan("status", times=9)
    assert sandbox.post(event(1)).status == 503
    assert sandbox.ask("DELETE", "/sandbox/faults").json == {"left": 8}
    assert sandbox.results(event(1)) == ["accepted"]


def test_a_plan_that_cannot_work_is_refused_when_it_is_made(sandbox: Sandbox) -> None:
    for fault in (
        {"do": "reset"},
        {"path": "/v1", "do": "explode"},
        {"path": "/v1", "do": "reset", "times": 0},
        {"path": "/v1", "do": "reset", "much": 1},
        {"path": "/v1", "do": "stall", "seconds": "5"},
        {"path": "/v1", "do": "status", "status": 99},
        {"path": "/v1", "do": "status", "headers": {"a": 1}},
        {"path": "/v1", "do": "status", "headers": {"a": "1\r\nx: y"}},
        {"path": "/v1", "do": "status", "headers": {"a b": "1"}},
        {"path": "/v1", "do": "reject", "ids": [1]},
    ):
        assert (fault, sandbox.ask("POST", "/sandbox/faults", fault).status) == (fault, 400)
    assert sandbox.results(event(1)) == ["accepted"]


# Strict mode

BAND = {"customer": "c-1", "pseudonym": PSEUDONYM, "staff": "s-1"}
TAP = {"session": SESSION, "method": "nfc", "read_point": "till-1"}
REMOVED = {
    **without(item(), "symbology", "product", "read_point"),
    "event": name(7),
    "staff": "s-1",
}
SCAN = {"gtin": "08801045600130", "symbology": None, "read_point": "till-1"}
ENDED = {"session": SESSION, "customer": "c-1", "reason": "replaced", "read_point": "till-1"}
DEVICE = {"driver": "nfc@till-1", "reason": "unplugged"}
OPENED = {"reason": "salvaged", "previous": JOURNAL, "rows_lost": 3}
CORRECT: list[tuple[str, Json]] = [
    ("customer.identified", {**TAP, "customer": "c-1"}),
    ("tap.unknown", {**TAP, "method": "code", "pseudonym": PSEUDONYM}),
    (
        "customer.resolved",
        {"customer": "c-1", "pseudonym": PSEUDONYM, "session": SESSION, "read_point": "till-1"},
    ),
    ("cart.item_added", item()),
    (
        "cart.item_added",
        item(symbology=None, product=None, in_store={"kind": "weight", "value": "0.512"}),
    ),
    (
        "cart.item_added",
        item(event=name(8), staff="s-1", product={"name": "x", "rating": 4.5, "stock": 3}),
    ),
    ("cart.item_confirmed", {"event": name(7)}),
    ("cart.item_removed", REMOVED),
    ("scan.unclaimed", SCAN),
    (
        "scan.unclaimed",
        {**SCAN, "symbology": "GS1-128", "in_store": {"kind": "price", "value": "3900"}},
    ),
    ("session.ended", ENDED),
    ("session.ended", {**ENDED, "customer": None, "reason": "timeout"}),
    ("presence.entered", {"customer": "c-1", "read_point": "door"}),
    ("presence.left", {"customer": "c-1", "read_point": "door", "dwell_seconds": 61.5}),
    ("band.bound", BAND),
    ("band.unbound", {**BAND, "read_point": "desk"}),
    ("customer.erased", {"customer": "c-1", "reason": "platform"}),
    ("device.lost", DEVICE),
    ("device.recovered", {**DEVICE, "read_point": "till-1"}),
    ("clock.adjusted", {"bootid": BOOT, "offset_seconds": -3.25}),
    ("journal.opened", OPENED),
    ("journal.opened", {"reason": "created", "previous": None, "rows_lost": 0}),
]


def test_every_type_as_the_contract_has_it_passes(strict: Sandbox) -> None:
    events = [event(number, kind, data) for number, (kind, data) in enumerate(CORRECT, 1)]
    assert strict.results(*events) == ["accepted"] * len(events)
    assert strict.results(*events) == ["duplicate"] * len(events)
    for path in (
        "/v1/capabilities",
        "/v1/stores/gangnam/changes",
        "/v1/stores/gangnam/changes?limit=5",
    ):
        assert strict.ask("GET", path).status == 200
    assert strict.problems() == []


ENVELOPES: list[tuple[str, Json]] = [
    ("envelope", {"specversion": "1.1"}),
    ("envelope", {"id": "6f2c1d5e-0000-4000-8000-000000000001"}),
    ("envelope", {"id": name(1).upper()}),
    ("envelope", {"source": "/stores/Gangnam/gateways/gw-1"}),
    ("envelope", {"source": "cartwire/gangnam"}),
    ("envelope", {"time": "2026-11-21T09:12:45Z"}),
    ("envelope", {"time": "2026-11-21T09:12:45.123+00:00"}),
    ("envelope", {"time": "2026-11-21T24:12:45.123Z"}),
    ("envelope", {"datacontenttype": "text/plain"}),
    ("envelope", {"journal": "6f2c1d5e-0000-4000-8000-000000000001"}),
    ("envelope", {"seq": "1"}),
    ("envelope", {"seq": True}),
    ("envelope", {"seq": -1}),
    ("envelope", {"bootid": "boot 7"}),
    ("envelope", {"clockok": 1}),
    ("envelope", {"dataschema": "https://example.com"}),
    ("subject", {"subject": "customers/c-2"}),
    ("type", {"type": "cartwire.cart.item_vanished.v1"}),
    ("type", {"type": "cart.item_added"}),
]


def test_an_envelope_that_differs_is_noted_and_kept(strict: Sandbox) -> None:
    events = [event(number, **changed) for number, (_, changed) in enumerate(ENVELOPES, 1)]
    found = [(strict.noted(each), each) for each in events]
    assert found == [([rule], each) for (rule, _), each in zip(ENVELOPES, events, strict=True)]
    assert [each["event"] for each in strict.ask("GET", "/sandbox/events").json["events"]] == events


def test_an_envelope_without_a_field_is_noted(strict: Sandbox) -> None:
    fields = sorted(without(event(1), "source", "id", "type", "subject", "data"))
    strict.results(*(without(event(number), field) for number, field in enumerate(fields, 1)))
    assert [(each["rule"], each["detail"]) for each in strict.problems()] == [
        ("envelope", f"{field} is missing") for field in fields
    ]


def test_a_subject_is_there_exactly_where_data_names_a_customer(strict: Sandbox) -> None:
    strict.results(without(event(1), "subject"), event(2, "scan.unclaimed", SCAN, subject="customers/c-1"))
    assert [(each["rule"], each["id"]) for each in strict.problems()] == [
        ("subject", name(1)),
        ("subject", name(2)),
    ]


def test_data_without_a_field_or_with_another_one_is_noted(strict: Sandbox) -> None:
    expected, number = [], 0
    for kind, data in CORRECT:
        optional = {"in_store"} | ({"read_point"} if kind.startswith(("band", "device")) else set())
        required = sorted(data.keys() - optional - ({"event", "staff"} if kind == "cart.item_added" else set()))
        expected += [f"cartwire.{kind}.v1: {field} is missing" for field in required]
        expected += [f"cartwire.{kind}.v1: colour is not named"]
        for changed in [*(without(data, field) for field in required), {**data, "colour": "red"}]:
            number += 1
            assert strict.results(event(number, kind, changed)) == ["accepted"]
    assert [each["detail"] for each in strict.problems() if each["rule"] == "data"] == expected


MALFORMED: list[tuple[str, Json]] = [
    ("cart.item_added", item(quantity=2)),
    ("cart.item_added", item(quantity=True)),
    ("cart.item_added", item(gtin="8801045600130")),
    ("cart.item_added", item(gtin="08801045600131")),
    ("cart.item_added", item(symbology="EAN-13")),
    ("cart.item_added", item(cart="k 7")),
    ("cart.item_added", item(cart="k" * 65)),
    ("cart.item_added", item(session="s1")),
    ("cart.item_added", item(read_point="")),
    ("cart.item_added", item(product="Ramyun")),
    ("cart.item_added", item(product={"name": {"ko": "라면"}})),
    ("cart.item_added", item(product={"price": None})),
    ("cart.item_added", item(product={"name": "x", "price": "12900"})),
    ("cart.item_added", item(product={"name": "x", "price": {"amount": 12900, "currency": "KRW"}})),
    (
        "cart.item_added",
        item(product={"name": "x", "price": {"amount": "12,900", "currency": "KRW"}}),
    ),
    (
        "cart.item_added",
        item(product={"name": "x", "price": {"amount": "12900", "currency": "won"}}),
    ),
    ("cart.item_added", item(product={"name": "x", "price": {"amount": "12900"}})),
    ("cart.item_added", item(product={"name": "x", "weight": 3})),
    ("cart.item_added", item(in_store={"kind": "count", "value": "3"})),
    ("cart.item_added", item(in_store={"kind": "price", "value": 3})),
    ("cart.item_added", item(event=name(9))),
    ("cart.item_added", item(staff="s-1")),
    ("cart.item_confirmed", {"event": "7"}),
    ("cart.item_removed", {**REMOVED, "staff": None}),
    ("customer.identified", {**TAP, "customer": "c-1", "method": "ibeacon"}),
    ("tap.unknown", {**TAP, "pseudonym": PSEUDONYM.upper()}),
    ("tap.unknown", {**TAP, "pseudonym": "04A1B2C3D4E5F6"}),
    ("session.ended", {**ENDED, "reason": "bored"}),
    ("session.ended", {**ENDED, "reason": None}),
    ("presence.left", {"customer": "c-1", "read_point": "door", "dwell_seconds": "61"}),
    ("customer.erased", {"customer": "c-1", "reason": "timeout"}),
    ("device.lost", {**DEVICE, "driver": "nfc"}),
    ("clock.adjusted", {"bootid": "x", "offset_seconds": 1}),
    ("clock.adjusted", {"bootid": BOOT, "offset_seconds": None}),
    ("journal.opened", {**OPENED, "reason": "found"}),
    ("journal.opened", {**OPENED, "previous": "the last"}),
    ("journal.opened", {**OPENED, "rows_lost": -1}),
]


def test_data_of_another_form_is_noted_and_kept(strict: Sandbox) -> None:
    events = [event(number, kind, data) for number, (kind, data) in enumerate(MALFORMED, 1)]
    found = [(strict.noted(each), each["data"]) for each in events]
    assert found == [(["data"], each["data"]) for each in events]
    assert len(strict.stored()) == len(events)


def test_a_seq_that_falls_is_noted_and_a_resend_is_not(strict: Sandbox) -> None:
    strict.results(event(1), event(2), event(7))
    strict.results(event(1), event(2))
    other = "019aa2f0-0000-7000-8000-00000000000b"
    strict.results(event(3, journal=other), event(4, source="/stores/gangnam/gateways/gw-2"))
    assert strict.problems() == []
    strict.results(event(5), event(8), event(9, seq=8))
    assert [(each["rule"], each["id"]) for each in strict.problems()] == [
        ("seq", name(5)),
        ("seq", name(9)),
    ]


def test_an_event_refused_before_may_come_late_and_blanked(strict: Sandbox) -> None:
    strict.plan("reject", ids=[name(1)])
    strict.results(event(1), event(2))
    strict.plan("status", status=422)
    assert strict.post(event(3)).status == 422
    strict.ask("PUT", "/sandbox/capabilities", {"batch": True, "maxBatch": 5, "maxBytes": 900})
    big = event(4, data=item(product={"name": "x" * 900}))
    assert strict.post(big).status == 413
    strict.ask("PUT", "/sandbox/capabilities", {"batch": True, "maxBatch": 5, "maxBytes": 9000})
    strict.results(event(5))
    blanked = event(1, data=item(customer=None, cart=None))
    assert strict.results(blanked, event(3), big) == ["accepted"] * 3
    assert strict.problems() == []


def test_a_batch_refused_as_a_whole_does_not_excuse_a_falling_seq(strict: Sandbox) -> None:
    strict.plan("status", status=422)
    strict.post(event(1), event(2))
    strict.results(event(2), event(1))
    assert strict.rules() == ["seq"]


def test_two_confirmations_of_one_event_are_noted(strict: Sandbox) -> None:
    strict.results(event(1), *(event(number, "cart.item_confirmed", {"event": name(1)}) for number in (2, 3)))
    assert [(each["rule"], each["id"]) for each in strict.problems()] == [("twice", name(3))]


def test_a_request_that_is_not_named_is_noted(strict: Sandbox) -> None:
    for method, path, status in (
        ("GET", "/v1/health", 404),
        ("GET", "/", 404),
        ("GET", "/v1/events", 405),
        ("HEAD", "/v1/capabilities", 405),
        ("PUT", "/v1/identifiers/resolve", 405),
        ("GET", "/v1/capabilities?verbose=1", 200),
        ("GET", "/v1/stores/gangnam/changes?cursor=1", 200),
    ):
        before = len(strict.problems())
        assert (path, strict.ask(method, path).status) == (path, status)
        assert (path, strict.rules()[before:]) == (path, ["request"])


def test_problems_outlive_kill_9(tmp_path: Path) -> None:
    box = Sandbox(tmp_path / "data", "--strict")
    box.start()
    box.results(event(1, clockok=None))
    box.ask("GET", "/nowhere")
    noted = box.problems()
    box.end(signal.SIGKILL)
    with box:
        assert [each["rule"] for each in noted] == ["envelope", "request"]
        assert box.problems() == noted


def test_without_strict_nothing_is_compared(sandbox: Sandbox) -> None:
    assert sandbox.results(event(1, clockok=None, colour="red")) == ["accepted"]
    assert sandbox.ask("GET", "/nowhere").status == 404
    assert sandbox.problems() == []


# What tests and demos look at


def test_carts_hold_what_was_added_and_not_removed(sandbox: Sandbox) -> None:
    early = event(1, "cart.item_removed", {**REMOVED, "event": name(4)})  # before its addition
    sandbox.results(
        early,
        event(2),
        event(3, data=item(gtin="00000000000017")),
        event(4),
        event(5, data=item(cart="other")),
    )
    sandbox.results(event(6), event(7, "cart.item_removed", {**REMOVED, "event": name(2)}))
    sandbox.results(event(8, "cart.item_confirmed", {"event": name(6)}))
    carts = sandbox.ask("GET", "/sandbox/carts").json["carts"]
    assert {
        cart: [(each["gtin"], each["id"], each["confirmed"]) for each in items] for cart, items in carts.items()
    } == {
        "k7f3a9": [("00000000000017", name(3), False), ("08801045600130", name(6), True)],
        "other": [("08801045600130", name(5), False)],
    }


def test_requests_are_counted_by_method_template_and_status(sandbox: Sandbox) -> None:
    sandbox.pull(store="mapo")
    sandbox.pull()
    sandbox.plan("reset")
    with pytest.raises(ConnectionError):
        sandbox.post(event(1))
    sandbox.post(event(1))
    counts = sandbox.ask("GET", "/sandbox/requests").json["requests"]
    assert [tuple(each.values()) for each in counts] == [
        ("GET", "/v1/stores/{store}/changes", 200, 2),
        ("POST", "/v1/events", 0, 1),
        ("POST", "/v1/events", 200, 1),
    ]


class Broker:
    """A tiny MQTT 3.1.1 peer: takes one connection at a time and lists the topics published on it."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(20)
        self.port, self.topics = self.listener.getsockname()[1], queue.Queue[str]()
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self) -> None:
        with (
            contextlib.suppress(OSError),
            self.listener.accept()[0] as line,
            line.makefile("rb") as packets,
        ):
            line.settimeout(20)
            while head := packets.read(1):
                body = packets.read(packets.read(1)[0])  # short packets: one length byte
                if head[0] >> 4 == 1 and self.open.wait(20):
                    line.sendall(b"\x20\x02\x00\x00")
                elif head[0] >> 4 == 3:
                    (size,) = struct.unpack(">H", body[:2])
                    self.topics.put(body[2 : 2 + size].decode())
                elif head[0] >> 4 == 12:
                    line.sendall(b"\xd0\x00")

    def close(self) -> None:
        self.listener.close()
        self.thread.join(20)


def test_changes_nudge_the_store_they_are_for_or_all_that_ever_pulled(tmp_path: Path) -> None:
    broker = Broker()
    with (
        contextlib.closing(broker),
        Sandbox(tmp_path / "data", "--nudge", f"mqtt://127.0.0.1:{broker.port}") as box,
    ):
        box.feed(upsert("product", "1", name="x"), store="mapo")
        broker.open.set()  # what could not be told yet is told now
        assert broker.topics.get(timeout=20) == "cartwire/v1/stores/mapo/changes"
        box.pull(store="gangnam")
        box.pull(store="jongno")
        box.feed(upsert("product", "1", name="x"))
        told = {broker.topics.get(timeout=20) for _ in range(2)}
        assert told == {"cartwire/v1/stores/gangnam/changes", "cartwire/v1/stores/jongno/changes"}
        assert broker.topics.empty()


# The command


def refused(*options: str) -> str:
    """The one line a start that cannot work ends with."""
    command = [sys.executable, "-m", "edge.demo.sandbox", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.count("\n") == 1
    return done.stderr


@pytest.mark.parametrize("address", ["127.0.0.1", ":80", "127.0.0.1:99999", "127.0.0.1:http", "192.0.2.1:0", "a b:1"])
def test_an_address_that_cannot_be_listened_on_is_named(tmp_path: Path, address: str) -> None:
    assert f"--listen {address}: " in refused("--listen", address, "--data", str(tmp_path))


def test_a_port_in_use_is_named(tmp_path: Path, sandbox: Sandbox) -> None:
    assert f"--listen 127.0.0.1:{sandbox.port}: " in refused(
        "--listen", f"127.0.0.1:{sandbox.port}", "--data", str(tmp_path / "other")
    )


def test_a_data_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "platform.db").write_bytes(b"no database" * 999)
    for folder in (
        tmp_path / "file",
        tmp_path / "file" / "below",
        tmp_path / "torn",
        Path("/proc/none"),
    ):
        assert f"--data {folder}: " in refused("--listen", "127.0.0.1:0", "--data", str(folder))


def test_a_data_folder_has_one_platform(tmp_path: Path, sandbox: Sandbox) -> None:
    assert "locked" in refused("--listen", "127.0.0.1:0", "--data", str(sandbox.data))
    assert sandbox.results(event(1)) == ["accepted"]


def test_files_that_do_not_serve_are_named(tmp_path: Path) -> None:
    start = ("--listen", "127.0.0.1:0", "--data", str(tmp_path / "data"))
    empty, short = tmp_path / "empty", tmp_path / "short"
    empty.write_text("\n")
    short.write_bytes(bytes(31))
    assert f"--token-file {empty}: " in refused(*start, "--token-file", str(empty))
    assert f"--token-file {tmp_path}/none: " in refused(*start, "--token-file", str(tmp_path / "none"))
    assert "--token-file : " in refused(*start, "--token-file", "")
    assert f"--key-file {short}: " in refused(*start, "--key-file", str(short))
    assert "--nudge http://x:1: " in refused(*start, "--nudge", "http://x:1")
    assert "--data" in refused("--listen", "127.0.0.1:0")
    assert "--loud" in refused(*start, "--loud")


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_and_those_who_wait_get_their_answer(tmp_path: Path, name: signal.Signals) -> None:
    box = Sandbox(tmp_path / "data")
    box.start()
    box.plan("stall", "/v1/capabilities", seconds=600)
    with contextlib.ExitStack() as stack:
        waiting = []
        for path in ("/sandbox/events?wait=600", "/v1/capabilities"):
            line = http.client.HTTPConnection("127.0.0.1", box.port, timeout=20)
            waiting.append(stack.enter_context(contextlib.closing(line)))
            line.request("GET", path)
        for probes in range(1, 1000):
            planned = box.ask("POST", "/sandbox/faults", {"path": "/never", "do": "reset"}).json["planned"]
            if planned == probes:  # the stall is no longer among them: somebody waits in it
                break
        assert box.end(name) == 0
        assert [Answer(line.getresponse()).json for line in waiting] == [{"events": []}, LIMITS]
    assert box.log.read_text() == ""
