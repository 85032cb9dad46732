"""Taps that the disk refused: nothing is accepted at their read point until they are made up for, also after a kill.

Which read points they are stands in a small file beside the database whose room is taken at the start, for a full
disk still lets bytes be overwritten. Who tapped is only in memory: after a kill it was somebody.
"""

from __future__ import annotations

import json
import logging
import os
from contextlib import suppress
from pathlib import Path

from edge.attribution import Observation
from edge.identity import uuid7
from edge.model import Moment, Tap

log = logging.getLogger(__name__)

FILE = "unwritten"
_BYTES = 4096
_REMEMBERED = 3
"""Taps at one read point that are remembered one by one."""


class Unwritten:
    """By read point, in the order they were made."""

    def __init__(self, folder: Path, now: Moment) -> None:
        """Takes up what the last process left. Without the file, where the disk refuses even that, memory has to do."""
        self._taps: dict[str, list[Observation]] = {}
        self._file: int | None = None
        with suppress(OSError):
            self._file = os.open(folder / FILE, os.O_RDWR | os.O_CREAT | os.O_DSYNC, 0o600)
            found = os.pread(self._file, _BYTES, 0)
            for at in _names(found):
                self._taps[at] = [Observation(uuid7(), now, Tap(read_point=at))]
            if len(found) < _BYTES:
                self._keep()

    def at(self, read_point: str) -> tuple[Observation, ...]:
        return tuple(self._taps.get(read_point, ()))

    def add(self, tap: Observation) -> None:
        """The same tap once; of many, that there were some."""
        at = tap.reading.read_point
        before = self._taps.get(at, [])
        if any(other.reading == tap.reading for other in before):
            return
        if len(before) == _REMEMBERED:
            before, tap = [], Observation(tap.id, tap.moment, Tap(read_point=at))
        self._taps[at] = [*before, tap]
        if not before:
            self._keep()

    def made_up(self, taps: tuple[Observation, ...]) -> None:
        """The commit that makes up for these has returned."""
        for at in {tap.reading.read_point for tap in taps} & self._taps.keys():
            left = [tap for tap in self._taps[at] if tap not in taps]
            self._taps[at] = left
            if not left:
                del self._taps[at]
                self._keep()

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _keep(self) -> None:
        """In place, and synced by the call itself."""
        said = json.dumps(sorted(self._taps)).encode()
        if self._file is None or len(said) > _BYTES:
            return
        try:
            os.pwrite(self._file, said.ljust(_BYTES), 0)
        except OSError as error:
            log.error("%s: cannot be written: %s", FILE, error)


def _names(found: bytes) -> list[str]:
    """Torn or strange bytes name nobody."""
    with suppress(ValueError):
        names = json.loads(found or b"[]")
        if isinstance(names, list):
            return [name for name in names if isinstance(name, str)]
    return []
