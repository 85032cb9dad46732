"""Instants that one process notes and another reads: a few hundred nanoseconds each, and no lock."""

from __future__ import annotations

import mmap
import struct
import time
from pathlib import Path

ROOM = 1_000_000
_AT = struct.Struct("d")
_COUNT = struct.Struct("q")


def now() -> float:
    """Return CLOCK_MONOTONIC, which is the same in all processes; seconds."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)


class Marks:
    """A file of instants in their order, the number of them before; whoever opens it again adds to it."""

    def __init__(self, path: Path) -> None:
        """Make it if it is not there; a hole takes no room on the disk."""
        with path.open("ab") as file:
            file.truncate(8 + 8 * ROOM)
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 0)

    def add(self, at: float, times: int = 1) -> None:
        """Note one instant, or the same for several."""
        count = len(self)
        for n in range(count, count + times):
            _AT.pack_into(self._memory, 8 + 8 * n, at)
        _COUNT.pack_into(self._memory, 0, count + times)

    def __len__(self) -> int:
        """Return how many there are."""
        return int(_COUNT.unpack_from(self._memory)[0])

    def __getitem__(self, n: int) -> float:
        """Return the n-th."""
        return float(_AT.unpack_from(self._memory, 8 + 8 * n)[0])

    def wait(self, count: int, seconds: float = 60.0) -> None:
        """Return when there are so many."""
        end = now() + seconds
        while len(self) < count:
            if now() > end:
                message = f"{len(self)} of {count} within {seconds:g} s"
                raise TimeoutError(message)
            time.sleep(0.0005)
