"""The copy outside of the data folder: it is sound, it brings a shop back, and it keeps nobody who was erased."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from bands import BAND, OTHER
from edge.backup import backup
from edge.database import Database
from peers.gtin import gtin13, padded
from peers.process import until
from peers.store import Store, command, pseudonym

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Platform
    from peers.app import App

FILE = "cartwire.db"
STRANGER = "04C1B2C3D4E5F6"


def copied(store: Store, folder: Path) -> Path:
    """Make a copy as the timer does."""
    store.command("backup", str(folder))
    assert [path.name for path in folder.iterdir()] == [FILE]
    assert (folder / FILE).stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(f"file:{folder / FILE}?mode=ro", uri=True)) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    return folder / FILE


def test_a_copy_made_by_root_is_in_nobodys_way(opened: Callable[..., Store], tmp_path: Path) -> None:
    """`sudo cartwire backup` before an upgrade; the daemon's user, who makes the next one, has to wipe this one."""
    store, folder = opened(), tmp_path / "backup"
    folder.mkdir(mode=0o700)
    if os.geteuid() == 0:  # anybody else can only make what is theirs
        os.chown(folder, 65534, 65534)
    for _ in range(2):
        made = copied(store, folder)
        assert (made.stat().st_uid, made.stat().st_gid) == (folder.stat().st_uid, folder.stat().st_gid)


def test_yesterdays_copy_in_the_place_of_a_lost_database(
    opened: Callable[..., Store], platform: Platform, app: App, tmp_path: Path
) -> None:
    """What is in it is told again under its ids, what came later and was delivered is not; nothing is there twice."""
    store = opened()
    store.tap(BAND)
    for number in range(3):
        store.scan(number)
    until(lambda: len(app.received) == 3, "three items")
    until(store.settled, "all to be told")
    copy = copied(store, tmp_path / "backup")
    yesterday = store.events()
    for number in range(3, 6):
        store.scan(number)
    until(lambda: len(app.received) == 6, "three more")
    until(store.settled, "these too")
    today = store.events()
    store.kill()

    assert (store.data / f"{FILE}-wal").stat().st_size  # of the lost one, and no part of the copy
    shutil.copy(copy, store.data / FILE)
    store.start()
    store.ready()
    (restored,) = [event for event in store.of("journal.opened") if event["data"]["reason"] == "restored"]
    assert restored["data"] == {"reason": "restored", "previous": yesterday[0]["journal"], "rows_lost": 0}
    assert restored["journal"] != restored["data"]["previous"]
    assert store.events()[: len(yesterday)] == yesterday
    until(lambda: restored["id"] in {event["id"] for event in platform.events()}, "the platform to hear of it", 20)

    store.tap(BAND)
    store.scan(6)
    until(lambda: padded(gtin13(6)) in app.cart, "a new item", 20)
    until(store.settled, "all to be told", 20)
    assert sorted(app.cart) == sorted(padded(gtin13(number)) for number in range(7))
    told = {event["id"]: event for event in platform.events()}
    assert all(told[event["id"]] == event for event in today + store.events())
    assert platform.problems() == []

    store.stop()
    store.start()
    store.ready()
    assert len([event for event in store.of("journal.opened") if event["data"]["reason"] == "restored"]) == 1


def test_who_was_erased_is_in_no_copy(opened: Callable[..., Store], platform: Platform, tmp_path: Path) -> None:
    """Neither by name nor by band; the daemon says when to make a new one, and the old one is overwritten."""
    store = opened()
    store.tap(OTHER)
    until(lambda: store.of("customer.identified"), "the tap")
    copy = copied(store, tmp_path / "backup")
    names = (b"c-2", pseudonym("nfc", OTHER).encode())
    assert all(name in copy.read_bytes() for name in names)
    old = tmp_path / "old"
    old.hardlink_to(copy)  # the same bytes under a name that stays

    asked = store.data / "erased"
    assert not asked.exists()  # a start alone is no reason
    asked.symlink_to(tmp_path / "no" / "where")  # it cannot be said, until the power goes and comes back
    platform.change("identifier", pseudonym("nfc", OTHER), None)
    platform.change("customer", "c-2", None)
    until(lambda: store.of("customer.erased"), "the erasure", 20)
    until(lambda: not store.status()["sinks"]["platform"]["queued"], "the platform to have all", 20)
    store.kill()
    asked.unlink()
    store.start()
    until(asked.exists, "the daemon to ask for a copy", 20)

    def kept() -> bool:
        if asked.exists():
            copied(store, tmp_path / "backup")
        return asked.exists() or any(name in copy.read_bytes() for name in names)

    until(lambda: not kept(), "a copy without them", 90)
    assert not any(old.read_bytes())
    assert not asked.exists()


