"""The Unix socket `<data>/control` by which commands reach the daemon: a JSON line asks, a JSON line answers.

A question is an array: what is asked, and its arguments.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

FILE = "control"
_LONGEST = 1_000_000

Answers = dict[str, Callable[..., Awaitable[Any]]]
"""What can be asked, and what answers it, given the arguments, with something that is JSON."""


class NoDaemon(Exception):
    """No daemon answers."""


@asynccontextmanager
async def serve(data: Path, answers: Answers) -> AsyncIterator[None]:
    """Answers while the context is open; only this user may ask."""
    path = data / FILE
    path.unlink(missing_ok=True)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, TimeoutError, ValueError):
            async with asyncio.timeout(10):
                writer.write(msgspec.json.encode(await _answer(await reader.readline(), answers)) + b"\n")
                await writer.drain()
        writer.close()

    before = os.umask(0o177)
    try:
        with _short(data) as address:
            server = await asyncio.start_unix_server(talk, address, limit=_LONGEST)
    finally:
        os.umask(before)
    try:
        yield
    finally:
        server.close()
        path.unlink(missing_ok=True)


def ask(data: Path, *question: str) -> Any:
    """Asks the daemon that runs on `data`. Raises NoDaemon."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        try:
            with _short(data) as address:
                connection.connect(address)
            connection.sendall(msgspec.json.encode(question) + b"\n")
            answer = b""
            while not answer.endswith(b"\n") and len(answer) < _LONGEST:
                if not (part := connection.recv(65536)):
                    break
                answer += part
            return msgspec.json.decode(answer)
        except (OSError, msgspec.MsgspecError) as error:
            raise NoDaemon(f"{data / FILE}: no daemon answers ({error}); start it with `cartwire run`") from None


async def _answer(question: bytes, answers: Answers) -> Any:
    """What cannot be asked, or not like that, is an error too."""
    try:
        asked, *arguments = msgspec.json.decode(question, type=list[str])
        inspect.signature(answers[asked]).bind(*arguments)
    except (ValueError, KeyError, TypeError):
        return {"error": "cannot be asked"}
    return await answers[asked](*arguments)


@contextmanager
def _short(data: Path) -> Iterator[str]:
    """The socket's address within the 107 bytes that unix(7) leaves, however deep `data` lies."""
    folder = os.open(data, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{FILE}"
    finally:
        os.close(folder)
