"""A contactless reader with two slots at the real pcscd, and cards to lay on it.

pcscd listens on a fixed path, so it gets a /run of its own; a client finds it by PCSCLITE_CSOCK_NAME. The reader is
Debian's vpcd, which listens on one TCP port a slot and is polled every 0.4 s; a card is what connects there. Frames:
two bytes of length, then a command of one byte (0 off, 1 on, 2 reset, 4 "your ATR") or a longer APDU. vpcd hands on
what is meant for the reader too, so the card sees the commands for the reader's buzzer and lamp.
"""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from peers.process import Child, free_port, until

if TYPE_CHECKING:
    from pathlib import Path

ATR = bytes.fromhex("3B8F8001804F0CA0000003060300030000000068")  # an NTAG's
GET_UID = bytes.fromhex("FFCA000000")
SUCCESS = bytes.fromhex("9000")
UNKNOWN = bytes.fromhex("6D00")
READ = bytes.fromhex("FFB000")
PANEL = (bytes.fromhex("FF0040"), bytes.fromhex("FF0052"))
REFUSED = bytes.fromhex("6300")
NAMES = ("Virtual PCD 00 00", "Virtual PCD 00 01")


def text_record(text: str) -> bytes:
    """Return an NDEF message: one text record, in English and UTF-8."""
    payload = b"\2en" + text.encode()
    return b"\xd1\1" + bytes([len(payload)]) + b"T" + payload


def written(message: bytes) -> bytes:
    """Return the memory of an NTAG from page 4 on with this message: behind the TLV that its maker leaves."""
    length = bytes([len(message)]) if len(message) < 255 else b"\xff" + len(message).to_bytes(2)
    return bytes.fromhex("0103A00C34") + b"\3" + length + message + b"\xfe"


class Card:
    """A card on the reader from now until it is pulled; `answer` is what it gives for its UID."""

    def __init__(self, port: int, answer: bytes, memory: bytes) -> None:
        """Lay it on the slot of this port; `memory` is what it holds from page 4 on, and none cannot be read."""
        self.polls = 0
        self.asked = 0
        self.commands: list[tuple[float, bytes]] = []
        """What else it was asked, and when (CLOCK_MONOTONIC); what is for an ACR122U that reader has carried out."""
        self._answer = answer
        self._memory = memory
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def pull(self) -> None:
        """Take it away."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._socket.close()

    def _serve(self) -> None:
        with suppress(OSError), self._socket.makefile("rb") as frames:
            while len(length := frames.read(2)) == 2:
                command = frames.read(int.from_bytes(length))
                if command == b"\4":
                    self.polls += 1
                    self._say(ATR)
                elif len(command) > 1:
                    self._say(self._answered(command))

    def _answered(self, command: bytes) -> bytes:
        if command == GET_UID:
            self.asked += 1
            return self._answer
        if command.startswith(READ) and self._memory:
            place = (command[3] - 4) * 4
            found = self._memory[place : place + command[4]]
            return found.ljust(command[4], b"\0") + SUCCESS if place >= 0 and found else REFUSED
        self.commands.append((time.monotonic(), command))
        return SUCCESS if command.startswith(PANEL) else UNKNOWN

    def shown(self) -> list[str]:
        """Return what the reader's buzzer and lamps were told, in hex."""
        return [command.hex() for _, command in self.commands if command.startswith(PANEL[0])]

    def _say(self, payload: bytes) -> None:
        self._socket.sendall(len(payload).to_bytes(2) + payload)


class Pcscd:
    """pcscd with that reader, in a folder of its own; it needs root, or user namespaces."""

    def __init__(self, folder: Path) -> None:
        """Nothing runs before `start`."""
        self.folder = folder
        self.socket = folder / "run" / "pcscd" / "pcscd.comm"
        self.cards: list[Card] = []
        self._port = 0
        self._child: Child | None = None

    def start(self, *, reader: bool = True, name: str = "Virtual PCD") -> None:
        """Start it, with or without the reader of this name, and return when it answers."""
        run, conf = self.folder / "run", self.folder / "conf"
        for folder in (run, conf):
            shutil.rmtree(folder, ignore_errors=True)  # what a killed one left keeps the next from starting
            folder.mkdir()
        if reader:
            # Chosen now, for vpcd gives up both slots if anybody has taken one of the ports meanwhile.
            self._port = free_port(len(NAMES))
            driver = "/usr/lib/pcsc/drivers/serial/libifdvpcd.so"
            device = f'FRIENDLYNAME "{name}"\nDEVICENAME /dev/null:{self._port}\nLIBPATH {driver}\nCHANNELID 1\n'
            (conf / "vpcd").write_text(device)
        alone = ["unshare", "--mount", *(["--map-root-user"] if os.geteuid() else [])]
        inside = 'mount --bind "$0" /run && exec /usr/sbin/pcscd --foreground --info --config "$1"'
        self._child = Child([*alone, "sh", "-c", inside, str(run), str(conf)], self.folder / "pcscd.log")
        self._child.line("daemon ready")
        until(self._answers, "pcscd answers, for it is ready before it listens")
        assert "Could not initialize" not in self._child.text(), self._child.text()

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client, suppress(OSError):
            client.connect(str(self.socket))
            return True
        return False

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._child is not None
        return self._child.pid

    def lay(self, uid: str = "", answer: bytes = b"", slot: int = 0, memory: bytes = b"") -> Card:
        """Lay a card on a slot: one with this UID, or with another answer."""
        card = Card(self._port + slot, answer or bytes.fromhex(uid) + SUCCESS, memory)
        self.cards.append(card)
        return card

    def pull(self, card: Card) -> None:
        """Take a card away, and wait until that was noticed: vpcd may take a quick swap for the same card."""
        child = self._child
        assert child is not None
        removals = child.text().count("Card Removed")
        card.pull()
        self.cards.remove(card)
        until(lambda: child.text().count("Card Removed") > removals, "the card's removal")

    def kill(self) -> None:
        """End it as a crash does; the cards go with it."""
        if self._child is not None:
            self._child.kill()
        while self.cards:
            self.cards.pop().pull()
