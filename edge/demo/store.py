"""The parts of the demo store, all of them real, and the switches that cut them.

A broker, a sandbox platform and `cartwire run` with a plain configuration, each a process of its own. What it reads
comes through a FIFO that a `replay` driver reads.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientTimeout

from edge import broker, space
from edge.demo.line import Line

HERE = Path(__file__).parent
CAPACITY, RESERVE = 24_000_000, 4_000_000
TIMEZONE = "Asia/Seoul"
DARK = 6.0
"""Seconds after a power cut until the power is back."""
_DAY = 86400.0
_STARTS = 20.0
_ENDS = 10.0
_LONGEST = 1 << 20
"""Bytes of a line that a part says."""
_CONFIG = """\
[store]
id = "gangnam"
gateway = "gw-1"
timezone = "{timezone}"
language = "{language}"
data = "data"
pseudonym_key_file = "pseudonym.key"
capacity = "{capacity}B"
reserve = "{reserve}B"

[cart]
broker = "mqtt://127.0.0.1:{broker}"
protocol = "3.1.1"

[platform]
url = "http://127.0.0.1:{platform}"
poll = "2s"
jitter = "0s"

[presence]
leave_after = "4s"
silent = "5s"

[kiosk]
listen = "127.0.0.1:{page}"
frame_ancestors = ["{demo}"]

[[driver]]
kind = "replay"
read_point = "table-1"
path = "readings"
"""


class StoreError(Exception):
    """A part of the store cannot be had; the text says which, why, and what to do."""


@dataclass(slots=True)
class Child:
    """A process of the demo. It ends with the demo, however that ends, and not by the terminal's Ctrl-C."""

    command: list[str]
    log: Path
    process: Process | None = None

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.returncode is None

    async def start(self) -> asyncio.StreamReader:
        """Its standard output."""
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", *self.command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                limit=_LONGEST,
                start_new_session=True,
                preexec_fn=broker.end_with_parent,
            )
        assert self.process.stdout
        return self.process.stdout

    async def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self.process and self.running:
            self.process.send_signal(number)
            try:
                async with asyncio.timeout(_ENDS):
                    await self.process.wait()
            except TimeoutError:
                self.process.kill()
                await self.process.wait()


@dataclass(slots=True)
class Store:
    """`lines`: to the platform, and to the broker."""

    folder: Path
    lines: dict[str, Line] = field(default_factory=dict)
    platform_port: int = 0
    page_port: int = 0
    gateway: Child = field(init=False)
    full: bool = False

    def __post_init__(self) -> None:
        run = ["edge.cli", "run", "--config", str(self.config)]
        self.gateway = Child(run, self.folder / "gateway.log")

    @property
    def config(self) -> Path:
        return self.folder / "edge.toml"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def readings(self) -> Path:
        """The FIFO."""
        return self.folder / "readings"

    @asynccontextmanager
    async def open(self, changes: list[dict[str, Any]], page: str, language: str) -> AsyncIterator[None]:
        """All parts, the feed filled with `changes`. `page`: the origin of the page that frames the staff's."""
        self._furnish()
        async with AsyncExitStack() as stack:
            running = broker.running(self.folder, ("127.0.0.1", 0), None, None, _DAY)
            served = await stack.enter_async_context(running)
            self.lines["broker"] = await stack.enter_async_context(Line(served.port).open())
            self.platform_port = await stack.enter_async_context(self._platform(served.port))
            self.lines["platform"] = await stack.enter_async_context(Line(self.platform_port).open())
            await self.tell(changes)
            self.page_port = _free_port()
            self.config.write_text(
                _CONFIG.format(
                    timezone=TIMEZONE,
                    language=language,
                    capacity=CAPACITY,
                    reserve=RESERVE,
                    broker=self.lines["broker"].port,
                    platform=self.lines["platform"].port,
                    page=self.page_port,
                    demo=page,
                )
            )
            stack.push_async_callback(self.gateway.end)
            await self.gateway.start()
            yield

    def _furnish(self) -> None:
        (self.folder / "broker").mkdir()
        os.mkfifo(self.readings, 0o600)
        key = self.folder / "pseudonym.key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(32))

    @asynccontextmanager
    async def _platform(self, nudged: int) -> AsyncIterator[int]:
        command = ["edge.demo.sandbox", "--listen", "127.0.0.1:0", "--data", str(self.folder / "platform"), "--strict"]
        command += ["--key-file", str(self.folder / "pseudonym.key"), "--nudge", f"mqtt://127.0.0.1:{nudged}"]
        platform = Child(command, self.folder / "platform.log")
        try:
            output = await platform.start()
            async with asyncio.timeout(_STARTS):
                said = (await output.readline()).decode()
            if not (port := re.search(r":(\d+)$", said.strip())):
                raise StoreError(f"the sandbox platform did not start: {_last(platform.log)}")
            yield int(port[1])
        finally:
            await platform.end()

    async def tell(self, changes: list[dict[str, Any]]) -> None:
        """Lets the platform tell its stores."""
        url = f"http://127.0.0.1:{self.platform_port}/sandbox/changes"
        body = {"store": "*", "changes": changes}
        async with ClientSession(timeout=ClientTimeout(10)) as session, session.post(url, json=body) as answer:
            answer.raise_for_status()

    async def cut_power(self) -> None:
        """As at the plug: the gateway gets no warning."""
        await self.gateway.end(signal.SIGKILL)

    async def restore_power(self) -> None:
        if not self.gateway.running:
            await self.gateway.start()

    def fill(self, *, full: bool) -> None:
        """Fills the gateway's share of the disk but for a part of its reserve, or gives the room back."""
        filler = self.data / "filler"
        if full and not self.full:
            with filler.open("wb") as file:  # all holes: it is its length that counts
                file.truncate(max(0, CAPACITY - RESERVE // 2 - space.used(self.data)))
        elif not full:
            filler.unlink(missing_ok=True)
        self.full = full

    def setup_code(self) -> str:
        """What the gateway has written into its log for the first one who opens the staff's page; else nothing."""
        with suppress(OSError):
            if found := re.findall(r"setup code is ([0-9 ]+)", self.gateway.log.read_text()):
                return str(found[-1])
        return ""

    def trouble(self) -> str:
        """Why the gateway has ended, in its own words; nothing while it runs."""
        return "" if self.gateway.running else _last(self.gateway.log)


def _last(log: Path) -> str:
    return (log.read_text(errors="replace").strip().splitlines() or ["it said nothing"])[-1]


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