def test_who_is_erased_while_a_copy_is_made_is_asked_for_again(opened: Callable[..., Store], tmp_path: Path) -> None:
    """And nobody makes a second copy beside it, which would spoil both."""
    store, folder = opened(), tmp_path / "backup"
    asked = store.data / "erased"
    copied(store, folder)
    asked.touch()
    copied(store, tmp_path / "before")  # an upgrade, say
    assert asked.exists()
    slowly = ["strace", "-f", "-o", "/dev/null", "-e", "inject=?rename,?renameat:delay_enter=15s:when=1"]
    with subprocess.Popen([*slowly, *command("backup", store.config), str(folder)]) as copying:
        until((folder / f"{FILE}.new").exists, "a copy to be begun")
        with pytest.raises(AssertionError, match="another copy is being made there; wait for it"):
            store.command("backup", str(folder))
        asked.touch()
    assert copying.returncode == 0
    assert asked.exists()
    copied(store, folder)
    assert not asked.exists()


def test_a_copy_takes_no_room_that_the_shop_needs(opened: Callable[..., Store], tmp_path: Path) -> None:
    """On its own disk; what is wanted is twice the reserve, as the shop goes on meanwhile."""
    store = opened()
    copy = copied(store, tmp_path / "backup")
    before = copy.read_bytes()
    copy.with_suffix(".db.old").hardlink_to(copy)  # the power went between its two names
    (store.data / "erased").touch()
    store.store["capacity"], store.store["reserve"] = "9000000GB", "4000000GB"
    store.configure()
    with pytest.raises(AssertionError, match=r"no room for a copy: \d+ MB are wanted, \d+ MB are free; the one before"):
        store.command("backup", str(tmp_path / "backup"))
    assert copy.read_bytes() == before
    assert (store.data / "erased").exists()


def test_a_copy_that_fails_leaves_the_one_before(opened: Callable[..., Store], tmp_path: Path) -> None:
    """Here there is nothing to copy any more but a file that is no database."""
    store = opened()
    copy = copied(store, tmp_path / "backup")
    before = copy.read_bytes()
    store.stop()
    (store.data / FILE).write_bytes(b"no database")
    with pytest.raises(AssertionError, match=r"exit 2: cartwire: \S+: cannot be read"):
        store.command("backup", str(tmp_path / "backup"))
    assert copy.read_bytes() == before


def test_a_scan_that_found_its_customer_since_finds_them_again_once(
    opened: Callable[..., Store], platform: Platform, app: App, tmp_path: Path
) -> None:
    """In the copy it is still held; what is made of it has its id again, so app and platform have it once."""
    store = opened()
    store.tap(STRANGER)
    store.scan(7)
    until(lambda: store.status()["held"] == 1, "the scan to be held")
    copy = copied(store, tmp_path / "backup")
    platform.band(pseudonym("nfc", STRANGER), "c-1")
    until(lambda: app.cart, "the item")
    until(store.settled, "all to be told")
    (before,) = store.of("cart.item_added")
    store.kill()
    shutil.copy(copy, store.data / FILE)
    store.start()
    store.ready()
    until(lambda: store.of("cart.item_added"), "the cache to learn it again", 20)
    until(store.settled, "all to be told", 20)
    (after,) = store.of("cart.item_added")
    assert after["id"] == before["id"]
    assert app.cart == [padded(gtin13(7))]
    assert platform.of("cart.item_added") == [before]


def test_what_could_be_taken_back_is_not_done_a_second_time(tmp_path: Path) -> None:
    """It was, since the copy was made; but an erasure is done again rather than never."""
    database = Database(tmp_path / FILE)

    def ask(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO meta VALUES ('journal', 'before')")
        for action in ("give", "remove", "erase"):
            connection.execute("INSERT INTO intent VALUES (?, 0.0, ?, 'kim', x'7b7d')", (action, action))

    database.write_now(ask)
    with closing(sqlite3.connect(backup(tmp_path, tmp_path / "backup", 0))) as copy:
        assert copy.execute("SELECT action FROM intent").fetchall() == [("erase",)]
        assert copy.execute("SELECT key, value FROM meta WHERE key IN ('journal', 'restored')").fetchall() == [
            ("restored", '["before",0]')
        ]
    database.close()
