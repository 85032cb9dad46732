"""Two sockets of QEMU that speak JSON in lines: its own (QMP), and that of the agent inside the machine."""

from __future__ import annotations

import base64
import json
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peers.process import until

if TYPE_CHECKING:
    from pathlib import Path


class Refused(Exception):
    """What the other side said instead of doing it."""


class Channel:
    """Asks on a Unix socket; what comes unasked is passed over."""

    def __init__(self, path: Path) -> None:
        """Connect as soon as somebody listens there."""
        self._path, self._rest = path, b""
        self._socket = socket.socket(socket.AF_UNIX)
        until(self._connected, f"somebody to listen at {path}", 30)

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def ask(self, command: str, seconds: float = 30, **arguments: object) -> Any:
        """Return the answer. Raises Refused, TimeoutError."""
        self._say({"execute": command, "arguments": arguments})
        end = time.monotonic() + seconds
        while True:
            line = self._line(end)
            if "error" in line:
                raise Refused(f"{command}: {line['error'].get('desc')}")
            if "return" in line:
                return line["return"]

    def _connected(self) -> bool:
        with suppress(FileNotFoundError, ConnectionRefusedError):  # QEMU makes the file before it listens
            self._socket.connect(str(self._path))
            return True
        return False

    def _say(self, message: object) -> None:
        self._socket.sendall(json.dumps(message).encode() + b"\n")

    def _line(self, end: float) -> dict[str, Any]:
        while b"\n" not in self._rest:
            self._socket.settimeout(max(0.01, end - time.monotonic()))
            more = self._socket.recv(65536)
            if not more:
                raise TimeoutError("hung up")
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\n")
        answer: dict[str, Any] = json.loads(line.lstrip(b"\xff"))
        return answer


def qmp(path: Path) -> Channel:
    """QEMU's own, ready for commands."""
    channel = Channel(path)
    channel.ask("qmp_capabilities")
    return channel


@dataclass(frozen=True)
class Done:
    """How a command inside the machine ended."""

    code: int
    out: str
    err: str


class Agent:
    """The agent inside the machine, which is root there. It needs no network, and knows nothing of a time between."""

    def __init__(self, path: Path) -> None:
        """Nobody need be there yet."""
        self._path = path
        self._channel = Channel(path)

    def wait(self, seconds: float = 300) -> None:
        """Wait until it answers; what was said before is forgotten."""
        until(self._synchronised, "the agent inside the machine to answer", seconds)

    def close(self) -> None:
        """Hang up."""
        self._channel.close()

    def start(self, command: str) -> int:
        """Start a command of the shell and return its number."""
        more = {"capture-output": True}
        pid: int = self._channel.ask("guest-exec", path="/bin/bash", arg=["-c", command], **more)["pid"]
        return pid

    def run(self, command: str, seconds: float = 120) -> Done:
        """Run a command of the shell to its end."""
        pid = self.start(command)

        def ended() -> dict[str, Any] | None:
            status: dict[str, Any] = self._channel.ask("guest-exec-status", pid=pid)
            return status if status["exited"] else None

        status = until(ended, lambda: f"the end of: {command}", seconds)
        assert status is not None
        out, err = (
            base64.b64decode(status.get(name, "")).decode(errors="replace") for name in ("out-data", "err-data")
        )
        return Done(status.get("exitcode", -status.get("signal", 0)), out, err)

    def say(self, command: str, seconds: float = 120) -> str:
        """Return what a command says that succeeds."""
        done = self.run(command, seconds)
        assert done.code == 0, f"{command}: exit {done.code}: {done.out[-3000:]}{done.err[-3000:]}"
        return done.out

    def _synchronised(self) -> bool:
        with suppress(TimeoutError, Refused, OSError, ValueError):
            number = time.monotonic_ns()
            self._channel._say({"execute": "guest-sync", "arguments": {"id": number}})
            end = time.monotonic() + 2
            while self._channel._line(end).get("return") != number:
                pass
            return True
        return False
