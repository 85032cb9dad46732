"""The Unix socket `<data>/control` by which commands reach the daemon: a JSON line asks, JSON lines answer.

A question is an array: what is asked, and its arguments. Most answers are one line; what goes on and on has as many as
come until the command hangs up.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

FILE = "control"
_LONGEST = 1_000_000

Answers = dict[str, Callable[..., Awaitable[Any] | AsyncIterator[Any]]]
"""What can be asked, and what answers it, given the arguments, with something that is JSON, or one after the other."""


class NoDaemon(Exception):
    """No daemon answers."""


@asynccontextmanager
async def serve(data: Path, answers: Answers) -> AsyncIterator[None]:
    """Answers while the context is open; only this user may ask."""
    path = data / FILE
    path.unlink(missing_ok=True)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, TimeoutError, ValueError):
            async with asyncio.timeout(10) as patience:
                answer = _answer(await reader.readline(), answers)
                if isinstance(answer, AsyncIterator):
                    patience.reschedule(None)
                    await _until_hung_up(_send(answer, writer), reader)
                else:
                    writer.write(msgspec.json.encode(await answer) + b"\n")
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
    with _asked(data, *question) as connection:
        answer = b""
        while not answer.endswith(b"\n") and len(answer) < _LONGEST:
            if not (part := connection.recv(65536)):
                break
            answer += part
        return msgspec.json.decode(answer)


def follow(data: Path, *question: str) -> Iterator[Any]:
    """Asks, and hands on line by line what the daemon says until it ends. Raises NoDaemon, then too."""
    with _asked(data, *question) as connection, connection.makefile("rb") as lines:
        connection.settimeout(None)
        for line in lines:
            yield msgspec.json.decode(line)
        raise OSError("it has ended")


@contextmanager
def _asked(data: Path, *question: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        try:
            with _short(data) as address:
                connection.connect(address)
            connection.sendall(msgspec.json.encode(question) + b"\n")
            yield connection
        except (OSError, msgspec.MsgspecError) as error:
            raise NoDaemon(f"{data / FILE}: no daemon answers ({error}); start it with `cartwire run`") from None


def _answer(question: bytes, answers: Answers) -> Awaitable[Any] | AsyncIterator[Any]:
    """What cannot be asked, or not like that, is an error too."""
    try:
        asked, *arguments = msgspec.json.decode(question, type=list[str])
        inspect.signature(answers[asked]).bind(*arguments)
    except (ValueError, KeyError, TypeError):
        return _cannot()
    return answers[asked](*arguments)


async def _cannot() -> dict[str, str]:
    return {"error": "cannot be asked"}


async def _send(lines: AsyncIterator[Any], writer: asyncio.StreamWriter) -> None:
    async for line in lines:
        writer.write(msgspec.json.encode(line) + b"\n")
        await writer.drain()


async def _until_hung_up(sending: Coroutine[Any, Any, None], reader: asyncio.StreamReader) -> None:
    async def hung_up() -> None:
        while await reader.read(1024):
            pass

    tasks = [asyncio.ensure_future(sending), asyncio.ensure_future(hung_up())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def _short(data: Path) -> Iterator[str]:
    """The socket's address within the 107 bytes that unix(7) leaves, however deep `data` lies."""
    folder = os.open(data, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{FILE}"
    finally:
        os.close(folder)
