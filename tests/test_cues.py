"""What the shopper hears and sees: on a reader's buzzer, from a loudspeaker; and that a bad cue harms nothing."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bands import BAND, OTHER, READER, gtins, settle
from drivers.nfc import Driver, missing, panel
from drivers.nfc.kernel import taken
from edge import cues
from edge.cues import Cues
from edge.model import Ready, Tap
from peers.card import Pcscd
from peers.process import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Platform
    from edge.model import Outcome, Reading
    from peers.app import App
    from peers.store import Store

ACR122U = "ACS ACR122U PICC Interface"
ACCEPTED, SAVED, UNKNOWN = "ff0040a00401000101", "ff0040f00401010201", "ff0040500403000101"
STRANGER = "04C1B2C3D4E5F6"
NOBODYS = {"kind": "scan", "text": "a poem", "symbology": "QR"}

PLAYER = """#!/bin/sh
echo "$(basename "$1") $$" >> "$(dirname "$0")/played"
case "$1" in
*unknown*) exec sleep 600 ;;
*saved*) exit 3 ;;
esac
"""


@pytest.fixture
def loudspeaker(store: Store) -> Callable[[], list[str]]:
    """Configure a player that hangs at *unknown* and fails at *saved*; return what it has played."""
    player = store.folder / "player"
    player.write_text(PLAYER)
    player.chmod(0o755)
    names = ("accepted", "saved", "unknown", "cannot")
    for name in names:
        (store.folder / f"{name}.wav").touch()
    store.cue = {"player": str(player), **{name: f"{name}.wav" for name in names}}
    played = store.folder / "played"
    return lambda: played.read_text().splitlines() if played.exists() else []


def test_the_reader_beeps_and_its_own_beep_is_switched_off(
    pcscd: Pcscd, opened: Callable[..., Store], platform: Platform
) -> None:
    pcscd.start(name=ACR122U)
    store = opened({**READER, "reader": "ACR122U"})
    band = pcscd.lay(BAND)
    until(lambda: band.shown() == [ACCEPTED], "the cue of the tap")
    until(lambda: bytes.fromhex("FF00520000") in [command for _, command in band.commands], "its own beep off")
    store.scan(1)
    until(lambda: band.shown() == [ACCEPTED] * 2, "the cue of the scan")
    store.fifos["till-1"].write(NOBODYS)
    until(lambda: band.shown() == [ACCEPTED, ACCEPTED, UNKNOWN], "the cue of what is nobody's")
    pcscd.pull(band)
    stranger = pcscd.lay(STRANGER)
    until(lambda: stranger.shown() == [SAVED], "the cue of one whom the cache does not know")
    store.scan(2)
    until(lambda: stranger.shown() == [SAVED, SAVED], "the cue of a scan that waits")
    name = until(lambda: store.of("tap.unknown"), "the stranger")[0]["data"]["pseudonym"]
    platform.customer("c-3", "k-3", "cart")
    platform.band(name, "c-3")
    until(lambda: stranger.shown() == [SAVED, SAVED, ACCEPTED], "the cue of one who is known now")


def test_bad_cues_harm_nothing(
    store: Store, platform: Platform, app: App, loudspeaker: Callable[[], list[str]], opened: Callable[..., Store]
) -> None:
    store.floor["claim"] = "3s"
    opened()
    store.scan(1)
    until(lambda: [line.split()[0] for line in loudspeaker()] == ["saved.wav", "unknown.wav"], "saved, then unclaimed")
    hanging = Path("/proc") / loudspeaker()[-1].split()[1]
    assert hanging.exists()
    store.tap(BAND)
    until(lambda: loudspeaker()[-1].startswith("accepted.wav"), "the newest cue does not wait for one that hangs")
    until(lambda: not hanging.exists(), "that one is ended")
    for number in range(2, 12):
        store.fifos["till-1"].write(NOBODYS)
        store.scan(number)
    until(lambda: app.cart == gtins(*range(2, 12)), "all items")
    told = settle(store, platform, app)
    assert told.count("scan.unclaimed") == 1
    log = store.log.read_text()
    assert log.count("[cue]: a cue failed: the player failed (3)") == 1
    assert "Traceback" not in log


async def test_the_newest_cue_wins_and_none_lasts_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cues, "LONGEST", 600)
    played: asyncio.Queue[str] = asyncio.Queue()

    class Device:
        async def cue(self, outcome: Outcome) -> None:
            played.put_nowait(outcome)
            if outcome == "unknown":
                raise RuntimeError(outcome)
            if outcome != "cannot":
                try:
                    await asyncio.Event().wait()
                finally:
                    played.put_nowait(f"no longer {outcome}")

    shown = Cues("device", Device())
    running = asyncio.create_task(shown.run())
    async with asyncio.timeout(10):
        shown.show("accepted")
        assert await played.get() == "accepted"
        for _ in range(1000):  # at once: the worst of them
            shown.show("saved")
            shown.show("unknown")
            shown.show("accepted")
        assert [await played.get(), await played.get()] == ["no longer accepted", "unknown"]
        monkeypatch.setattr(cues, "LONGEST", 0.2)
        shown.show("saved")
        assert [await played.get(), await played.get()] == ["saved", "no longer saved"]
        shown.show("saved")
        shown.show("accepted")
        assert [await played.get(), await played.get()] == ["accepted", "no longer accepted"]
        shown.show("cannot")
        assert await played.get() == "cannot"
    assert played.empty()
    running.cancel()
    await asyncio.wait([running])


async def test_a_reader_that_hangs_holds_up_one_thread_and_beeps_the_newest_afterwards(pcscd: Pcscd) -> None:
    pcscd.start(name=ACR122U)
    card = pcscd.lay(OTHER)
    driver = Driver(read_point="till-1")
    readings: asyncio.Queue[Reading] = asyncio.Queue()
    running = asyncio.create_task(driver.run(readings.put))
    assert await asyncio.wait_for(readings.get(), 10) == Ready(read_point="till-1")
    assert await asyncio.wait_for(readings.get(), 10) == Tap(read_point="till-1", value=OTHER)
    await asyncio.to_thread(until, lambda: not beeping(), "nothing is said to it")
    os.kill(pcscd.pid, signal.SIGSTOP)
    for _ in range(100):
        await driver.cue("saved")
    await driver.cue("unknown")
    assert len(beeping()) == 1
    os.kill(pcscd.pid, signal.SIGCONT)
    await asyncio.to_thread(until, lambda: UNKNOWN in card.shown() and not beeping(), "the newest cue")
    assert card.shown() in ([UNKNOWN], [SAVED, UNKNOWN])
    running.cancel()
    await asyncio.wait([running], timeout=10)


def beeping() -> list[threading.Thread]:
    """Return the threads that play cues."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("nfc-panel")]


