"""What is made of files that are renewed while we run: certificates, keys, tokens, passwords. No restart, no signal."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Generic, TypeVar

from edge.settings import SettingsError

log = logging.getLogger(__name__)

LOOK = 2.0
"""Seconds between two looks, so that a new file that is of no use is known before it is needed."""
_T = TypeVar("_T")
_Stat = tuple[int, int, int, int]


class Renewed(Generic[_T]):
    """Called, it gives what `make` makes of the files as they are; of files that are of no use, what was made before.

    `make` raises SettingsError for such; `where` names them in the log. `changed` are called when there is a new one.
    """

    def __init__(self, where: str, files: Iterable[Path | None], make: Callable[[], _T]) -> None:
        self.changed: list[Callable[[], None]] = []
        self._where = where
        self._files = [file for file in files if file]
        self._make = make
        self._seen = [_stat(file) for file in self._files]
        self._value = make()

    def __call__(self) -> _T:
        if (seen := [_stat(file) for file in self._files]) != self._seen:
            self._seen = seen
            try:
                self._value = self._make()
            except SettingsError as error:
                log.error("%s; what was read before is used on: write the files anew", error)
            else:
                log.info("%s: read anew", self._where)
                for call in self.changed:
                    call()
        return self._value

    async def run(self) -> None:
        while True:
            await asyncio.sleep(LOOK)
            self()


def _stat(file: Path) -> _Stat | None:
    """What changes with the content, also if a link now leads elsewhere; None: it is not there."""
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns
