"""How many of a camera's frames are looked at; it is said when they are too few, and when they are enough again."""

from __future__ import annotations

import logging
from dataclasses import dataclass

log = logging.getLogger(__name__)

WINDOW = 10.0
"""Seconds over which frames are counted."""
ENOUGH = 4.0
"""Frames a second: two sightings of a code must be within half a second."""


@dataclass(slots=True)
class Pace:
    """Of one camera: frames that came and, of these, frames that were looked at."""

    name: str
    came: int = 0
    looked: int = 0
    behind: bool = False
    _since: tuple[float, int, int] | None = None

    @property
    def skipped(self) -> int:
        return self.came - self.looked

    def look(self, at: float) -> None:
        """One more is looked at, at `at` seconds."""
        self.looked += 1
        if self._since is None:
            self._since = at, self.looked, self.skipped
        elif at - self._since[0] >= WINDOW:
            self._weigh(at, *self._since)
            self._since = at, self.looked, self.skipped

    def _weigh(self, at: float, since: float, looked: int, skipped: int) -> None:
        looked, skipped = self.looked - looked, self.skipped - skipped
        behind = skipped > 0 and looked / (at - since) < ENOUGH
        if behind and not self.behind:
            log.warning("%s: %d of %d frames are skipped: too much to do here", self.name, skipped, looked + skipped)
        elif self.behind and not behind:
            log.warning("%s: enough frames are looked at again", self.name)
        self.behind = behind

    def over(self) -> None:
        log.info("%s: %d frames looked at, %d skipped", self.name, self.looked, self.skipped)