def test_which_reader_is_which(pcscd: Pcscd, store: Store) -> None:
    pcscd.start(name=ACR122U)
    left, right = pcscd.lay(BAND, slot=0), pcscd.lay(OTHER, slot=1)
    until(lambda: min(left.polls, right.polls) > 1, "the cards are noticed")
    listed = store.command("devices", "--beep", "00 01").stdout
    assert f"# PC/SC reader {ACR122U} 00 01 beeps" in listed
    assert f"# PC/SC reader {ACR122U} 00 00 beeps" not in listed
    assert (left.shown(), right.shown()) == ([], [ACCEPTED])
    pcscd.pull(right)
    listed = store.command("devices", "--beep").stdout
    assert f"# PC/SC reader {ACR122U} 00 00 beeps" in listed
    assert re.search(r"00 01 does not beep: .* lay a card on it, or let the CCID driver pass escape commands", listed)
    assert left.shown() == [ACCEPTED]


def test_the_commands_of_an_acr1252u() -> None:
    said: list[str] = []
    behaviour = bytes([0x8F])

    def send(command: tuple[int, ...]) -> bytes:
        said.append(bytes(command).hex())
        return bytes.fromhex("E100000001") + (bytes([command[5]]) if len(command) > 5 else behaviour)

    panel._beep("ACS ACR1252 Dual Reader", send, panel._PATTERNS["saved"])
    assert said == ["e00000290103", "e0000028010a", "e0000028010a", "e00000290100"]
    said.clear()
    assert panel._silence("ACS ACR1252 Dual Reader", send)
    assert said == ["e000002100", "e00000210187"], "bit 3 is the beep at each card"
    behaviour, said[:] = bytes([0x87]), []
    assert panel._silence("ACS ACR1252 Dual Reader", send)
    assert said == ["e000002100"]


def test_the_kernel_has_taken_the_reader(tmp_path: Path) -> None:
    assert missing("", [], tmp_path) == "no PC/SC reader is attached; plug it in"
    (tmp_path / "module" / "pn533_usb").mkdir(parents=True)
    assert taken(tmp_path) == "", "the module alone harms nobody"
    device = tmp_path / "bus" / "usb" / "devices" / "1-1.2"
    device.mkdir(parents=True)
    (device / "idVendor").write_text("072f\n")
    (device / "idProduct").write_text("2200\n")
    assert "echo blacklist pn533_usb > /etc/modprobe.d/cartwire-nfc.conf" in missing("", [], tmp_path)
    assert "only ACR1252" in missing("ACR122U", ["ACR1252"], tmp_path), "PC/SC has a reader, if not that one"
