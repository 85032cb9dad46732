"""What a long test is at, for who waits for it."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_START = time.monotonic()


@contextmanager
def step(what: str) -> Iterator[None]:
    """Say what begins, and at its end how many seconds it took."""
    begun = time.monotonic()
    print(f"{begun - _START:7.1f} s  {what} …", file=sys.stderr, flush=True)
    yield
    print(f"{time.monotonic() - _START:7.1f} s    took {time.monotonic() - begun:.1f} s", file=sys.stderr, flush=True)
