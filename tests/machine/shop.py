"""A store with one whole machine in it: what stands around the machine, what a technician does to it, what it shows."""

from __future__ import annotations

import json
import re
import shutil
import socket
import ssl
import subprocess
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from bands import BAND, OTHER
from conftest import Platform
from machine.clock import TimeServer
from machine.devices import Cards, Typing
from machine.image import disk, image
from machine.qemu import Machine
from peers.app import App
from peers.gtin import gtin13, padded
from peers.guarded import CARTS, CONFIG
from peers.process import free_port, until
from peers.store import KEY, lines, pseudonym, secret
from peers.tls import Authority, Front

NAME = "cartwire-gangnam-gw-1"
KEPT = "ready"
HERE = "10.0.2.2"
"""This machine, as the one under test sees it."""
FLOOR = """
[floor]
session = "10m"   # a start may take an emulated processor longer than the 45 s of a shop
"""
READERS = """
[[driver]]
kind = "nfc"
read_point = "till-1"

[[driver]]
kind = "hid"
read_point = "till-1"
name = "QEMU USB Keyboard"

[[driver]]
kind = "serialport"
read_point = "till-1"
path = "/dev/serial/by-id/usb-QEMU_QEMU_USB_SERIAL_1950g-if00-port0"
"""
KEYS = {
    "cart": 'ca_file = "ca.pem"\ncert_file = "gw.pem"\nkey_file = "credentials/gw.key"',
    "platform": 'ca_file = "ca.pem"\npoll = "5s"\njitter = "1s"',
}
"""What `cartwire init` does not ask for."""
BROKER = """
set -e
install -m 644 /media/mosquitto/cartwire.conf /etc/mosquitto/conf.d/cartwire.conf
install -o mosquitto -m 600 -t /etc/mosquitto/ /media/mosquitto/*.acl /media/mosquitto/apps.passwd
install -d -o mosquitto -m 700 /etc/mosquitto/certs
install -o mosquitto -m 600 -t /etc/mosquitto/certs /media/mosquitto/*.pem /media/mosquitto/broker.key
systemctl restart mosquitto
"""
ASK = r"GET /metrics HTTP/1.0\r\nHost: 127.0.0.1:8080\r\n\r\n"
METRICS = f"exec 3<>/dev/tcp/127.0.0.1/8080 && printf '{ASK}' >&3 && cat <&3"
"""By the shell alone: on an emulated processor a command of Python's takes seconds."""
TRIES = 8
EVENTS = "cartwire events --follow --json --since %s:%d > /dev/virtio-ports/cartwire.events"


def on(metrics: str) -> list[dict[str, str]]:
    """Return the states of drivers and sinks."""
    found = re.findall(r"^cartwire_(?:driver|sink)_state\{(.*)\} 1\.0$", metrics, re.MULTILINE)
    return [dict(re.findall(r'(\w+)="([^"]*)"', labels)) for labels in found]


