"""Stories of a damaged database: the daemon comes up, what can be read goes on, and it says what is lost."""

from __future__ import annotations

import os
import random
import sys
from typing import TYPE_CHECKING

import pytest

from peers.gtin import gtin13, padded
from peers.process import until
from peers.store import Store, lines, pseudonym

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack
    from pathlib import Path

    from conftest import Platform
    from peers.app import App
    from peers.brokers import Mosquitto

BAND, STRANGER = "04A1B2C3D4E5F6", "04C1B2C3D4E5F6"
SEED = int(os.environ.get("CARTWIRE_SEED", "1"))


def header(data: bytearray, _: random.Random) -> None:
    """The first page is another's."""
    data[:512] = os.urandom(512)


def torn(data: bytearray, _: random.Random) -> None:
    """The file ends in the middle."""
    del data[len(data) // 2 + 77 :]


def holes(data: bytearray, dice: random.Random) -> None:
    """Three pages were never written."""
    for _ in range(3):
        at = dice.randrange(len(data) // 512) * 512
        data[at : at + 512] = bytes(512)


def nothing(data: bytearray, _: random.Random) -> None:
    """Nothing of it is left."""
    data[:] = bytes(len(data))


@pytest.mark.parametrize("damage", [header, torn, holes, nothing], ids=lambda damage: damage.__name__)
def test_a_damaged_database_is_salvaged(
    store: Store,
    platform: Platform,
    broker: Mosquitto,
    app: App,
    damage: Callable[[bytearray, random.Random], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    platform.customer("c-1", "k-1", "cart")
    platform.band(pseudonym("nfc", BAND), "c-1")
    store.start()
    store.ready()
    platform.wait_pulled()
    store.tap(STRANGER)
    store.scan(99)
    store.tap(BAND)
    for n in range(30):
        store.scan(n)
    until(lambda: len(app.received) == 30, "thirty items", 20)
    until(lambda: store.status()["sinks"]["platform"]["queued"] == 0, "them at the platform")
    platform.kill()
    broker.stop()
    for n in range(30, 60):
        store.scan(n)
    until(lambda: len(store.of("cart.item_added")) == 60, "thirty more", 20)
    store.stop()
    before = {event["id"]: event for event in store.events()}

    path = store.data / "cartwire.db"
    data = bytearray(path.read_bytes())
    damage(data, random.Random(SEED))
    path.write_bytes(data)
    store.start()
    store.ready()
    (opened,) = [event for event in store.of("journal.opened") if event["data"]["reason"] == "salvaged"]
    after = {event["id"]: event for event in store.events() if event["journal"] != opened["journal"]}
    with capsys.disabled():
        sys.stdout.write(f"\n{damage.__name__}: {len(after)} of {len(before)} events, {opened['data']} (seed {SEED})\n")
    assert all(before[id] == event for id, event in after.items())
    journals = {event["journal"] for event in before.values()}
    assert {opened["data"]["previous"]} == (journals if damage is not nothing else {None})
    gone = before.keys() - after.keys()
    # Beyond the newest that is left, only the cursors know what there was.
    assert bool(gone) * (damage is not nothing) <= opened["data"]["rows_lost"] <= len(gone)
    assert list(store.data.glob("*.broken*")) == []

    platform.start()
    broker.start()
    until(lambda: store.status()["sinks"]["platform"]["queued"] == 0, "what is left to be delivered", 30)
    added = [event for event in after.values() if event["type"].endswith("item_added.v1")]
    until(lambda: {e["id"] for e in added} <= {e["id"] for e in app.received}, "the items to be in the cart", 90)
    assert {event["id"] for event in platform.events()} >= after.keys()
    store.tap(BAND)
    store.scan(60)
    until(lambda: padded(gtin13(60)) in app.cart, "a new item", 20)
    # A confirmation that is lost is asked for again, and confirmed again.
    assert [problem for problem in platform.problems() if problem["rule"] != "twice" or not gone] == []


def test_whoever_follows_the_events_goes_on(store: Store, tmp_path: Path, ended: ExitStack) -> None:
    """The damaged file is replaced: `events --follow` shows what comes in the new one, and nothing twice."""
    store.start()
    store.ready()
    store.tap(STRANGER)
    until(lambda: store.of("tap.unknown"), "the tap")
    with store.follow(tmp_path / "shown.jsonl") as follower:
        until(lambda: len(lines(follower.text())) == len(store.events()), "all to be shown")
        store.stop()
        path = store.data / "cartwire.db"
        data = bytearray(path.read_bytes())
        header(data, random.Random(SEED))
        path.write_bytes(data)
        store.start()
        store.ready()
        store.tap(BAND)
        until(lambda: len(store.of("tap.unknown")) == 2, "the next tap")
        until(lambda: store.of("tap.unknown")[-1]["id"] in follower.text(), "it to be shown", 20)
        shown = [event["id"] for event in lines(follower.text())]
        assert len(shown) == len(set(shown))
        assert {event["id"] for event in store.of("tap.unknown", "session.ended")} <= set(shown)
