"""Calls that may hang for minutes, as a name lookup does while the internet is away: each in a thread apart.

The loop's own threads are for what must not wait behind them, and its end waits for those.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

_T = TypeVar("_T")


class StillHangs(OSError):
    """The call before has not returned."""


class Apart:
    """One call at a time, in a daemon thread: nothing waits for it at the end."""

    def __init__(self) -> None:
        self._last: Future[Any] | None = None

    def start(self, call: Callable[[], _T]) -> Future[_T]:
        """Begins the call, which cannot be cancelled. Raises StillHangs."""
        if self._last and not self._last.done():
            raise StillHangs(errno.EAGAIN, "the attempt before still hangs; does the name server answer?")
        self._last = returned = Future[_T]()
        returned.set_running_or_notify_cancel()

        def work() -> None:
            try:
                result = call()
            except Exception as error:  # whatever it is, it belongs to who waits
                returned.set_exception(error)
            else:
                returned.set_result(result)

        threading.Thread(target=work, name="apart", daemon=True).start()
        return returned