class Witness:
    """Who has `cartwire events --follow` before their eyes: a line on the screen was accepted."""

    def __init__(self, path: Path) -> None:
        """Look at the machine's port of that name."""
        self._text = b""
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._thread = threading.Thread(target=self._read, name="witness", daemon=True)
        self._thread.start()

    @property
    def events(self) -> list[dict[str, Any]]:
        """Return what was seen so far; half a line was not."""
        return lines(self._text.decode(errors="replace"))

    def close(self) -> None:
        """Look away."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._socket.close()

    def _read(self) -> None:
        with suppress(OSError):
            while more := self._socket.recv(65536):
                self._text += more


class Shop:
    """The machine with its network, platform, time and shoppers; `ended` ends them."""

    def __init__(self, folder: Path, deb: Path, ended: ExitStack, *, bare: bool = False) -> None:
        """Start what is outside; the machine is off. `bare`: nothing is installed on it."""
        self.folder = folder
        self.authority = Authority(folder / "authority")
        self.platform = Platform(folder / "platform")
        self.platform.start()
        ended.callback(self.platform.kill)
        outside = self.authority.issue("platform", f"IP:{HERE}")
        self.front = Front(self.platform.port, _server(*outside))
        ended.callback(self.front.close)
        self.time = TimeServer()
        ended.callback(self.time.close)
        for number, (uid, cart) in enumerate(zip((BAND, OTHER), CARTS, strict=True), 1):
            self.platform.customer(f"c-{number}", cart, "cart")
            self.platform.band(pseudonym("nfc", uid), f"c-{number}")
        self._door = free_port()
        stick, forward = self._stick(deb), [(self._door, 8884)]
        self.machine = Machine(folder / "machine", image(deb), bare=bare, stick=stick, forward=forward)
        ended.callback(self.machine.kill)
        self._cards: Cards | None = None
        self._apps = ExitStack()
        ended.callback(self._apps.close)

    def boot(self) -> None:
        """Power on for the first time, and put a stick in."""
        self.machine.boot()
        self.machine.say("mount -o ro LABEL=stick /media && udevadm settle")

    def furnish(self) -> None:
        """Do what a technician does who has a stick."""
        say = self.machine.say
        say(
            f"echo 'server {HERE} port {self.time.port} iburst minpoll 1 maxpoll 2' > /etc/chrony/sources.d/t.sources"
            " && timeout 60 sh -c 'until chronyc reload sources; do sleep 1; done'"  # it may just be starting
        )
        say(BROKER)
        say(
            "cartwire init --store gangnam --gateway gw-1 --language ko --timezone Asia/Seoul"
            f" --key-file /media/gateway/pseudonym.key --platform https://{HERE}:{self.front.port}"
            " --token-file /media/gateway/token --broker mqtts://127.0.0.1:8883 || test $? = 1"
        )
        for name in ("ca.pem", "gw.pem"):
            say(f"install -m 644 /media/gateway/{name} /etc/cartwire/{name}")
        say("install -m 600 /media/gateway/gw.key /etc/cartwire/credentials/gw.key")
        text = say("cat /etc/cartwire/edge.toml") + FLOOR + READERS
        for head, keys in KEYS.items():
            text = text.replace(f"[{head}]\n", f"[{head}]\n{keys}\n")
        say(f"cat > /etc/cartwire/edge.toml <<'END'\n{text}END")
        say("systemctl start cartwire")

    def keep(self) -> None:
        """Keep the machine and the platform as they are now."""
        self.machine.unplug_line()  # QEMU cannot keep this one
        self.machine.say("sync")
        self.machine.save(KEPT)
        self.machine.kill()
        self.platform.kill()
        shutil.copytree(self.platform.folder / "data", self.folder / "kept")
        self.platform.start()

    def reset(self) -> None:
        """Leave the machine off, disks and platform as they were kept."""
        self.leave()
        self.machine.kill()
        self.machine.back(KEPT)
        self._outside()

    def resume(self) -> None:
        """Let machine and platform go on from where they were kept."""
        self.leave()
        self.machine.kill()
        self._outside()
        self.machine.boot(snapshot=KEPT)

    def _outside(self) -> None:
        self.platform.kill()
        shutil.rmtree(self.platform.folder / "data")
        shutil.copytree(self.folder / "kept", self.platform.folder / "data")
        shutil.rmtree(self.folder / "apps", ignore_errors=True)
        self.platform.start()

    # what is asked

    def ready(self, seconds: float = 120) -> None:
        """Wait until the daemon has all its devices, its broker and its platform."""
        until(lambda: self.troubles() == [], lambda: f"all is well, but {self.troubles()}", seconds)

    def on_time(self) -> None:
        """Wait until the network has set its clock, and the daemon knows."""
        until(lambda: self.status()["clock"]["ok"], "the clock to be right", 180)

    def troubles(self) -> list[str]:
        """Return what of it is not well."""
        metrics = self.metrics()
        states = {state["driver"] if "driver" in state else state["sink"]: state["state"] for state in on(metrics)}
        return [f"{name} {state}" for name, state in states.items() if state != "ok"] if states else ["no answer"]

    def metrics(self) -> str:
        """Return what the daemon answers at /metrics; empty if it does not."""
        return self.machine.run(METRICS).out

    def settled(self) -> bool:
        """Whether nothing waits for anybody any more."""
        waits = re.findall(
            r"^cartwire_(?:held|sink_(?:queued|unconfirmed))_\w+(?:\{.*\})? ([\d.]+)$", self.metrics(), re.MULTILINE
        )
        return bool(waits) and not any(float(each) for each in waits)

    def status(self) -> dict[str, Any]:
        """Return `cartwire status --json`."""
        answer: dict[str, Any] = json.loads(self.machine.say("cartwire status --json"))
        return answer

    def events(self, *types: str) -> list[dict[str, Any]]:
        """Return the journal's events, or those of these types."""
        full = {f"cartwire.{name}.v1" for name in types}
        return [
            event for event in lines(self.machine.say("cartwire events --json")) if not full or event["type"] in full
        ]

    def named(self, type: str) -> set[str]:
        """Return the drivers that events of a type name."""
        return {event["data"]["driver"] for event in self.events(type)}

    def unit(self, name: str, what: str) -> str:
        """Return a property of a unit."""
        return self.machine.say(f"systemctl show --property={what} --value {name}").strip()

    # who is there

    def app(self, cart: str = CARTS[0]) -> App:
        """Bring the app of a cart online, from outside."""
        login = (cart, f"password of {cart}")
        app = App(self._door, cart, self.folder / "apps", login=login, tls=self._trusting())
        self._apps.callback(app.close)
        app.online(120)
        return app

    def witness(self) -> Witness:
        """Let somebody watch the events from now on."""
        witness = Witness(self.machine.path("events"))
        self._apps.callback(witness.close)
        status = self.status()
        follow = EVENTS % (status["journal"], status["seq"])
        self.machine.say(f"systemd-run --quiet --collect --unit=witness bash -c '{follow}'")
        return witness

    def tap(self, uid: str) -> None:
        """Hold a band to the card reader until it was read."""
        cards = self.cards()
        before = self.taps()
        cards.lay(uid)
        until(lambda: self.taps() > before, "the tap to be counted", 60)
        cards.pull()

    def taps(self) -> float:
        """Return how many taps the daemon has counted since its start."""
        found = re.search(r'^cartwire_readings_total\{what="taps"\} (\S+)$', self.metrics(), re.MULTILINE)
        return float(found[1]) if found else 0.0

    def cards(self) -> Cards:
        """Stand at the card reader."""
        if self._cards is None:
            self._cards = Cards(self.machine.path("card"))
            self._apps.callback(self._cards.close)
        return self._cards

    def scan(self, number: int) -> None:
        """Scan a product with the scanner on the serial line."""
        assert self.machine.line
        self.machine.line.scan(number)

    def type(self, number: int, app: App) -> None:
        """Scan with the scanner that is a keyboard, until the item is in the cart.

        On a slow machine it may stop in the middle of a code, for which the driver rightly throws it away.
        """
        typing = Typing(self.machine.qmp)
        for _ in range(TRIES):
            typing.scan(number)
            with suppress(AssertionError):
                until(lambda: padded(gtin13(number)) in app.cart, "the item", 15)
                return
        raise AssertionError(f"{TRIES} times typed, and never read")

    def leave(self) -> None:
        """All leave whom these methods have brought."""
        self._apps.close()
        self._cards = None

    def leaks(self) -> list[str]:
        """Return the files on the machine and of the platform with a band's UID in the clear."""
        places = "/var/lib/cartwire /var/backups/cartwire /var/log /run/log /var/lib/mosquitto"
        # [0]4…: the agent logs what it is told to do, which is not to find itself.
        found = self.machine.run(f"grep -r -l -i -e '[0]{BAND[1:]}' -e '[0]{OTHER[1:]}' {places}").out.split()
        texts = {path: path.read_bytes().upper() for path in self.platform.folder.rglob("*") if path.is_file()}
        return found + [str(path) for path, text in texts.items() if BAND.encode() in text]

    def _trusting(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.authority.ca)

    def _stick(self, deb: Path) -> Path:
        content = self.folder / "stick"
        broker, gateway = content / "mosquitto", content / "gateway"
        shutil.copytree(CONFIG / "mosquitto", broker)
        gateway.mkdir()
        shutil.copy(deb, content)
        shutil.copy(Path(__file__).with_name("radio.py"), content)
        shutil.copy(self.authority.ca, broker / "gateways-ca.pem")
        shutil.copy(self.authority.certificate, broker / "broker.pem")
        shutil.copy(self.authority.key, broker / "broker.key")
        (broker / "apps.passwd").touch(0o600)
        for cart in CARTS:
            words: list[str | Path] = ["mosquitto_passwd", "-b", broker / "apps.passwd", cart, f"password of {cart}"]
            subprocess.run(words, check=True, timeout=60)
        certificate, key = self.authority.issue(NAME)
        shutil.copy(self.authority.ca, gateway / "ca.pem")
        shutil.copy(certificate, gateway / "gw.pem")
        shutil.copy(key, gateway / "gw.key")
        shutil.copy(self.platform.token_file, gateway / "token")
        secret(gateway / "pseudonym.key", KEY)
        size = sum(path.stat().st_size for path in content.rglob("*")) // 2**20 + 64
        disk(self.folder / "stick.img", f"{size}M", content, "stick")
        return self.folder / "stick.img"


def _server(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
