"""Stories of those who work with the page, on the real daemon and without a browser."""

from __future__ import annotations

import re
import subprocess
import time
from typing import TYPE_CHECKING

from bands import BAND
from counter import PEOPLE, gtin
from peers.process import until
from peers.staff import Staff
from peers.store import command

if TYPE_CHECKING:
    from counter import Counter
    from peers.store import Store

SECRET, PIN = "a secret of the boss", "471104"
WAIT = 9.0  # seconds in which it can be taken back, one less


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
    boss = Staff(store.port)
    assert boss.does("getSession")["setup"] is True
    assert boss.ask("setUp", {"code": lost, "name": "boss", "secret": SECRET}).code == "wrong-code"
    boss.set_up(code, "boss", SECRET)
    boss.does("putPerson", {"role": "clerk", "secret": PIN}, name="kim")
    boss.does("getFloor")
    boss.does("getStatus")
    store.kill()
    store.start()
    store.ready()
    assert boss.ask("getFloor").status == 401
    assert len(codes(store)) == 2
    kim = Staff(store.port)
    session = kim.does("getSession")
    assert (session["setup"], session["people"]) == (False, ["boss", "kim"])
    assert kim.try_in("kim", PIN).json["person"]["role"] == "clerk"
    assert kim.ask("getPeople").code == "forbidden"
    log = store.log.read_text()
    assert [secret for secret in (SECRET, PIN) if secret in log] == []
    assert boss.problems + kim.problems == []


def test_what_staff_did_stands_in_the_journal(counter: Counter) -> None:
    stream = counter.stream("manager")
    counter.staff["clerk"].does("pullNow")
    until(lambda: [row for row in stream.rows if row.get("staff") == "jun"], "the row")
    assert stream.problems == []
    assert not [event for event in counter.store.events() if "pull" in str(event["data"])]


def test_what_was_to_be_done_is_done_once_after_a_power_cut(counter: Counter) -> None:
    app = counter.app_of("k-1")
    (item,) = counter.visit(BAND, 1)
    until(lambda: app.cart == [gtin(1)], "the cart")
    asked = time.monotonic()
    counter.staff["clerk"].does("removeItem", {"id": item["id"]}, seq=item["seq"])
    waits = time.monotonic()
    counter.store.kill()
    counter.store.start()
    counter.store.ready()
    clerk = Staff(counter.store.port)
    clerk.log_in(*PEOPLE["clerk"])
    intents, cart = clerk.does("getIntents")["intents"], list(app.cart)
    if time.monotonic() - asked < WAIT:  # a busy machine starts longer than that
        assert [(intent["action"], intent["staff"]) for intent in intents] == [("remove", "jun")]
        assert cart == [gtin(1)]
    until(lambda: app.cart == [], "the removal", 60)
    assert time.monotonic() - waits > WAIT
    counter.store.kill()
    counter.store.start()
    counter.store.ready()
    until(counter.store.settled, "all to be confirmed")
    assert len(counter.of("cart.item_removed")) == 1


def test_the_only_manager_has_forgotten_the_pin(counter: Counter) -> None:
    """Whoever has the machine voids all of them: who is logged in is out, and the shop goes on."""
    store, manager, clerk = counter.store, counter.staff["manager"], counter.staff["clerk"]
    clerk.does("getFloor")
    done = subprocess.run(command("reset-staff", store.config), capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (2, "cartwire: reset-staff: there is no terminal to ask at; say --yes\n")
    clerk.does("getFloor")
    said = store.command("reset-staff", "--yes").stdout
    assert re.match(
        r"\d+ may not log in any more\. Open http://127\.0\.0\.1:\d+/: the setup code is \d{4} \d{4}$", said
    )
    assert clerk.ask("getFloor").status == 401
    assert manager.try_in(*PEOPLE["manager"]).code == "wrong-secret"
    boss = Staff(store.port)
    assert boss.does("getSession")["setup"] is True
    boss.set_up(said.strip()[-9:], "boss", SECRET)
    assert boss.does("getPeople")["people"] == [{"name": "boss", "role": "manager"}]
    assert said.strip()[-9:] not in store.log.read_text()
    store.stop()
    done = subprocess.run(
        [*command("reset-staff", store.config), "--yes"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 3
