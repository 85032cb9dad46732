"""For drivers: what a device says, read in a thread of its own, and taken in the order in which it came.

The loop may stand still, as in a commit on a slow card. Meanwhile a device that nobody reads would run over, two codes
would run together, and a tap at one device could overtake a scan made before it at another.
"""

from __future__ import annotations

import asyncio
import os
import select
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

from edge.model import Reading
from edge.ports import Emit

_T = TypeVar("_T")

WAITING = 1000
"""Readings that may wait for the loop; then the device waits."""
STOPPING = 2.0
"""Seconds that the thread may take to end."""

Wait = Callable[[int, float | None], bool]
"""Waits until something can be read from a descriptor, or for so many seconds; whether something can be read."""


class _Stopped(Exception):
    """Ends the thread."""


class Taking:
    """Begins to emit readings in the order of the calls, in the loop. `failed` is told what `emit` raises."""

    def __init__(self, emit: Emit, failed: Callable[[BaseException], None]) -> None:
        self._emit = emit
        self._failed = failed
        self._emitting: set[asyncio.Future[None]] = set()
        self.stopped = False

    def take(self, reading: Reading) -> None:
        if self.stopped:
            return
        task = asyncio.ensure_future(self._emit(reading))
        self._emitting.add(task)
        task.add_done_callback(self._taken)

    async def rest(self) -> None:
        """Waits until all is emitted."""
        if self._emitting:
            await asyncio.wait(self._emitting)

    def stop(self) -> None:
        """From now on nothing is taken: a thread that hung may say something in an hour."""
        self.stopped = True
        for task in self._emitting:
            task.cancel()

    def _taken(self, task: asyncio.Future[None]) -> None:
        self._emitting.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._failed(error)


async def follow(read: Callable[[Wait], Iterator[Reading]], emit: Emit, name: str) -> None:
    """Runs `read` in a thread, and emits what it yields. It may block in `Wait` alone, which also ends it.

    Ends only by raising what `read` or `emit` raised, or when it is cancelled.
    """
    followed = _Followed(read, emit, asyncio.get_running_loop().create_future())
    thread = threading.Thread(target=followed.work, name=name, daemon=True)
    thread.start()
    try:
        await followed.over
    except Exception:  # whatever it is: what was said before it is still taken
        await followed.taking.rest()
        raise
    finally:
        followed.stop()
        await asyncio.to_thread(thread.join, STOPPING)
        os.close(followed.bell)


@dataclass(slots=True)
class _Followed:
    """`work` and `wait` are the thread's, all else is the loop's."""

    read: Callable[[Wait], Iterator[Reading]]
    emit: Emit
    over: asyncio.Future[None]
    bell: int = field(default_factory=lambda: os.eventfd(0, os.EFD_CLOEXEC))
    """Is rung when the thread is to end."""
    taking: Taking = field(init=False)
    _room: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(WAITING))

    def __post_init__(self) -> None:
        self.taking = Taking(self._pass, self._end)

    def work(self) -> None:
        try:
            for reading in self.read(self.wait):
                self._room.acquire()
                if self.taking.stopped:
                    return
                self._say(self.taking.take, reading)
        except _Stopped:
            return
        except Exception as error:  # whatever it is, it belongs to who waits
            self._say(self._end, error)

    def wait(self, descriptor: int, seconds: float | None) -> bool:
        if self.taking.stopped:
            raise _Stopped
        poll = select.poll()
        poll.register(self.bell, select.POLLIN)
        poll.register(descriptor, select.POLLIN)
        ready = dict(poll.poll(None if seconds is None else max(1.0, seconds * 1000)))
        if self.bell in ready:
            raise _Stopped
        return descriptor in ready

    def stop(self) -> None:
        self.taking.stop()
        os.eventfd_write(self.bell, 1)
        self._room.release()

    def _say(self, what: Callable[[_T], None], about: _T) -> None:
        with suppress(RuntimeError):  # the loop is closed
            self.over.get_loop().call_soon_threadsafe(what, about)

    async def _pass(self, reading: Reading) -> None:
        try:
            await self.emit(reading)
        finally:
            self._room.release()

    def _end(self, error: BaseException) -> None:
        if not self.over.done():
            self.over.set_exception(error)
