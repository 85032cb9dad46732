"""What systemd is to a service: the socket that it is told on, and a watchdog."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from peers.store import Store


class Systemd:
    """Starts services and hears what they say; `watchdog` seconds without food are too long."""

    def __init__(self, folder: Path, watchdog: float) -> None:
        """Listen in the folder, which has a short name."""
        path = folder / "notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(os.fsencode(path))
        self._watchdog = watchdog
        self._fed_at = 0.0
        self._environment = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": str(round(watchdog * 1e6))}
        self.said: list[str] = []
        """All lines so far, as of the last look."""

    def start(self, store: Store) -> None:
        """Start a store's daemon, and let nobody else know where to speak."""
        os.environ.update(self._environment)
        try:
            store.start()
        finally:
            for name in self._environment:
                del os.environ[name]

    def close(self) -> None:
        """Hear nothing more."""
        self._socket.close()

    def count(self, line: str) -> int:
        """Return how often that was said."""
        self._hear()
        return self.said.count(line)

    @property
    def status(self) -> str:
        """The STATUS= that is shown."""
        self._hear()
        return next((line for line in reversed(self.said) if line.startswith("STATUS=")), "")

    @property
    def acts(self) -> bool:
        """Whether the watchdog has gone hungry by now: the service would be killed and started again."""
        self._hear()
        return time.monotonic() - self._fed_at > self._watchdog

    def _hear(self) -> None:
        with suppress(BlockingIOError):
            while True:
                lines = self._socket.recv(65536).decode().split("\n")
                self.said += lines
                if "WATCHDOG=1" in lines:
                    self._fed_at = time.monotonic()
