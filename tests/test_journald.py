"""What the machine's journal gets: once down, once up, each with what it is about; and nothing for each reading."""

from __future__ import annotations

import logging
import os
import shlex
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bands import BAND, OTHER
from edge.journald import Journal
from peers.journald import Journald
from peers.process import until
from peers.store import Store, pseudonym

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from conftest import Platform
    from peers.app import App
    from peers.brokers import Mosquitto

LONG = 6.0
"""Seconds of an outage in which each part tries again and again."""


@pytest.fixture
def journal(tmp_path: Path, ended: ExitStack) -> Journald:
    """Start one."""
    journald = Journald(tmp_path)
    ended.callback(journald.close)
    return journald


def in_it(store: Store, journal: Journald, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the store's daemon be started as a service: its standard error is tied to the journal."""
    store.log.touch()
    tied = store.log.stat()
    command = [*journal.inside, "env", f"JOURNAL_STREAM={tied.st_dev}:{tied.st_ino}"]
    monkeypatch.setenv("CARTWIRE", shlex.join([*command, str(Path(sys.executable).with_name("cartwire"))]))


def states(journal: Journald, field: str) -> list[str]:
    return [entry["CARTWIRE_STATE"] for entry in journal.entries(field) if "CARTWIRE_STATE" in entry]


class Scanner:
    """A scanner on a serial line, whose cable is pulled and put in."""

    def __init__(self, path: Path) -> None:
        """Choose where it is; it is not in."""
        self.path = path
        self._ends: tuple[int, ...] = ()

    def plug(self) -> None:
        """Put it in."""
        self._ends = os.openpty()
        self.path.symlink_to(os.ttyname(self._ends[1]))

    def pull(self) -> None:
        """Pull it."""
        self.path.unlink()
        for end in self._ends:
            os.close(end)


def test_an_outage_is_two_lines(
    opened: Callable[..., Store],
    store: Store,
    platform: Platform,
    broker: Mosquitto,
    app: App,
    journal: Journald,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Broker, platform and a scanner are away, and tried all the time: one line as each goes, one as it comes."""
    in_it(store, journal, monkeypatch)
    scanner = Scanner(store.folder / "scanner")
    scanner.plug()
    opened({"kind": "serialport", "read_point": "till-2", "path": str(scanner.path)})
    store.tap(BAND)
    store.scan(1)
    until(store.settled, store.tail, 30)
    broker.kill()
    platform.kill()
    scanner.pull()
    store.tap(OTHER)
    abouts = ("CARTWIRE_SINK=cart", "CARTWIRE_SINK=platform", "CARTWIRE_LINE=platform", "CARTWIRE_FEED=platform")
    until(lambda: all(states(journal, about)[-1] == "unavailable" for about in abouts), "all to be missed", 60)
    until(lambda: states(journal, "CARTWIRE_DRIVER=serialport@till-2") == ["lost"], "the scanner to be missed", 30)
    end = time.monotonic() + LONG
    until(lambda: time.monotonic() > end, "some time to pass")
    broker.start()
    platform.start()
    scanner.plug()
    until(lambda: states(journal, "CARTWIRE_DRIVER=serialport@till-2")[-1] == "ok", "the scanner to be back", 30)
    until(lambda: all(states(journal, about)[-1] == "ok" for about in abouts), "all to be back", 90)

    told = {about: states(journal, about) for about in abouts}
    assert {about: all[all.index("ok") :] for about, all in told.items()} == {
        about: ["ok", "unavailable", "ok"] for about in abouts
    }
    lost, back = journal.entries("CARTWIRE_DRIVER=serialport@till-2")
    assert (lost["PRIORITY"], lost["CARTWIRE_STATE"], lost["LOGGER"]) == ("4", "lost", "edge.supervisor")
    assert lost["MESSAGE"].startswith("serialport@till-2: lost: ")
    assert (Path(lost["CODE_FILE"]).name, back["CARTWIRE_STATE"]) == ("supervisor.py", "ok")
    said = [entry["MESSAGE"] for entry in journal.entries()]
    assert not [line for line in said if "cue at" in line], "a line for each reading"
    people = (BAND, OTHER, pseudonym("nfc", BAND), pseudonym("nfc", OTHER), "c-1", "c-2", "k-1", "k-2")
    assert not [line for line in said for word in people if word in line]
    assert len(said) < 40, said
    assert store.log.read_text() == "", "nothing is said twice"


def test_on_a_terminal_it_is_text(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also for who was started by a service but writes elsewhere."""
    monkeypatch.setenv("JOURNAL_STREAM", "1:2")
    store.start()
    store.ready()
    store.tap(BAND)
    until(lambda: "INFO cue at till-1: " in store.log.read_text(), store.tail)


def test_an_error_with_its_lines_is_one_entry(journal: Journald, tmp_path: Path) -> None:
    """A value may hold lines, signs of all languages, and more than there is room for."""
    code = (
        "import logging, os; from edge import journald;"
        "os.environ['JOURNAL_STREAM'] = '{0.st_dev}:{0.st_ino}'.format(os.fstat(2));"
        "logging.basicConfig(level=logging.INFO, handlers=[journald.handler()]);"
        "logging.error('계산대\\nMESSAGE=forged', extra=journald.about(driver='nfc@계산대', state='lost'));"
        "logging.info('x' * 500_000)\n"
        "try: 1 / 0\nexcept ZeroDivisionError: logging.exception('a fault')"
    )
    done = subprocess.run(
        [*journal.inside, sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stderr == ""
    error, long, fault = until(lambda: found if len(found := journal.entries()) == 3 else None, "three entries")
    assert (error["MESSAGE"], error["PRIORITY"]) == ("계산대\nMESSAGE=forged", "3")
    assert error["CARTWIRE_DRIVER"] == "nfc@계산대"
    assert len(long["MESSAGE"]) == 30_000
    assert "ZeroDivisionError" in fault["MESSAGE"]


class Beside(logging.Handler):
    """Where the text goes that the journal does not get."""

    def __init__(self) -> None:
        """Keep it."""
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


def line(text: str) -> logging.LogRecord:
    return logging.makeLogRecord({"name": "x", "levelno": logging.INFO, "msg": text})


def test_without_a_journal_it_is_text_after_all(tmp_path: Path) -> None:
    handler = Journal(beside := Beside(), str(tmp_path / "socket"))
    handler.emit(line("a"))
    handler.close()
    assert beside.said == ["a"]


def test_a_journal_that_hangs_costs_lines_and_no_time(tmp_path: Path) -> None:
    """Nothing is waited for, also not on standard error, which leads to it too; it hears how many are lost."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as taker:
        taker.bind(str(tmp_path / "socket"))
        taker.setblocking(False)

        def taken() -> list[str]:
            found = []
            with suppress(BlockingIOError):
                while True:
                    found.append(taker.recv(100_000).decode().splitlines()[0].removeprefix("MESSAGE="))
            return found

        handler = Journal(beside := Beside(), str(tmp_path / "socket"))
        for number in range(5000):
            handler.emit(line(str(number)))
        before = taken()
        handler.emit(line("back"))
        handler.emit(line("again"))
        after = taken()
        handler.close()
    assert 0 < len(before) < 5000
    assert before == [str(number) for number in range(len(before))]
    assert after == [f"{5000 - len(before)} lines of the log are lost: the journal took nothing", "back", "again"]
    assert beside.said == []
