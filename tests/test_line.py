"""A cut of the line to the platform is seen, and so is its return, though nothing is sent: on real sockets."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from peers.process import BUSY, free_port, until
from peers.proxy import Proxy
from peers.tls import Authority
from sync import mqtt, tls
from sync.line import DISTRUST, Line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from peers.brokers import Mosquitto
    from peers.proxy import State


class Server:
    """Takes connections and says nothing; closes each after `patience` seconds. `taken` counts them."""

    def __init__(self) -> None:
        self.taken = 0
        self.patience: float | None = None
        self.open: set[asyncio.Transport] = set()

    def made(self, transport: asyncio.Transport) -> None:
        self.taken += 1
        self.open.add(transport)
        if self.patience is not None:
            asyncio.get_running_loop().call_later(self.patience, transport.close)


class Connection(asyncio.Protocol):
    def __init__(self, server: Server) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._server.made(transport)

    def data_received(self, data: bytes) -> None:
        raise AssertionError(data)


class Held:
    """A line that is held to a server, and what it has told."""

    def __init__(self, port: int, server: Server) -> None:
        self.returns: list[None] = []
        self.server = server
        self.line = Line(
            f"http://127.0.0.1:{port}", tls.Login, lambda: len(self.returns), lambda: self.returns.append(None)
        )

    async def within(self, seconds: float, condition: Callable[[], object]) -> float:
        """Return after how many seconds it was so; on a busy machine they may be more."""
        begun = time.monotonic()
        await asyncio.to_thread(until, condition, lambda: f"{self.line}", seconds + BUSY)
        return time.monotonic() - begun


@asynccontextmanager
async def held(through: Callable[[int], int]) -> AsyncIterator[Held]:
    server, port = Server(), free_port()
    loop = asyncio.get_running_loop()
    async with await loop.create_server(lambda: Connection(server), "127.0.0.1", port):
        made = Held(through(port), server)
        task = asyncio.create_task(made.line.run())
        await made.within(3, lambda: made.line.up)
        yield made
        task.cancel()
        await asyncio.wait((task,))
        for transport in server.open:
            transport.abort()
        assert task.cancelled(), task


@pytest.mark.parametrize(("cut", "seconds"), [("refuse", 3), ("reset", 3), ("silent", 20)])
async def test_a_cut_and_its_return_are_seen(cut: State, seconds: float) -> None:
    """Within 3 s if it closes or refuses, within 20 s if it falls silent; within 5 s that it is back."""
    proxies: list[Proxy] = []

    def through(port: int) -> int:
        proxies.append(Proxy(port))
        return proxies[0].port

    async with held(through) as shop:
        (proxy,) = proxies
        try:
            await asyncio.to_thread(proxy.set, cut)
            await shop.within(seconds, lambda: shop.line.up is False)
            assert shop.line.reason.startswith("no connection to the platform: ")
            await asyncio.to_thread(proxy.set, "up")
            await shop.within(5, lambda: shop.line.up)
            assert (len(shop.returns), shop.line.reason) == (1, "")
        finally:
            await asyncio.to_thread(proxy.close)


async def test_a_server_that_closes_what_is_idle_does_not_cut_the_line() -> None:
    """However soon it does; and it is not dialled more often than every two seconds."""
    async with held(lambda port: port) as shop:
        shop.server.patience = 2.0
        begun, before = time.monotonic(), shop.server.taken
        for transport in shop.server.open:
            transport.close()
        await shop.within(30, lambda: shop.server.taken > before + 2)
        assert time.monotonic() - begun >= 2
        assert (shop.returns, shop.line.up) == ([], True)


async def test_a_name_that_nobody_knows_is_no_line() -> None:
    line = Line("https://nobody.invalid", tls.Login, lambda: 5, lambda: None)
    task = asyncio.create_task(line.run())
    await asyncio.to_thread(until, lambda: line.up is False, "the line to be down")
    task.cancel()
    await asyncio.wait((task,))
    assert line.since == 5


async def test_over_tls_it_is_held_to_whom_we_believe_alone(tmp_path: Path) -> None:
    """And one whom we do not is not dialled again and again: a person has to mend it."""
    authority = await asyncio.to_thread(Authority, tmp_path / "authority")
    server, port, waits = Server(), free_port(), list[float]()

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await asyncio.Event().wait()

    loop = asyncio.get_running_loop()
    async with await loop.create_server(lambda: Connection(server), "127.0.0.1", port, ssl=authority.server()):
        for ca, up in ((authority.ca, True), (None, False)):
            login = tls.Login(tls=tls.context(ca, None, None))
            line = Line(f"https://127.0.0.1:{port}", lambda login=login: login, lambda: 0, lambda: None, sleep=sleep)
            task = asyncio.create_task(line.run())
            await asyncio.to_thread(until, lambda line=line: line.up is not None, "the line to be known")  # type: ignore[misc]
            task.cancel()
            await asyncio.wait((task,))
            assert line.up is up
            assert line.reason.startswith("" if up else "the certificate of the platform: ")
    assert waits == [DISTRUST]


async def test_a_broker_that_falls_silent_is_gone(broker: Mosquitto) -> None:
    """Though its machine still takes what it is sent, and nothing but the keepalive is."""
    proxy = await asyncio.to_thread(Proxy, broker.port)
    server = mqtt.Server("127.0.0.1", proxy.port, "cartwire-s-g", v5=True, session_expiry=0)
    try:
        async with mqtt.connect(server, ("will", b""), lambda _: None) as connection:
            await asyncio.to_thread(proxy.set, "stall")
            async with asyncio.timeout(20 + BUSY):
                assert str(await connection.lost) == "the broker is gone: it has fallen silent"
    finally:
        await asyncio.to_thread(proxy.close)
