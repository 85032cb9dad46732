"""The brokers of `config/`, started from these very files: other paths and ports, and a judge who hears everything."""

from __future__ import annotations

import re
import ssl
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from peers.brokers import Broker, Mosquitto, Nats
from peers.process import free_port

if TYPE_CHECKING:
    from collections.abc import Mapping

    from peers.tls import Authority

CONFIG = Path(__file__).parent.parent.parent / "config"
CARTS = ("k7f3a9", "k7f3b0")
JUDGE = "judge"


@dataclass(frozen=True)
class Door:
    """How somebody comes in."""

    port: int
    tls: ssl.SSLContext | None = None
    login: tuple[str, str] | None = None


class Guarded(Broker):
    """`port` is where gateways come in. The authority issues the broker's certificate and those of its clients."""

    rights: str
    """The file that says what gateways may do."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        """Copy the broker's certificate and key."""
        super().__init__(folder)
        self.authority = authority
        (folder / "broker.pem").write_bytes(authority.certificate.read_bytes())
        (folder / "broker.key").write_bytes(authority.key.read_bytes())

    def door(self, name: str) -> Door:
        """Return that of a gateway or the platform, by its CN, of an app, by its cart, or of the judge."""
        return Door(self.port, self.trusting(self.authority.issue(name)))

    def trusting(self, certificate: tuple[Path, Path] | None = None) -> ssl.SSLContext:
        """Return a client's side of TLS."""
        tls = ssl.create_default_context(cafile=self.authority.ca)
        if certificate:
            tls.load_cert_chain(*certificate)
        return tls

    def allow_discovery(self) -> None:
        """Take the comment signs off, as the files say, before a start."""
        path = self.folder / self.rights
        text, count = re.subn("(?m)^( *)# (.*homeassistant[/.]device)", r"\1\2", path.read_text())
        assert count == 2, f"{path.name}: a line for each gateway"
        path.write_text(text)

    def _write(self, source: str, changes: Mapping[str, str]) -> None:
        """Copy a file of `config`; each change is of a pattern that is there."""
        text = (CONFIG / source).read_text()
        for pattern, by in changes.items():
            text, count = re.subn(pattern, by, text)
            assert count, f"{source}: no {pattern}"
        (self.folder / Path(source).name).write_text(text)


class GuardedMosquitto(Guarded):
    """In a store: apps have passwords and a door of their own."""

    protocol = Mosquitto.protocol
    rights = "gateways.acl"

    def __init__(self, folder: Path, authority: Authority) -> None:
        """Copy the files."""
        super().__init__(folder, authority)
        (folder / "gateways-ca.pem").write_bytes(authority.ca.read_bytes())
        self._apps, self._judge = free_port(), free_port()
        changes = {
            "/etc/mosquitto/(certs/)?": f"{folder}/",
            "(?m)^listener 8883$": f"user root\nlistener {self.port} 127.0.0.1",
            "(?m)^listener 8884$": f"listener {self._apps} 127.0.0.1",
            r"\Z": f"persistence_location {folder}/\nlistener {self._judge} 127.0.0.1\nallow_anonymous true\n",
        }
        self._write("mosquitto/cartwire.conf", changes)
        self._write("mosquitto/gateways.acl", {})
        self._write("mosquitto/apps.acl", {})
        passwords = folder / "apps.passwd"
        passwords.touch()
        for cart in CARTS:
            subprocess.run(["mosquitto_passwd", "-b", passwords, cart, f"password of {cart}"], check=True, timeout=60)

    def door(self, name: str) -> Door:
        """As above."""
        if name in CARTS:
            return Door(self._apps, self.trusting(), (name, f"password of {name}"))
        return Door(self._judge) if name == JUDGE else super().door(name)

    def _listening(self) -> bool:
        """Also at the other doors."""
        return super()._listening() and " running" in (self.folder / "broker.log").read_text()

    def _command(self) -> list[str]:
        return ["/usr/sbin/mosquitto", "-c", str(self.folder / "cartwire.conf")]


class GuardedNats(Guarded):
    """For a chain: all have certificates."""

    protocol = Nats.protocol
    rights = "cartwire.conf"

    def __init__(self, folder: Path, authority: Authority) -> None:
        """Copy the file."""
        super().__init__(folder, authority)
        (folder / "clients-ca.pem").write_bytes(authority.ca.read_bytes())
        changes = {
            "/etc/nats/": f"{folder}/",
            "/var/lib/nats": f"{folder}/jetstream",
            "(?m)^port: 4222": "port: -1",
            "0.0.0.0": "127.0.0.1",
            "port: 8883": f"port: {self.port}",
            r"users: \[": f'users: [{{user: "CN={JUDGE}", allowed_connection_types: [MQTT]}}',
        }
        self._write("nats/cartwire.conf", changes)

    def door(self, name: str) -> Door:
        """As above."""
        return super().door(f"app-{name}" if name in CARTS else name)

    def _command(self) -> list[str]:
        return [str(Path(sys.executable).with_name("nats-server")), "-c", str(self.folder / "cartwire.conf")]
