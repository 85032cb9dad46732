"""Fifty power cuts: whatever is killed, each scan is once in the right cart and on the platform."""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from peers.day import SEED, Day, furnish
from peers.process import until
from peers.shopping import SCANS_PER_SECOND
from tally import tally

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack
    from pathlib import Path

    from conftest import Platform
    from peers.brokers import Broker

pytestmark = pytest.mark.faults
KILLS = int(os.environ.get("CARTWIRE_KILLS", "50"))
FAULTS: tuple[dict[str, Any], ...] = (
    {"do": "status", "status": 503},
    {"do": "reset"},
    {"do": "swallow"},
    {"do": "garbage"},
)


class Weather:
    """Broker and platform: up, down, and coming and going, in turn."""

    SKIES = ("up up", "down up", "up down", "down down", "flaps flaps")

    def __init__(self, broker: Broker, fell: Callable[[], None], platform: Platform, seed: int) -> None:
        """`fell` is how the broker goes down."""
        self._broker = broker
        self._fell = fell
        self._platform = platform
        self._random = random.Random(seed)

    def turn(self, part: float) -> None:
        """Make the weather of this part, 0 to 1, of the story; twice through all skies."""
        sky = self.SKIES[int(part * 2 * len(self.SKIES)) % len(self.SKIES)]
        broker, platform = sky.split()
        (self._broker.start if self._up(broker) else self._fell)()
        (self._platform.start if self._up(platform) else self._platform.kill)()
        if self._platform.running:
            self._platform.mend()
            if platform == "flaps":
                fault = self._random.choice(FAULTS)
                self._platform.fault("/v1/events", times=self._random.randint(1, 3), **fault)

    def clear(self) -> None:
        """Bring everything up for good."""
        self._broker.start()
        self._platform.start()
        self._platform.mend()

    def _up(self, state: str) -> bool:
        return self._random.random() < 0.5 if state == "flaps" else state == "up"


@dataclass(frozen=True)
class Case:
    """One broker and how it goes down; `keeps_order`: it forgets nothing then."""

    broker: str
    end: str
    kills: int
    keeps_order: bool


CASES = {
    "mosquitto": Case("broker", "stop", KILLS, keeps_order=True),
    "nats": Case("nats", "kill", max(3, KILLS // 10), keeps_order=True),
    "mosquitto-forgets": Case("broker", "kill", max(3, KILLS // 10), keeps_order=False),
}


@dataclass
class Scene:
    """A day in all weathers."""

    day: Day
    weather: Weather

    def play(self, kills: int) -> None:
        """Open the shop, cut its power again and again, and wait until nothing waits."""
        dice = random.Random(SEED)
        day = self.day
        day.begin()
        for kill in range(kills):
            if dice.random() < 0.8:
                day.store.ready()  # so that broker and platform also fall under a daemon that is at work
            self.weather.turn(kill / kills)
            self._go_on(dice)
            if kill == kills - 1:
                self._clear()
            day.power_cut()
        day.end()

    def _go_on(self, dice: random.Random) -> None:
        """Wait for some more scans and a blink; one time in five for less than a start takes."""
        never = threading.Event()
        if dice.random() < 0.2:
            never.wait(dice.uniform(0, 0.5))
            return
        self.day.more(dice.randint(1, SCANS_PER_SECOND))
        self._arrival(dice.uniform(0, 0.6))

    def _arrival(self, seconds: float) -> None:
        """Wait for the moment in which an item arrives: there a delivery and its record can differ."""
        before, end = self.day.arrived, time.monotonic() + seconds
        while self.day.arrived == before and time.monotonic() < end:
            threading.Event().wait(0.0005)

    def _clear(self) -> None:
        """Bring all up before the last kill: then its restart finds both apps listening."""
        self.weather.clear()
        until(lambda: all(app.connected for app in self.day.apps), "both apps", 30)


@pytest.fixture(params=list(CASES.values()), ids=list(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    """Take each broker in turn."""
    chosen: Case = request.param
    return chosen


@pytest.fixture
def scene(case: Case, request: pytest.FixtureRequest, platform: Platform, tmp_path: Path, ended: ExitStack) -> Scene:
    """Furnish a store with two tills, and two shoppers it knows."""
    broker: Broker = request.getfixturevalue(case.broker)
    day = furnish(tmp_path, broker, platform, ended)
    return Scene(day, Weather(broker, getattr(broker, case.end), platform, SEED))


@pytest.mark.timeout(max(420, 8 * KILLS))
def test_fifty_power_cuts(case: Case, scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the broker forgets, an item may come to the app after a later one; `seq` tells."""
    scene.play(case.kills)
    day = scene.day
    verdict = day.verdict()
    tally.judged(verdict, kills=case.kills)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{verdict.line(f'{case.kills} kills')}\n"
            f"  {case.broker} by {case.end}: {day.written - len(verdict.accepted)} of {day.written} written"
            f" were not accepted; {len(day.witness.seen)} events seen live;"
            f" {day.shopping.changes} changes of place; repeats at the apps"
            f" {[app.repeats for app in day.apps]}, late there {[len(app.late) for app in day.apps]}\n"
        )
    day.check(verdict, keeps_order=case.keeps_order)
