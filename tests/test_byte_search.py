"""A day of everything, then a search for each byte that must stand nowhere: rows, free pages, logs, answers, topics.

Whatever a reader saw or a person typed is looked for in many forms; see `peers/needles.py`. That it would be found is
seen by what may be there: the pseudonyms, in the same places.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tarfile
import time
from typing import TYPE_CHECKING

import pytest

from bands import BAND, OTHER
from counter import PEOPLE, SHOPPERS, Counter
from peers.eavesdropper import Eavesdropper
from peers.needles import Needles, forms, words_in
from peers.process import until
from peers.store import KEY, command, pseudonym, secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import ExitStack
    from pathlib import Path

    from conftest import Platform

NAMELESS, NOBODYS, DESK = "04C7D8E9FA0B1C", "1122AABBCCDD33", "04D1E2F3A4B5C6"
LOYALTY, LATER, TYPED, SEARCHED = "KR7531902468", "KR8642013579", "KR9753124680", "KR5318642097"
BEACON, STRANGER = "e2c56db5-dffb-48d2-b060-d0f5a71096e0/1/25831", "74278bda-b644-4520-8f0c-720eaf059935/7/19283"
EDDYSTONE, MAC = "edd1ebeac04e5defa0170badcafe1234", "C4:AC:59:D3:7E:1F"
NOT_OURS = "wifi:T:WPA;S:shop;P:hunter2hunter2;;"
TOKEN = "tok-9f8e7d6c5b4a39281706"
PASSWORD = "broker-password-5c1f77e2"
SECRETS = ["correct horse battery", "another long secret"]


@pytest.fixture
def day(open_counter: Callable[..., Counter], platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Counter:
    """A store with beacons, whose daemon says all it can when it crashes."""
    monkeypatch.setenv("PYTHONFAULTHANDLER", "1")
    platform.kill()
    platform.token_file.write_text(f"{TOKEN}\n")
    platform.start()
    secret(platform.folder.parent / "password", f"{PASSWORD}\n".encode())
    cart = {"username": "gw-1", "password_file": str(platform.folder.parent / "password")}
    made = open_counter(cart=cart)
    for kind, value in (("code", LOYALTY), ("ibeacon", BEACON), ("eddystone-uid", EDDYSTONE)):
        platform.change("identifier", pseudonym(kind, value), {"type": kind, "customer": "c-1"})
    platform.wait_pulled()
    for cart, _, _ in SHOPPERS.values():
        made.app_of(cart)
    return made


def say(day: Counter, read_point: str = "till-1", **line: object) -> None:
    day.store.fifos[read_point].write(line)


def shopping(day: Counter) -> None:
    """Taps, codes, beacons, some of nobody's."""
    store = day.store
    day.visit(BAND, 1, 2)
    for text in (LOYALTY, LATER, NOT_OURS, MAC):
        say(day, kind="scan", text=text)
    say(day, kind="tap", type="nfc", value=NOBODYS)
    say(day, kind="tap", type="code", value="hello, " + NOT_OURS)
    store.tap(NAMELESS, "till-2")
    store.scan(3, "till-2")
    for kind, value in (("ibeacon", BEACON), ("ibeacon", STRANGER), ("eddystone-uid", EDDYSTONE)):
        for at in range(8):
            say(day, kind="sighting", type=kind, value=value, rssi=-50 - at % 2)
    day.store.fifos["till-1"].write({"kind": "tap", "type": "nfc", "value": f"{NOBODYS} no hex"})
    say(day, kind="no reading", value=NOBODYS)
    until(lambda: len(store.of("tap.unknown")) >= 2, store.tail, 20)


def staff_at_work(day: Counter) -> list[str]:
    """Look-ups at the desk and by typing, a binding, training, wrong log-ins, an erasure; return cookies."""
    manager, clerk = day.staff["manager"], day.staff["clerk"]
    stream = day.stream("clerk")
    say(day, "desk", kind="tap", type="nfc", value=DESK)
    say(day, "desk", kind="scan", text=LATER)
    clerk.does("readAtDesk", {"text": TYPED})
    clerk.ask("findShoppers", query={"q": SEARCHED})
    clerk.ask("findProducts", query={"q": SEARCHED})
    clerk.ask("bindBand", {"pseudonym": pseudonym("nfc", DESK)}, id="c-2")
    manager.does("changeSecret", {"secret": PEOPLE["manager"][1], "new": SECRETS[0]})
    manager.log_in(PEOPLE["manager"][0], SECRETS[0])
    manager.does("putPerson", {"role": "clerk", "secret": SECRETS[1]}, name="bo")
    day.store.tap(OTHER, "till-2")
    manager.does("train", {"on": True}, read_point="till-1")
    day.store.tap(OTHER)
    say(day, kind="scan", text=LOYALTY)
    day.store.scan(2)
    manager.does("train", {"on": False}, read_point="till-1")
    clerk.try_in("mina", "wrong " + SECRETS[1])
    manager.does("eraseShopper", id="c-2")
    until(lambda: day.of("customer.erased"), day.store.tail, 30)
    assert stream.status == 200
    return [who.cookies["cartwire"] for who in day.staff.values()] + [who.csrf for who in day.staff.values()]


