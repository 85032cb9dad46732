"""Where the log goes: text on standard error, or, where systemd has tied that to its journal, entries with fields.

An entry says what it is about in fields that can be asked for: `journalctl -u cartwire CARTWIRE_DRIVER=nfc@till-1`.
The protocol is systemd's native one: a datagram of `NAME=value` lines, or with the length where a value has lines.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Iterator

SOCKET = "/run/systemd/journal/socket"
_LONGEST = 30_000
"""Characters of a message: a datagram holds a few times as many bytes."""
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
"""By the least level: syslog(3)'s."""

EACH = {"each": True}
"""For `extra`, of a line for each reading: a terminal shows it, the journal is to hold what changes."""


def about(**fields: str) -> dict[str, object]:
    """For `extra`: what a line is about, such as driver and state: in the journal CARTWIRE_DRIVER, CARTWIRE_STATE."""
    return {"about": fields}


def handler() -> logging.Handler:
    """What writes the log from here on."""
    text = logging.StreamHandler(sys.stderr)
    text.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    return Journal(text, SOCKET) if _is_ours(os.environ.get("JOURNAL_STREAM", "")) else text


def _is_ours(stream: str) -> bool:
    """A child whose standard error leads elsewhere inherits the variable all the same."""
    try:
        ours = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):
        return False
    return stream == f"{ours.st_dev}:{ours.st_ino}"


class Journal(logging.Handler):
    """Sends entries to the socket `address`, and waits for nothing.

    Without a journal they go to `beside`. What one that hangs has no room for is dropped and counted, and not written
    there: under systemd standard error leads to the same journal, and would be waited for.
    """

    def __init__(self, beside: logging.Handler, address: str) -> None:
        super().__init__()
        self._beside = beside
        self._address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._dropped = 0
        self.addFilter(lambda record: not hasattr(record, "each"))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if self._dropped:
                self._send(_lost(self._dropped))
                self._dropped = 0
            self._send(record)
        except BlockingIOError:
            self._dropped += 1
        except (
            OSError,
            TypeError,
            ValueError,
        ):  # or it is a line that cannot be put together: the text handler says so
            self._beside.emit(record)

    def _send(self, record: logging.LogRecord) -> None:
        self._socket.sendto(b"".join(_field(*field) for field in _fields(record)), self._address)

    def close(self) -> None:
        self._socket.close()
        super().close()


def _lost(lines: int) -> logging.LogRecord:
    text = "%d lines of the log are lost: the journal took nothing"
    return logging.LogRecord(__name__, logging.WARNING, __file__, 0, text, (lines,), None)


def _fields(record: logging.LogRecord) -> Iterator[tuple[str, str]]:
    yield "MESSAGE", logging.Formatter("%(message)s").format(record)[:_LONGEST]
    yield "PRIORITY", str(next((to for least, to in _PRIORITIES if record.levelno >= least), 7))
    yield "SYSLOG_IDENTIFIER", "cartwire"
    yield "LOGGER", record.name
    yield "CODE_FILE", record.pathname
    yield "CODE_LINE", str(record.lineno)
    yield "CODE_FUNC", record.funcName or ""
    about: dict[str, str] = getattr(record, "about", {})
    yield from ((f"CARTWIRE_{name.upper()}", value) for name, value in about.items())


def _field(name: str, value: str) -> bytes:
    data = value.encode(errors="replace")
    if b"\n" in data:
        return name.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"
    return name.encode() + b"=" + data + b"\n"
