"""A TCP line to a port of this machine that can be cut: what is on it is reset, and so is who dials."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

_RESET = struct.pack("ii", 1, 0)
_CHUNK = 65536


class Line:
    """`port`: where to dial, on the loopback. It stays ours while the line is cut."""

    def __init__(self, to: int) -> None:
        self._to = to
        self._ends: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.cut = False

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Line]:
        """There for as long as the context is open."""
        server = await asyncio.start_server(self._dialled, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self._drop()

    def switch(self, *, on: bool) -> None:
        """Cuts the line, or mends it."""
        self.cut = not on
        if self.cut:
            self._drop()

    def _drop(self) -> None:
        for writer in self._ends:
            _reset(writer)
        self._ends.clear()

    async def _dialled(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.cut:
            return _reset(writer)
        ends = {writer}
        self._ends |= ends
        try:
            far, back = await asyncio.open_connection("127.0.0.1", self._to)
            ends.add(back)
            self._ends.add(back)
            if writer.is_closing():  # it was cut meanwhile
                return _reset(back)
            await asyncio.wait([asyncio.create_task(_pass(*way)) for way in ((reader, back), (far, writer))])
        except OSError:
            _reset(writer)
        finally:
            self._ends -= ends
        return None


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
    writer.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Without the goodbye that a closed connection would send."""
    with suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
