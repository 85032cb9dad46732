"""What shoppers do: bands and products held to readers, a walk with a beacon, and the recorded day.

All of it is lines in the FIFO that the gateway's `replay` driver reads. What is played while nobody reads
there is read by nobody, as at readers without power.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain, repeat
from pathlib import Path
from typing import Any

from edge.demo.judge import Judge

STRANGER = "C0FFEE42"
"""A card that is no band of the chain's."""
DOOR = "door"
_STEP = 0.4
"""Seconds between two sightings."""
_COMES, _STAYS, _GOES = range(-92, -58, 3), -57, range(-60, -98, -3)
"""dBm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shopper:
    """One of those that have a phone here."""

    customer: str
    cart: str
    name: dict[str, str]
    band: str
    beacon: str


@dataclass(slots=True)
class Hands:
    """`readings`: the FIFO. `place`: where each shopper stands. `changed` is called after each change."""

    readings: Path
    shoppers: dict[str, Shopper]
    judge: Judge
    changed: Callable[[], None]
    doubtful: Callable[[], bool]
    """Whether a tap may be refused now."""
    place: dict[str, str] = field(default_factory=dict)
    inside: set[str] = field(default_factory=set)
    """Who has walked in with the beacon."""
    playing: bool = True
    """Whether the recorded day plays."""
    _go_on: asyncio.Event = field(default_factory=asyncio.Event)
    _walks: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    def tap(self, read_point: str, customer: str | None) -> bool:
        """Of a shopper's band, or of a stranger's card; whether somebody reads there."""
        band = self.shoppers[customer].band if customer else STRANGER
        if customer:
            self.place[customer] = read_point
        return self._play({"kind": "tap", "type": "nfc", "value": band, "read_point": read_point})

    def scan(self, read_point: str, text: str, symbology: str = "EAN13") -> bool:
        """A product is held up; whether somebody reads there."""
        return self._play({"kind": "scan", "text": text, "symbology": symbology, "read_point": read_point})

    def walk(self, customer: str) -> None:
        """In through the door with the beacon, or out again."""
        goes = customer in self.inside
        if task := self._walks.pop(customer, None):
            task.cancel()
        self.inside ^= {customer}
        rssi = iter(_GOES) if goes else chain(_COMES, repeat(_STAYS))
        self._walks[customer] = asyncio.create_task(self._carry(self.shoppers[customer].beacon, rssi))
        self.changed()

    async def _carry(self, beacon: str, rssi: Iterator[int]) -> None:
        for level in rssi:
            self._play({"kind": "sighting", "type": "ibeacon", "value": beacon, "rssi": level, "read_point": DOOR})
            await asyncio.sleep(_STEP)

    def switch_day(self, *, on: bool) -> None:
        self.playing = on
        if on:
            self._go_on.set()
        else:
            self._go_on.clear()
        self.changed()

    async def play_day(self, day: str) -> None:
        """The recorded day, lines with `at`, again and again while it is switched on."""
        lines = [json.loads(line) for line in day.splitlines()]
        self.switch_day(on=self.playing)
        while True:
            before = 0.0
            for line in lines:
                await asyncio.sleep(line["at"] - before)
                await self._go_on.wait()
                before = line["at"]
                self._play({key: value for key, value in line.items() if key != "at"})

    def _play(self, line: dict[str, Any]) -> bool:
        """Whether somebody reads the FIFO."""
        try:
            pipe = os.open(self.readings, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # ENXIO: nobody does
            return False
        try:
            os.write(pipe, json.dumps(line).encode() + b"\n")
        except OSError:  # it is full, or the reader went meanwhile
            return False
        finally:
            os.close(pipe)
        self._tell(line)
        return True

    def _tell(self, line: dict[str, Any]) -> None:
        now, at = time.time(), line["read_point"]
        if line["kind"] == "tap":
            owner = next((who for who, each in self.shoppers.items() if each.band == line["value"]), None)
            self.judge.tapped(now, at, owner, sure=not self.doubtful())
            if owner:
                self.place[owner] = at
        elif line["kind"] == "scan":
            self.judge.scanned(now, at, line["text"].zfill(14))
        self.changed()

    async def close(self) -> None:
        for task in self._walks.values():
            task.cancel()
        await asyncio.gather(*self._walks.values(), return_exceptions=True)
