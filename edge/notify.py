"""What systemd is told over the datagram socket that it names, see sd_notify(3); nothing where it names none.

A watchdog is fed only after something has been done through all that a reading goes through: a loop or a disk that
hangs starves it. Nothing is waited for here: the shop does not stop because systemd does.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable

_EVERY = 5.0
"""Seconds between two messages at most."""


def tell(*lines: str) -> bool:
    """Says such lines as `READY=1`; whether they were taken, or there is nobody to take them."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return True
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.setblocking(False)
        try:
            end.sendto("\n".join(lines).encode(), f"\0{address[1:]}" if address.startswith("@") else address)
        except OSError:
            return False
    return True


async def keep(progress: Callable[[], Awaitable[object]], condition: Callable[[], str]) -> None:
    """Says READY=1 after the first `progress`, then feeds the watchdog after each; STATUS= whenever it is another."""
    ready, said = False, ""
    while "NOTIFY_SOCKET" in os.environ:
        await progress()
        status = condition()
        news = ([] if ready else ["READY=1"]) + ([] if status == said else [f"STATUS={status}"])
        if tell(*news, "WATCHDOG=1"):
            ready, said = True, status
        await asyncio.sleep(_pause())


def _pause() -> float:
    """A third of the time after which systemd acts, so that one that is late costs nobody the shop."""
    meant = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    watchdog = int(os.environ.get("WATCHDOG_USEC", 0)) / 1e6 if meant else 0.0
    return min(_EVERY, watchdog / 3 or _EVERY)
