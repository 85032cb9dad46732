"""Real MQTT brokers on a loopback port that stays the same over stops, kills and starts."""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from peers.process import Child, free_port, until

if TYPE_CHECKING:
    from collections.abc import Iterable


class Broker:
    """A broker in a folder of its own; `protocol` is the highest MQTT version it speaks."""

    protocol: ClassVar[str]

    def __init__(self, folder: Path) -> None:
        """Choose the port; nothing runs before `start`."""
        folder.mkdir(parents=True)
        self.folder = folder
        self.port = free_port()
        self._child: Child | None = None

    @property
    def url(self) -> str:
        """Its address as a configuration has it."""
        return f"mqtt://127.0.0.1:{self.port}"

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return self._child is not None and self._child.running

    def start(self) -> None:
        """Start it, if it does not run, and return when it takes connections."""
        if not self.running:
            self._child = Child(self._command(), self.folder / "broker.log")
        until(self._listening, f"{type(self).__name__} on port {self.port}")

    def stop(self) -> None:
        """End it as a service manager does: it may save what it wants to."""
        if self._child is not None:
            self._child.terminate()

    def kill(self) -> None:
        """End it as a power cut does."""
        if self._child is not None:
            self._child.kill()

    def restart(self) -> None:
        """Stop it and start it again on the same port."""
        self.stop()
        self.start()

    def _listening(self) -> bool:
        if not self.running:
            message = f"the broker ended:\n{(self.folder / 'broker.log').read_text()[-2000:]}"
            raise AssertionError(message)
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def _command(self) -> list[str]:
        raise NotImplementedError


class Mosquitto(Broker):
    """Debian's mosquitto, MQTT 5; `keeps`: with persistence, saved at a stop, not at a kill."""

    protocol = "5"

    def __init__(
        self, folder: Path, *, keeps: bool = False, deny: Iterable[str] = (), more: Iterable[str] = ()
    ) -> None:
        """Write its configuration; `deny`: topics that nobody may write to or read; `more` lines."""
        super().__init__(folder)
        lines = [f"listener {self.port} 127.0.0.1", "allow_anonymous true", "max_queued_messages 0"]
        if os.geteuid() == 0:
            lines.append("user root")  # it would become a user that may not read this folder
        if keeps:
            lines += ["persistence true", f"persistence_location {folder}/"]
        if denied := [f"topic deny {topic}" for topic in deny]:
            self._acl = folder / "acl"
            self._acl.write_text("\n".join(["topic readwrite #", *denied, ""]))
            lines.append(f"acl_file {self._acl}")
        (folder / "mosquitto.conf").write_text("\n".join([*lines, *more]) + "\n")

    def allow(self) -> None:
        """Deny nothing any more."""
        self._acl.write_text("topic readwrite #\n")
        assert self._child is not None
        os.kill(self._child.pid, signal.SIGHUP)
        self._child.line("Reloading config")

    def _command(self) -> list[str]:
        return ["/usr/sbin/mosquitto", "-c", str(self.folder / "mosquitto.conf")]


class Nats(Broker):
    """nats-server, MQTT 3.1.1: sessions and QoS 1 on disk, each write synced, also at a kill."""

    protocol = "3.1.1"

    def __init__(self, folder: Path) -> None:
        """Write its configuration."""
        super().__init__(folder)
        (folder / "nats.conf").write_text(
            f'server_name: "test-{self.port}"\n'
            "host: 127.0.0.1\n"
            "port: -1\n"
            f'jetstream {{ store_dir: "{folder}/jetstream", sync_interval: always }}\n'
            f"mqtt {{ host: 127.0.0.1, port: {self.port} }}\n"
        )

    def _command(self) -> list[str]:
        server = Path(sys.executable).with_name("nats-server")
        return [str(server), "-c", str(self.folder / "nats.conf")]
