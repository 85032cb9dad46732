"""What is held up is one scan, however many frames it is in."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

from drivers.camera.engines import Code
from edge import codes as texts

TOGETHER, REARMED = 0.5, 0.8
"""Seconds between two sightings that make a code present; seconds out of sight after which it may be scanned again."""
BLIND = 0.5
"""Seconds from one look to the next; what goes beyond, as when the machine stood still, is no time out of sight."""


class Presence:
    """What is held up is one scan: two sightings make a code present, and it stays so while it is seen."""

    def __init__(self) -> None:
        self._seen: dict[Code | str, tuple[float, bool]] = {}
        self._looked = inf

    def see(self, at: float, codes: Iterable[Code]) -> list[Code]:
        """The codes that became present with the frame made `at` (seconds that never fall) in which `codes` are."""
        new = []
        blind = max(0.0, at - self._looked - BLIND)
        self._looked = at
        self._seen = {what: (last + blind if here else last, here) for what, (last, here) in self._seen.items()}
        for what, code in {_named(code): code for code in codes}.items():
            last, present = self._seen.get(what, (-inf, False))
            gap = round(at - last, 3)  # 1.2 - 0.4 is a little less than 0.8
            if present:
                present = gap < REARMED
            elif gap <= TOGETHER:
                present = True
                new.append(code)
            self._seen[what] = at, present
        self._seen = {what: seen for what, seen in self._seen.items() if at - seen[0] <= REARMED}
        return new


def _named(code: Code) -> Code | str:
    """The product, for one package may name it both in bars and in a QR code."""
    item = texts.item(texts.read(*code))
    return item.gtin if item else code