def answers(day: Counter) -> Iterator[tuple[str, str]]:
    """Ask all that can be asked."""
    for path in ("/healthz", "/metrics"):
        yield path, day.store.page(path)[2]
    asked = (
        "getStatus",
        "getHistory",
        "getRejected",
        "getFloor",
        "getIntents",
        "getUnclaimed",
        "getMissing",
        "getPeople",
    )
    for name in asked:
        yield name, day.staff["manager"].ask(name).text
    yield "export", day.staff["manager"].ask("exportShopper", id="c-1").text
    for words in (["status"], ["status", "--json"], ["events"], ["events", "--json"], ["rejected", "list"], ["check"]):
        full = [*command(words[0], day.store.config), *words[1:]]
        done = subprocess.run(full, capture_output=True, text=True, timeout=60, check=False)
        yield " ".join(words), done.stdout + done.stderr
    yield "support-bundle", bundled(day)


def bundled(day: Counter) -> str:
    """Return all that a technician sends, the daemon's log as the machine's journal has it included."""
    store, name = day.store, f"bundle-{time.monotonic_ns()}.tar.gz"
    journalctl = store.folder / "bin" / "journalctl"
    journalctl.parent.mkdir(exist_ok=True)
    journalctl.write_text(f"#!/bin/sh\ncat {store.log}\n")
    journalctl.chmod(0o755)
    environment = {**os.environ, "PATH": f"{journalctl.parent}:{os.environ['PATH']}"}
    full = [*command("support-bundle", store.config), name]
    done = subprocess.run(
        full, capture_output=True, text=True, timeout=200, check=True, cwd=store.folder, env=environment
    )
    with tarfile.open(store.folder / name) as archive:
        return done.stdout + "".join(archive.extractfile(entry).read().decode() for entry in archive)  # type: ignore[union-attr]


def test_nothing_raw_stands_anywhere_after_a_day_of_everything(
    day: Counter, platform: Platform, tmp_path: Path, ended: ExitStack
) -> None:
    listener = Eavesdropper(day.broker.port)
    ended.callback(listener.close)
    store, setup = day.store, day.store.setup_code()
    shopping(day)
    platform.fault("/v1/events", "reject", 40, types=["cartwire.customer.identified.v1"], body="c-1 is unknown here")
    cookies = staff_at_work(day)
    day.broker.kill()
    day.visit(BAND, 3)
    os.kill(store.pid, signal.SIGABRT)
    until(lambda: not store.running, "the crash")
    assert "Fatal Python error: Aborted" in store.log.read_text()
    needles = Needles(
        {
            "a UID": [BAND, OTHER, NAMELESS, NOBODYS, DESK],
            "a loyalty code": [LOYALTY, LATER, TYPED, SEARCHED],
            "a beacon": [BEACON, STRANGER, EDDYSTONE],
            "a MAC": [MAC],
            "what is no code": [NOT_OURS],
            "a token": [TOKEN],
            "a password": [PASSWORD],
            "a secret of staff": [*SECRETS, "wrong " + SECRETS[1]],
            "the pseudonym key": [KEY],
            "a cookie": list(cookies),
        }
    )
    folders = store.data, store.log, platform.folder / "data", platform.folder / "platform.log", tmp_path / "apps"
    found = [f"after the crash: {each}" for each in needles.in_files(*folders)]
    assert any(path.endswith("-wal") for path in needles.searched), needles.searched

    day.broker.start()
    store.start()
    store.ready()
    day.staff["manager"].log_in(PEOPLE["manager"][0], SECRETS[0])
    until(lambda: not any(sink["queued"] for sink in store.status()["sinks"].values()), store.tail, 30)
    said = list(answers(day))
    store.stop()
    for where, text in said:
        found += needles.in_texts(where, [text])
    for heard in list(listener.heard):
        found += needles.in_texts(f"MQTT {heard.topic}", [heard.topic, heard.payload, repr(heard)])
    found += needles.in_files(*folders)
    for name in platform.ask("GET", "/sandbox/requests")["requests"]:
        found += needles.in_texts("a request to the platform", [name["path"]])
    assert found == []
    people = [word for _, display, _ in SHOPPERS.values() for word in (display,)] + ["c-1", "c-2", "k-1", "k-2"]
    quiet = store.log.read_text().replace(setup, "") + dict(said)["/metrics"] + dict(said)["support-bundle"]
    assert words_in(quiet, *people) == [], "a person in the log, the metrics or the bundle"
    known = re.compile("|".join(pseudonym("nfc", uid) for uid in (BAND, OTHER, NAMELESS, DESK)))
    assert known.search(dict(said)["support-bundle"]) is None, "not even a pseudonym"
    assert setup not in dict(said)["support-bundle"]
    assert "Fatal Python error: Aborted" in dict(said)["support-bundle"], "the log is in it"
    visible = Needles({"a pseudonym": [pseudonym("nfc", BAND)]})
    assert list(visible.in_files(store.data)), "the search finds nothing at all"


def test_the_search_finds_what_is_there() -> None:
    """In each of its forms, in the midst of other bytes."""
    for value in (BAND, LOYALTY, BEACON, MAC, TOKEN, KEY):
        needles = Needles({"it": [value]})
        for form in forms(value):
            assert list(needles.in_bytes("here", b"\0\xff" + form + b"\xfe")), (value, form)
        assert not list(needles.in_bytes("here", pseudonym("nfc", BAND).encode()))
