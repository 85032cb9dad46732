"""`cartwire demo`: a whole store on this machine. Broker, platform, gateway and phones are real; the day is recorded.

The gateway is a child process, so that its power can be cut.
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import json
import os
import re
import signal
import socket
import sys
import tempfile
import termios
import tty
import urllib.request
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge import broker, control, terminal
from edge.demo.phone import Phone
from edge.demo.screen import Screen

HERE = Path(__file__).parent
KEY = b"a key for the demo store only: 32 bytes or more"
LATE = 30.0
"""Seconds after which the platform learns whose the unknown band is."""
_DAY = 86400.0
_CONFIG = """\
[store]
id = "gangnam"
gateway = "gw-1"
timezone = "Asia/Seoul"
language = "ko"
data = "data"
pseudonym_key_file = "pseudonym.key"

[cart]
broker = "mqtt://127.0.0.1:{broker}"
protocol = "3.1.1"

[platform]
url = "{platform}"
poll = "2s"
jitter = "1s"

[kiosk]
listen = "127.0.0.1:{page}"

[[driver]]
kind = "replay"
read_point = "table-1"
path = "{day}"
loop = true
"""


@dataclass(slots=True)
class Child:
    """A process of the demo that can be cut and brought back."""

    command: list[str]
    log: Path
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.command, stdout=asyncio.subprocess.PIPE, stderr=log, preexec_fn=broker.end_with_parent
            )

    async def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self.process and self.process.returncode is None:
            self.process.send_signal(number)
            await self.process.wait()
        self.process = None


@dataclass(slots=True)
class Store:
    """The parts, and which of them are cut."""

    folder: Path
    phones: list[Phone] = field(default_factory=list)
    platform_url: str = ""
    platform: Child | None = None
    gateway: Child | None = None
    broker_port: int = 0
    page_port: int = 0
    _broker: AsyncExitStack | None = None

    @property
    def config(self) -> Path:
        return self.folder / "edge.toml"

    @property
    def broker_up(self) -> bool:
        return self._broker is not None

    async def open(self) -> None:
        """Starts everything, the platform with its catalogue first."""
        await self.switch_broker()
        await self.switch_platform()
        catalogue = json.loads((HERE / "catalogue.json").read_text())
        await self.tell([*catalogue["changes"], *map(_binding, catalogue["bands"])])
        key = self.folder / "pseudonym.key"
        key.touch(mode=0o600)
        key.write_bytes(KEY)
        self.page_port = _free_port()
        ports = {"broker": self.broker_port, "page": self.page_port}
        self.config.write_text(_CONFIG.format(**ports, platform=self.platform_url, day=HERE / "day.jsonl"))
        for change in catalogue["changes"]:
            if change["kind"] == "customer" and "cart" in change["value"]["consents"]:
                self.phones.append(Phone(change["value"]["cart"], change["value"]["display"], self.broker_port))
        for phone in self.phones:
            phone.start()
        await self.switch_gateway()

    async def close(self) -> None:
        for phone in self.phones:
            phone.stop()
        for child in (self.gateway, self.platform):
            if child:
                await child.end()
        if self._broker:
            await self._broker.aclose()

    async def switch_broker(self) -> None:
        """Cuts the broker, or brings it back on the same port."""
        if self._broker:
            await self._broker.aclose()
            self._broker = None
            return
        self._broker = AsyncExitStack()
        running = broker.running(self.folder, ("127.0.0.1", self.broker_port), None, None, _DAY)
        self.broker_port = (await self._broker.enter_async_context(running)).port

    async def switch_platform(self) -> None:
        """Cuts the platform, or brings it back on the same port."""
        if self.platform and self.platform.process:
            await self.platform.end()
            return
        listen = self.platform_url.removeprefix("http://") or "127.0.0.1:0"
        command = [sys.executable, "-m", "edge.demo.sandbox", "--listen", listen]
        self.platform = Child([*command, "--data", str(self.folder / "platform")], self.folder / "platform.log")
        await self.platform.start()
        assert self.platform.process
        assert self.platform.process.stdout
        async with asyncio.timeout(20):
            line = (await self.platform.process.stdout.readline()).decode()
        if "http://" not in line:
            raise broker.BrokerError(f"the sandbox platform did not start; see {self.platform.log}")
        self.platform_url = "http://" + line.strip().rpartition("http://")[2]

    async def switch_gateway(self) -> None:
        """Starts the gateway, or cuts its power and starts it again."""
        if self.gateway:
            await self.gateway.end(signal.SIGKILL)
        self.gateway = Child(
            [sys.executable, "-m", "edge.cli", "run", "--config", str(self.config)], self.folder / "gateway.log"
        )
        await self.gateway.start()

    async def setup_code(self) -> str:
        """What the gateway wrote into its log for the first one who opens the staff's page."""
        assert self.gateway
        for _ in range(200):
            if found := re.search(r"setup code is ([0-9 ]+)", self.gateway.log.read_text()):
                return found[1]
            await asyncio.sleep(0.1)
        raise broker.BrokerError(f"the gateway did not start; see {self.gateway.log}")

    async def tell(self, changes: list[dict[str, Any]]) -> None:
        """Lets the platform tell its stores."""
        body = json.dumps({"store": "*", "changes": changes}).encode()
        request = urllib.request.Request(  # noqa: S310 - the demo's own loopback server
            f"{self.platform_url}/sandbox/changes", body, {"Content-Type": "application/json"}
        )
        await asyncio.to_thread(lambda: urllib.request.urlopen(request, timeout=10).close())  # noqa: S310 - likewise

    async def learn(self) -> None:
        """After a while the platform learns whose the unknown band is."""
        await asyncio.sleep(LATE)
        while True:
            with suppress(OSError):
                late = json.loads((HERE / "catalogue.json").read_text())["late"]
                return await self.tell([*map(_binding, late)])
            await asyncio.sleep(1)

    async def status(self) -> dict[str, Any] | None:
        """What the gateway says of itself; None while it is down."""
        try:
            answer: dict[str, Any] = await asyncio.to_thread(control.ask, self.folder / "data", "status")
        except control.NoDaemon:
            return None
        return answer


