"""A link that can be made bad: every piece of bytes of every connection passes through `_meet`, which knows the state.

A state lasts until the next one. `half`, `swallow` and `flip` hit each connection that is open when they begin, once,
and spare those that come later; all others are about everything that comes through. `drop` loses what is sent;
`silent` is a pulled cable: no packet of a client arrives, so that not even the kernel answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import socket
import struct
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from peers.process import free_port

if TYPE_CHECKING:
    from collections.abc import Coroutine

State = Literal["up", "refuse", "reset", "drop", "silent", "stall", "half", "throttle", "swallow", "flip"]
PIECE = 65536
SLOW = 20_000  # bytes a second and direction on a throttled link
LINGER = struct.pack("ii", 1, 0)  # what is not sent is forgotten, the other side gets a RST
QUEUE = 100
SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27
NOTHING = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))  # the one instruction: take 0 bytes
DEAF = struct.pack("HL", 1, ctypes.addressof(NOTHING))


class CutError(Exception):
    """This connection is to be reset."""


@dataclass(eq=False)
class Pair:
    """A connection from a client and the one to the server; `spared` by the state of the link; `dead`: no packets."""

    client: socket.socket
    server: socket.socket
    spared: bool
    dead: bool = False

    def close(self, *, reset: bool) -> None:
        """Close both; with `reset` both sides get a RST."""
        for sock in (self.client, self.server):
            if reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
            sock.close()


class Proxy:
    """Listens on `port` and passes on to the loopback port `target`, in a thread of its own."""

    def __init__(self, target: int) -> None:
        """Begin with a good link."""
        self.port = free_port()
        self.hits = 0
        """How many pieces of bytes were swallowed, flipped or lost, how many connections reset or half closed."""
        self._state: State = "up"
        self._target = target
        self._pairs: dict[Pair, asyncio.Task[None]] = {}
        self._fillers: list[socket.socket] = []
        self._listener: socket.socket | None = None
        self._changed = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy {self.port}")
        self._thread.start()
        self.set("up")

    def set(self, state: State) -> None:
        """Change the link."""
        self._do(self._set(state))

    def close(self) -> None:
        """End it and all that goes through it."""
        if self._thread.is_alive():
            self.set("refuse")
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)
            self._loop.close()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _set(self, state: State) -> None:
        self._state = state
        self._deaf()
        for pair in self._pairs:
            pair.spared = False
            self.hits += state == "silent"
            _hear(pair.client, on=state != "silent")
            if state == "half":
                self.hits += 1
                with contextlib.suppress(OSError):
                    pair.client.shutdown(socket.SHUT_WR)
        self._changed.set()
        self._changed = asyncio.Event()
        if state in ("refuse", "reset") and (tasks := list(self._pairs.values())):
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            for pair in self._pairs:  # cancelled before they had begun
                pair.close(reset=True)
            self._pairs.clear()
        if state != "refuse":
            self._listener = self._listen(0 if state == "drop" else QUEUE)
            _hear(self._listener, on=state != "silent")
            if state == "drop":
                await self._fill()
            else:
                self._loop.add_reader(self._listener, self._accept)

    def _listen(self, queue: int) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(queue)
        listener.setblocking(False)
        return listener

    async def _fill(self) -> None:
        """Fill the queue of a listener that accepts nobody: the kernel drops whatever else comes."""
        for _ in range(2):
            filler = socket.socket()
            filler.setblocking(False)
            self._fillers.append(filler)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._loop.sock_connect(filler, ("127.0.0.1", self.port)), 0.05)

    def _deaf(self) -> None:
        """Listen no more."""
        if self._listener:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        for filler in self._fillers:
            filler.close()
        self._fillers.clear()

    def _accept(self) -> None:
        """Take the next connection; resets are given at once."""
        assert self._listener
        with contextlib.suppress(BlockingIOError):
            client, _ = self._listener.accept()
            pair = Pair(client, socket.socket(), spared=self._state in ("half", "swallow", "flip"))
            client.setblocking(False)
            pair.server.setblocking(False)
            if self._state == "reset":
                self.hits += 1
                pair.close(reset=True)
            else:
                self._pairs[pair] = self._loop.create_task(self._relay(pair))

    async def _relay(self, pair: Pair) -> None:
        """Both directions, until both are closed or one is cut."""
        reset = True
        try:
            for sock in (pair.client, pair.server):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.sock_connect(pair.server, ("127.0.0.1", self._target))
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(pair, pair.client, pair.server))
                group.create_task(self._pump(pair, pair.server, pair.client))
            reset = False
        except* (OSError, CutError):
            self.hits += 1
        finally:
            pair.close(reset=reset)
            del self._pairs[pair]

    async def _pump(self, pair: Pair, source: socket.socket, sink: socket.socket) -> None:
        while data := await self._loop.sock_recv(source, PIECE):
            await self._loop.sock_sendall(sink, await self._meet(pair, data, answer=source is pair.server))
        await self._stalled()
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    async def _meet(self, pair: Pair, data: bytes, *, answer: bool) -> bytes:
        """What becomes of a piece of bytes on a link in this state."""
        await self._stalled()
        if self._state == "drop" or pair.dead:
            self.hits += 1
            pair.dead = True  # packets are gone, so nothing after them can arrive
            await asyncio.Event().wait()
        if self._state == "throttle":
            await asyncio.sleep(len(data) / SLOW)
        if not pair.spared and self._state == "swallow" and answer:
            raise CutError
        if not pair.spared and self._state == "flip":
            self.hits += 1
            pair.spared = True
            return bytes([*data[:-1], data[-1] ^ 1])
        return data

    async def _stalled(self) -> None:
        while self._state == "stall":
            await self._changed.wait()


def _hear(sock: socket.socket, *, on: bool) -> None:
    """Let the kernel take packets for it, or lose them."""
    if on:
        with contextlib.suppress(FileNotFoundError):
            sock.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
    else:
        sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, DEAF)
