"""The heartbeat on the status topic: each minute and at a change, how the gateway is, never more than one at a time."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from bands import BAND
from edge.database import DatabaseError
from edge.kiosk.condition import Condition, in_short
from peers.eavesdropper import Eavesdropper, misfits
from peers.process import until
from peers.store import Store
from sync.heartbeat import EVERY, LOOK, Pulse, beat
from test_condition import NOW, report, sinks

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from conftest import Platform
    from peers.brokers import Mosquitto


class Heart:
    """A gateway of which only the time is real; `states` by the second at which they begin."""

    def __init__(self, states: dict[float, object], until: float) -> None:
        """Let it beat until then."""
        self.now, self.said = 0.0, list[float]()
        self._states, self._end = states, until
        self.broken = False

    async def live(self) -> list[float]:
        """Return the seconds at which it was heard."""
        with pytest.raises(asyncio.CancelledError):
            await beat(Pulse(self._state, self._health), lambda _: self.said.append(self.now), self._sleep)
        return self.said

    def _state(self) -> object:
        return self._states[max(at for at in self._states if at <= self.now)]

    async def _health(self) -> dict[str, Any]:
        if isinstance(error := self._state(), Exception):
            raise error
        return {}

    async def _sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.now >= self._end:
            raise asyncio.CancelledError


async def test_each_minute_while_nothing_changes() -> None:
    assert await Heart({0: "well"}, 300).live() == [0, 60, 120, 180, 240]


async def test_soon_after_a_change_and_a_minute_from_there() -> None:
    assert await Heart({0: "well", 71: "lost", 78: "well"}, 200).live() == [0, 60, 75, 80, 140]


async def test_what_flaps_is_told_in_steps() -> None:
    """A day in which something changes each second costs no more than one every LOOK seconds."""
    said = await Heart(dict(enumerate(range(3600))), 3600).live()
    assert min(after - before for before, after in pairwise(said)) >= LOOK


@pytest.mark.parametrize(
    "error",
    [DatabaseError("no file can be opened"), sqlite3.OperationalError("disk I/O error"), OSError(5, "no disk")],
    ids=["no file", "no page", "no disk"],
)
async def test_it_outlives_a_minute_in_which_nothing_can_be_read(error: Exception) -> None:
    assert await Heart({0: "well", 62: error, 130: "well"}, 240).live() == [0, 60, 130, 190]
    assert EVERY == 60


@pytest.mark.parametrize(
    ("more", "trouble"),
    [
        ({}, []),
        (sinks("cart", "connecting"), []),
        (sinks("cart", "stopped"), ["broker:stopped"]),
        (sinks("platform", "unavailable"), ["platform:unavailable"]),
        ({"clock": {"ok": False}}, ["clock:unsynchronised"]),
        ({"refused": "no room", "trouble": "no room"}, ["disk:full", "gateway:refuses"]),
        ({"space": {"used": 90, "capacity": 100, "hours_left": None}}, ["disk:low"]),
        (
            {"drivers": [{"driver": "nfc@till-1", "state": "lost", "since": "", "reason": "of c-1"}]},
            ["nfc@till-1:lost"],
        ),
    ],
)
def test_what_is_told_in_short(more: dict[str, Any], trouble: list[str]) -> None:
    said = in_short(Condition().of(report(**more), NOW))
    assert (said["health"], said["trouble"]) == ("trouble" if trouble else "ok", trouble)
    assert said.keys() == {"health", "trouble", "queued", "held"}


@pytest.fixture
def ear(broker: Mosquitto, ended: ExitStack) -> Eavesdropper:
    """One who hears everything."""
    heard = Eavesdropper(broker.port)
    ended.callback(heard.close)
    return heard


def troubles(ear: Eavesdropper) -> list[str]:
    """Return what the newest heartbeat complains of, but for the clock and disk of whoever runs this."""
    newest = ear.told("status", "heartbeat")[-1]
    assert (newest["health"] == "ok") is (newest["trouble"] == [])
    return [each for each in newest["trouble"] if each.partition(":")[0] not in ("clock", "disk")]


def test_who_listens_hears_how_the_gateway_is(
    opened: Callable[..., Store], platform: Platform, broker: Mosquitto, ear: Eavesdropper, ended: ExitStack
) -> None:
    store = opened()
    until(lambda: ear.told("status", "heartbeat"), store.tail, 30)
    until(lambda: troubles(ear) == [], store.tail, 30)
    platform.kill()
    store.tap(BAND)
    until(lambda: troubles(ear) == ["platform:unavailable"], store.tail, 30)
    late = Eavesdropper(broker.port)
    ended.callback(late.close)
    until(lambda: late.told("status", "heartbeat"), "one who comes later has the newest")
    assert troubles(late) == ["platform:unavailable"]
    platform.start()
    until(lambda: troubles(ear) == [], store.tail, 30)
    assert [wrong for heard in ear.heard for wrong in misfits(heard, "5")] == []
    store.stop()
    until(lambda: len(ear.told("status", "status")) == 2, "the end")
    said = [json.loads(each.payload) for each in ear.on("status")]
    assert (said[0].get("time"), said[-1]["state"]) == (None, "offline"), "first and last"


def test_what_changes_while_the_broker_is_away_waits_nowhere(
    opened: Callable[..., Store], platform: Platform, broker: Mosquitto, ear: Eavesdropper, ended: ExitStack
) -> None:
    """The platform goes and comes three times meanwhile; then there is one word on how it is now."""
    store = opened()
    until(lambda: ear.told("status", "heartbeat"), store.tail, 30)
    before = ear.told("status", "heartbeat")[-1]["since"]
    broker.stop()
    until(lambda: store.status()["sinks"]["cart"]["state"] != "ok", store.tail, 30)
    for _ in range(3):
        platform.kill()
        until(lambda: store.status()["line"]["up"] is False, store.tail, 20)
        platform.start()
        until(lambda: store.status()["line"]["up"] is True, store.tail, 20)
    broker.start()
    ear = Eavesdropper(broker.port)
    ended.callback(ear.close)
    fresh = until(lambda: [each for each in ear.told("status", "heartbeat") if each["since"] != before], store.tail, 30)
    assert len(fresh) <= 2, fresh
    assert troubles(ear) == []
