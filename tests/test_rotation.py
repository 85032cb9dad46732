"""The chain gets a new pseudonym key: nobody becomes a stranger by it, and in the end the old key is nowhere."""

from __future__ import annotations

import hashlib
import hmac
import subprocess
from typing import TYPE_CHECKING

import pytest

from bands import BAND, OTHER
from peers.gtin import gtin13, padded
from peers.process import until
from peers.store import KEY, command, pseudonym, secret

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Platform
    from peers.app import App
    from peers.store import Store

NEW = b"the chain's next key, which has at least 32 bytes"
STRANGER, CODE = "04C1B2C3D4E5F6", "KR0123456789"
BEACON = "e2c56db5-dffb-48d2-b060-d0f5a71096e0/1/258"


def renamed(kind: str, value: str) -> str:
    """Under the new key."""
    return hmac.new(NEW, f"{kind}:{value}".encode(), hashlib.sha256).hexdigest()


def rotate(store: Store, *arguments: str | Path) -> tuple[int, str]:
    """Exit code and what it said."""
    full = [*command("rotate-key", store.config), *arguments]
    done = subprocess.run(full, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def rotated(store: Store, platform: Platform) -> Store:
    """A store with a new key, whose feed still has the old pseudonyms; one shopper has both."""
    platform.customer("c-1", "k-1", "cart", "presence")
    platform.customer("c-2", "k-2", "cart")
    for kind, value in (("nfc", BAND), ("code", CODE), ("ibeacon", BEACON)):
        platform.change("identifier", pseudonym(kind, value), {"type": kind, "customer": "c-1"})
    platform.band(renamed("nfc", OTHER), "c-2")
    store.store["old_key_file"] = "old.key"
    store.configure()
    secret(store.folder / "new.key", NEW)
    code, said = rotate(store, store.folder / "new.key")
    assert (code, said.count("\n")) == (0, 1), said
    store.start()
    store.ready()
    platform.wait_pulled()
    return store


def test_all_are_known_by_either_key_and_strangers_by_the_new(rotated: Store, platform: Platform, app: App) -> None:
    store = rotated
    for uid in (OTHER, BAND):
        store.tap(uid)
    store.scan(1)
    until(lambda: app.cart == [padded(gtin13(1))], store.tail)
    assert [event["data"]["customer"] for event in store.of("customer.identified")] == ["c-2", "c-1"]
    store.tap(OTHER)
    store.fifos["till-1"].write({"kind": "scan", "text": CODE})
    store.scan(2)
    until(lambda: len(app.cart) == 2, store.tail)
    for _ in range(8):
        store.fifos["till-1"].write({"kind": "sighting", "type": "ibeacon", "value": BEACON, "rssi": -50})
    until(lambda: store.of("presence.entered"), "the beacon to be known", 60)
    store.tap(STRANGER)
    until(lambda: store.of("tap.unknown"), store.tail)
    assert [event["data"]["pseudonym"] for event in store.of("tap.unknown")] == [renamed("nfc", STRANGER)]

    platform.band(renamed("nfc", BAND), "c-1")
    platform.change("identifier", pseudonym("nfc", BAND), None)
    platform.wait_pulled()
    store.stop()
    code, said = rotate(store, "--end")
    assert code == 0, said
    assert not (store.folder / "old.key").exists()
    store.start()
    store.ready()
    store.tap(BAND)
    store.scan(3)
    until(lambda: len(app.cart) == 3, store.tail)
    assert [event["data"]["customer"] for event in store.of("customer.identified")] == [
        "c-2",
        "c-1",
        "c-2",
        "c-1",
        "c-1",
    ]


def test_a_change_is_begun_once_and_ended_once(store: Store) -> None:
    """No key is lost by a wrong call, and one that was cut off is called again."""
    key, old, new = (store.folder / name for name in ("pseudonym.key", "old.key", "new.key"))
    secret(new, NEW)
    assert rotate(store, new) == (
        2,
        "cartwire: rotate-key: [store] old_key_file: is not set; name a file beside pseudonym_key_file\n",
    )
    store.store["old_key_file"] = "old.key"
    store.configure()
    assert rotate(store)[0] == rotate(store, "--end")[0] == rotate(store, key)[0] == 2
    secret(store.folder / "short", b"short")
    assert rotate(store, store.folder / "short")[0] == 2
    assert (key.read_bytes(), old.exists()) == (KEY, False)
    secret(old, KEY)  # where the power went
    assert rotate(store, new)[0] == 0
    assert (key.read_bytes(), old.read_bytes(), old.stat().st_mode & 0o077) == (NEW, KEY, key.stat().st_mode & 0o077)
    secret(store.folder / "third", NEW + NEW)
    code, said = rotate(store, store.folder / "third")
    assert (code, "holds an older key still" in said) == (2, True)
    assert key.read_bytes() == NEW
