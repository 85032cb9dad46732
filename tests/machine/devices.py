"""What is plugged into the machine: a card reader's cards, a scanner that types, a scanner on a serial line."""

from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from peers.card import ATR, GET_UID, SUCCESS, UNKNOWN
from peers.gtin import gtin13

if TYPE_CHECKING:
    from pathlib import Path

    from machine.channel import Channel

# The messages between QEMU's CCID reader and a card that is played outside: vscard_common.h of libcacard.
INIT, ERROR, READER_ADD, CARD_ATR, CARD_REMOVE, APDU = 1, 2, 3, 5, 6, 7
HEADER = struct.Struct(">III")
READER = 0
VERSION = 2

KEY_HELD = 0.015
"""Seconds: a keyboard on USB is asked every 8 ms or so."""


class Cards:
    """The side of the reader's slot where cards are laid."""

    def __init__(self, path: Path) -> None:
        """Connect to the reader, whose slot is empty."""
        self._answer = UNKNOWN
        self._lock = threading.Lock()
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._send(INIT, b"VSCD" + struct.pack(">II", VERSION, 0))
        self._send(READER_ADD, b"cards\0")
        self._thread = threading.Thread(target=self._serve, name="cards", daemon=True)
        self._thread.start()

    def lay(self, uid: str) -> None:
        """Lay a card on the reader."""
        self._answer = bytes.fromhex(uid) + SUCCESS
        self._send(CARD_ATR, ATR)

    def pull(self) -> None:
        """Take it away."""
        self._send(CARD_REMOVE, b"")

    def close(self) -> None:
        """Leave the reader."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._socket.close()

    def _send(self, kind: int, payload: bytes) -> None:
        with self._lock, suppress(BrokenPipeError):
            self._socket.sendall(HEADER.pack(kind, READER, len(payload)) + payload)

    def _serve(self) -> None:
        with suppress(OSError), self._socket.makefile("rb") as messages:
            while len(head := messages.read(HEADER.size)) == HEADER.size:
                kind, _, length = HEADER.unpack(head)
                payload = messages.read(length)
                if kind == APDU:
                    self._send(APDU, self._answer if payload == GET_UID else UNKNOWN)


class Typing:
    """The scanner that is a keyboard."""

    def __init__(self, qmp: Channel) -> None:
        """Use QEMU's channel."""
        self._qmp = qmp

    def scan(self, number: int) -> str:
        """Type the code of the product of this number, and Enter; return it."""
        text = gtin13(number)
        for key in [*text, "ret"]:
            for down in (True, False):
                value = {"type": "qcode", "data": key}
                event = {"type": "key", "data": {"down": down, "key": value}}
                self._qmp.ask("input-send-event", events=[event])
                time.sleep(KEY_HELD)  # no wait for anything: this is how long a key is held
        return text


class SerialLine:
    """The scanner on a serial line."""

    def __init__(self, path: Path) -> None:
        """Connect to QEMU's end of it."""
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(60)
        self._socket.connect(str(path))

    def scan(self, number: int) -> str:
        """Send the code of the product of this number; return it."""
        text = gtin13(number)
        self._socket.sendall(b"]E0" + text.encode() + b"\r")
        return text

    def close(self) -> None:
        """Pull it out here; in the machine nothing is seen of that."""
        self._socket.close()
