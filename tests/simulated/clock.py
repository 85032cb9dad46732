"""The machine's clocks, which only the story moves."""

from __future__ import annotations

from dataclasses import dataclass, field

EPOCH = 1_764_000_000.0
"""Seconds since 1970 when the world begins; for nobody it is earlier."""
STALE = 946_684_800.0
"""What a board without a battery believes."""


@dataclass
class Clocks:
    """The clocks of one boot. `begun`: true seconds from the world's beginning to instant 0."""

    ok: bool
    boot: str = "boot-1"
    begun: float = 0.0
    error: float = 0.0
    instant: float = 4.0
    right: bool = field(init=False)
    at_zero: float = field(init=False)
    base: float = field(init=False)

    def __post_init__(self) -> None:
        self.right = self.ok
        self.at_zero = self.base = self.truth if self.ok else STALE

    @property
    def truth(self) -> float:
        """The wall clock at instant 0 for those who have a right one."""
        return EPOCH + self.begun + self.error

    def wall(self) -> float:
        return self.at_zero + self.instant

    def stamp(self) -> tuple[int, bool, str]:
        """`time`, `clockok` and `bootid` of what is read now."""
        return round(1000 * (self.wall() if self.ok else self.base + self.instant)), self.ok, self.boot

    def jump(self, seconds: float) -> None:
        """Somebody sets the wall clock; what counts as right then stays so over reboots."""
        self.at_zero += seconds
        self.error += seconds if self.ok else 0.0

    def synchronise(self) -> bool:
        """The clock is right; whether it was not so before in this boot."""
        first, self.ok, self.right = not self.right, True, True
        self.at_zero = self.truth
        return first

    def reboot(self, gap: float, *, ok: bool) -> Clocks:
        boot = f"boot-{int(self.boot.removeprefix('boot-')) + 1}"
        return Clocks(ok, boot, self.begun + self.instant + gap, self.error)
