"""Where the core meets the world: what a driver and a sink are, and the three errors that cross.

    Exception
    ├── DeviceLost    a driver's device is gone or does not answer: start it again later
    ├── Taken         a reading is not taken: its read point is another driver's
    └── Unavailable   a sink or the platform cannot be reached now: stand still, back off, try again

A library's own exceptions stop at the file that uses the library.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal, Protocol, runtime_checkable

from edge.model import Outcome, Reading

Emit = Callable[[Reading], Awaitable[None]]
"""Hands a reading on; returns when it has been taken, which is before it is accepted. Raises Taken.

A driver that reads at its own `read_point` only never meets Taken.
"""


class Source(str):
    """A field of a driver: a file (relative ones to the configuration file), an index, or a URL."""

    __slots__ = ()


class Duration(float):
    """Seconds, written `250ms`, `10s`, `5m`, `24h`, `30d`."""


class Driver(Protocol):
    """One device. Its frozen fields are its settings: a module in `drivers/` names its class `Driver`."""

    @property
    def read_point(self) -> str: ...

    async def run(self, emit: Emit) -> None:
        """Emits `Ready` once the device is there, then readings, until cancelled.

        Returning means done (a recording is over), raising `DeviceLost` means a fault: the supervisor
        starts it again. `finally` releases the device.
        """


@runtime_checkable
class Cueing(Protocol):
    """A driver whose device can beep or light up."""

    async def cue(self, outcome: Outcome) -> None: ...


@runtime_checkable
class Skipping(Protocol):
    """A driver that counts what it got and what was no reading."""

    @property
    def skipped(self) -> int: ...


class Taken(Exception):
    """The read point belongs to another driver; the text says why."""


class DeviceLost(Exception):
    """The device is gone or does not answer; the text says what and, if known, what to do."""


class Unavailable(Exception):
    """The other side cannot take anything now.

    `retry_after`: seconds it asked for or its answer is worth, else None: back off. `connected`: whether
    there was a connection at all; without one the next attempt comes soon. `state`: what people are told;
    refused: it does not want us (a token, a permission), stopped: it takes nothing of what it is given, full:
    it, or our own disk, has no room. A person has to mend these three.
    """

    def __init__(
        self,
        reason: str,
        *,
        retry_after: float | None = None,
        connected: bool = True,
        state: Literal["unavailable", "refused", "stopped", "full"] = "unavailable",
    ) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.connected = connected
        self.state = state