def main(arguments: argparse.Namespace) -> int:
    """Runs until Ctrl-C, or for `--seconds`."""
    try:
        with tempfile.TemporaryDirectory(prefix="cartwire-demo-") as folder:
            asyncio.run(_run(Store(Path(folder)), Screen(arguments.language or terminal.language()), arguments.seconds))
    except KeyboardInterrupt:
        pass
    except broker.BrokerError as error:
        print(f"cartwire: {error}", file=sys.stderr)
        return 2
    return 0


async def _run(store: Store, screen: Screen, seconds: float | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if seconds:
        loop.call_later(seconds, stop.set)
    keys: asyncio.Queue[str] = asyncio.Queue()
    try:
        print(screen.starting, flush=True)
        await store.open()
        page = f"http://127.0.0.1:{store.page_port}"
        opened = screen.opened(str(store.config), store.platform_url, store.broker_port, page, await store.setup_code())
        print(opened, flush=True)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(work) for work in (store.learn(), _obey(store, keys, stop), _show(store, screen))
            ]
            with _keyboard(keys):
                await stop.wait()
            for task in tasks:
                task.cancel()
    finally:
        await store.close()
        print(screen.ended, flush=True)


async def _obey(store: Store, keys: asyncio.Queue[str], stop: asyncio.Event) -> None:
    while not stop.is_set():
        match (await keys.get()).lower():
            case "b":
                await store.switch_broker()
            case "p":
                await store.switch_platform()
            case "g":
                await store.switch_gateway()
            case "q":
                stop.set()


async def _show(store: Store, screen: Screen) -> None:
    while True:
        platform = bool(store.platform and store.platform.process)
        screen.show(store.phones, await store.status(), broker=store.broker_up, platform=platform)
        await asyncio.sleep(0.5)


@contextmanager
def _keyboard(keys: asyncio.Queue[str]) -> Iterator[None]:
    """Single keys, where there is a terminal."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    loop = asyncio.get_running_loop()
    tty.setcbreak(sys.stdin)
    loop.add_reader(sys.stdin, lambda: keys.put_nowait(os.read(sys.stdin.fileno(), 1).decode(errors="replace")))
    try:
        yield
    finally:
        loop.remove_reader(sys.stdin)
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _binding(band: dict[str, str]) -> dict[str, Any]:
    name = hmac.digest(KEY, f"nfc:{band['uid']}".encode(), "sha256").hex()
    return {"kind": "identifier", "op": "upsert", "key": name, "value": {"type": "nfc", "customer": band["customer"]}}
