"""A time that stands until somebody moves it."""

from __future__ import annotations


class Watch:
    """Seconds, as the product asks its clocks for them."""

    def __init__(self) -> None:
        """Some time after the start of the kernel."""
        self.instant = 100.0

    def __call__(self) -> float:
        """Return it."""
        return self.instant
