"""A feed of 20 events a second leaves the page's heap flat."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from bands import BAND
from peers.process import until

if TYPE_CHECKING:
    from counter import Counter

RATE = 20  # events a second
KEPT = 1_500_000
"""Bytes that may differ between two looks: caches of the engine, a text that is being drawn."""


def fed(counter: Counter, seconds: float, looks: int) -> list[int]:
    """Feed the page for so long; return its heap, looked at so often, the first time after half of it."""
    terminal = counter.terminal("clerk")
    counter.store.tap(BAND)
    start = time.monotonic()
    moments = [start + seconds / 2 + seconds / 2 * look / (looks - 1) for look in range(looks)]
    heaps: list[int] = []
    number = 0
    while len(heaps) < looks:
        due = start + number / RATE
        until(lambda due=due: time.monotonic() >= due, "the next", RATE)  # type: ignore[misc]
        counter.store.scan(number % 1000)
        number += 1
        if time.monotonic() >= moments[len(heaps)]:
            heaps.append(terminal.heap())
    until(lambda: len(terminal.rows()) == 500, "500 rows")
    last = counter.of("cart.item_added")[-1]["id"]
    until(lambda: last in terminal.rows(), "the page to keep up")
    print(f"{number} events in {seconds:.0f} s: " + ", ".join(f"{heap / 1e6:.2f}" for heap in heaps) + " MB")
    return heaps


def test_two_minutes(counter: Counter) -> None:
    heaps = fed(counter, 120, 7)
    assert min(heaps[-3:]) - min(heaps[:3]) < KEPT


@pytest.mark.long
@pytest.mark.timeout(4200)
def test_an_hour(counter: Counter) -> None:
    heaps = fed(counter, 3600, 31)
    assert min(heaps[-10:]) - min(heaps[:10]) < KEPT
