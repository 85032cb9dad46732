"""What systemd hears of the daemon: ready without anybody else, alive only while loop and writer are, stopping."""

from __future__ import annotations

import re
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from bands import BAND, OTHER
from peers.process import STOP, until
from peers.store import Store, pseudonym
from peers.strike import Struck
from peers.systemd import Systemd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import ExitStack

    from conftest import Platform
    from peers.brokers import Mosquitto

CUT = "takes taps and scans, platform unavailable, cart unavailable"
WATCHDOG = 9.0
"""Seconds; the daemon feeds it every three."""
STUCK = 60_000_000
"""Microseconds that a system call takes which hangs."""


@pytest.fixture
def systemd() -> Iterator[Systemd]:
    """Be what starts the daemons of a test."""
    with TemporaryDirectory(prefix="systemd-") as folder:
        peer = Systemd(Path(folder), WATCHDOG)
        yield peer
        peer.close()


@contextmanager
def hanging(thread: int, call: str) -> Iterator[None]:
    """This call of this thread hangs; others go on."""
    inject = ["-e", f"trace={call}", "-e", f"inject={call}:delay_enter={STUCK}"]
    with subprocess.Popen(["strace", "-qq", "-o", "/dev/null", "-p", str(thread), *inject]) as strace:
        try:
            yield
        finally:
            strace.kill()  # and not asked to end: then it would wait until the call is over


def fed(systemd: Systemd, times: int = 3) -> None:
    """Wait for food."""
    enough = systemd.count("WATCHDOG=1") + times
    until(lambda: systemd.count("WATCHDOG=1") >= enough, "food for the watchdog", 20)


def test_ready_without_broker_and_platform_and_never_hungry_for_them(
    store: Store, platform: Platform, broker: Mosquitto, systemd: Systemd
) -> None:
    """Neither is there at the start; then they come and go. A dead sink is no reason to start again."""
    broker.stop()
    platform.kill()
    systemd.start(store)
    until(lambda: systemd.count("READY=1"), "the daemon to be ready")
    store.tap(BAND)
    until(lambda: store.of("tap.unknown"), "a tap to be taken")
    until(lambda: systemd.status == f"STATUS={CUT}", lambda: f"its status, not {systemd.status}", 20)
    broker.start()
    platform.start()
    until(lambda: systemd.status == "STATUS=takes taps and scans, platform ok, cart ok", "the links", 20)
    broker.kill()
    platform.kill()
    store.tap(OTHER)
    until(lambda: systemd.status == f"STATUS={CUT}", lambda: f"its status, not {systemd.status}", 20)
    end = time.monotonic() + 2 * WATCHDOG
    until(lambda: systemd.acts or time.monotonic() > end, "some time to pass")
    assert not systemd.acts
    assert systemd.count("READY=1") == 1

    assert systemd.count("STOPPING=1") == 0
    store.stop()
    assert systemd.count("STOPPING=1") == 1


def test_a_loop_that_hangs_is_not_fed_for(store: Store, systemd: Systemd) -> None:
    systemd.start(store)
    until(lambda: systemd.count("READY=1"), "the daemon to be ready")
    fed(systemd)
    with hanging(store.pid, "epoll_wait,epoll_pwait,epoll_pwait2"):
        until(lambda: systemd.acts, "the watchdog to act", 4 * WATCHDOG)
    fed(systemd)


def test_a_writer_that_hangs_is_not_fed_for(
    broker: Mosquitto, platform: Platform, tmp_path: Path, ended: ExitStack, systemd: Systemd
) -> None:
    """The disk does not answer the thread: the loop goes on, and the page with it, but no tap can be taken."""
    store = Struck(tmp_path / "store", cart={"broker": broker.url, "protocol": "5"}, platform=platform.table)
    ended.callback(store.close)
    platform.customer("c-1", "k-1", "cart")
    platform.band(pseudonym("nfc", BAND), "c-1")
    store.start()
    store.ready()
    platform.wait_pulled()
    store.stop()
    store.fault, store.about = f"fdatasync:delay_enter={STUCK}:when=3+", store.data / "cartwire.db-wal"
    systemd.start(store)
    until(lambda: systemd.count("READY=1"), "the daemon to be ready", 30)
    until(lambda: systemd.acts, "the watchdog to act", 30)
    for number in range(3):
        store.tap(BAND)
        store.scan(number)
    assert store.page("/")[0] == 200
    at_work = re.search(r"^cartwire_commit_at_work_seconds ([0-9.]+)$", store.page("/metrics")[2], re.MULTILINE)
    assert at_work
    assert float(at_work[1]) > 1, "the figures are told all the same"
    store.mend()
    fed(systemd)
    until(lambda: len(store.of("cart.item_added")) == 3, "what was scanned meanwhile")


def test_what_was_read_is_kept_at_the_stop_though_the_disk_is_slow(
    broker: Mosquitto, platform: Platform, tmp_path: Path, ended: ExitStack, systemd: Systemd
) -> None:
    store = Struck(tmp_path / "store", cart={"broker": broker.url, "protocol": "5"}, platform=platform.table)
    ended.callback(store.close)
    store.fault, store.about = "fdatasync:delay_enter=200000:when=8+", store.data / "cartwire.db-wal"
    systemd.start(store)
    store.ready(30)
    store.tap(BAND)
    until(lambda: store.of("tap.unknown"), "the session to begin")
    for number in range(5):
        store.scan(number)
    until(lambda: store.fifos["till-1"].unread() == 0, "the driver to read them")
    store.page("/")  # and the loop to have gone round
    begun = time.monotonic()
    store.stop()
    assert time.monotonic() - begun < STOP
    assert systemd.count("STOPPING=1") == 1
    store.fault = None
    store.start()
    store.ready()
    assert store.status()["held"] == 5
