"""What the two servers may do: whatever the platform answers, and whichever of them dies, the day comes out right."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from peers.day import SEED, Day, furnish
from peers.process import until
from tally import tally

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

    from conftest import Platform
    from peers.brokers import Broker, Mosquitto

pytestmark = pytest.mark.faults
LONG = bool(os.environ.get("CARTWIRE_FAULTS"))
EVENTS = "/v1/events"
RATE = 30  # scans a second
Trouble = Callable[["Platform", random.Random], None]


def answers(times: int, **fault: Any) -> Trouble:
    """The platform answers so: in short once, at length up to `times` times in a row, and not only to events."""

    def trouble(platform: Platform, dice: random.Random) -> None:
        path, often = (dice.choice((EVENTS, "/v1/")), dice.randint(1, times)) if LONG else (EVENTS, 1)
        platform.fault(path, times=often, **fault)

    return trouble


def wait_until(platform: Platform, _: random.Random) -> None:
    """Answer 429 with a date."""
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    platform.fault(EVENTS, "status", 1, status=429, headers={"Retry-After": at})


def too_large(platform: Platform, _: random.Random) -> None:
    """Answer 413 to a batch that is large after a wait: one event alone would be put aside."""
    platform.fault(EVENTS, "status", 1, status=503, headers={"Retry-After": "1"})
    platform.fault(EVENTS, "status", 2 if LONG else 1, status=413)


def restart(platform: Platform, _: random.Random) -> None:
    """End as a power cut does, and come back."""
    platform.kill()
    platform.start()


TROUBLES: dict[str, Trouble] = {
    "restart": restart,
    "500": answers(2, do="status", status=500),
    "413": too_large,
    "429 for seconds": answers(2, do="status", status=429, headers={"Retry-After": "1"}),
    "429 to a date": wait_until,
    "404": answers(2, do="status", status=404),
    "rubbish": answers(2, do="garbage"),
    "an empty 200": answers(2, do="garbage", body=" "),
    "nothing": answers(2, do="reset"),
    "nothing after it was carried out": answers(2, do="swallow"),
}
RARER: dict[str, Trouble] = {
    "301": answers(2, do="status", status=301, headers={"Location": "http://127.0.0.1:1/"}),
    "503": answers(2, do="status", status=503, headers={"Retry-After": "1"}),
    "an empty list": answers(2, do="status", status=200, body={"results": []}),
    "a late answer": answers(1, do="stall", seconds=1),
}
"""Only at length."""
REFUSALS = (401, 403) if LONG else (401,)
"""The store stands still then, and asks again after a minute, or when it is started again."""


@dataclass(frozen=True)
class Case:
    """A broker and how it goes down; `keeps_order`: it forgets nothing then."""

    broker: str
    keeps_order: bool


CASES = {"mosquitto-forgets": Case("broker", keeps_order=False), "nats": Case("nats", keeps_order=True)}


@pytest.mark.timeout(1800)
def test_whatever_the_platform_answers(
    broker: Mosquitto, platform: Platform, tmp_path: Path, ended: ExitStack, capsys: pytest.CaptureFixture[str]
) -> None:
    """One trouble after the other, in a seeded order, while scans come in."""
    dice = random.Random(SEED)
    day = furnish(tmp_path, broker, platform, ended, rate=RATE)
    day.begin()
    troubles = [*TROUBLES.items(), *RARER.items()] * 5 if LONG else [*TROUBLES.items()]
    troubles += [(str(status), partial(refuse, day, status)) for status in REFUSALS]
    dice.shuffle(troubles)
    for name, trouble in troubles:
        day.more(3)
        trouble(platform, dice)
        requests, events = platform.answered(EVENTS, 200), len(platform.events())
        until(
            # Both: an answer that is swallowed comes with events, rubbish is a 200.
            lambda: platform.answered(EVENTS, 200) > requests and len(platform.events()) > events,  # noqa: B023
            lambda: f"events after {name}:\n{day.store.tail()}",  # noqa: B023
            90,
        )
    finish(day, capsys, f"{len(troubles)} troubles of the platform", keeps_order=True)


def refuse(day: Day, status: int, platform: Platform, dice: random.Random) -> None:
    """Refuse the token once; in short, and one time in two, the store is started again and need not wait a minute."""
    before = platform.answered(EVENTS, status)
    platform.fault(EVENTS, "status", 1, status=status)
    until(lambda: platform.answered(EVENTS, status) > before, f"a {status}", 30)
    if not LONG or dice.random() < 0.5:
        day.more(RATE * 2)
        day.power_cut()


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("case", list(CASES.values()), ids=list(CASES))
def test_a_broker_killed_under_the_store(
    case: Case,
    request: pytest.FixtureRequest,
    platform: Platform,
    tmp_path: Path,
    ended: ExitStack,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whatever it forgets, or brings late, the store knows what no app has confirmed. `seq` tells the order then."""
    broker: Broker = request.getfixturevalue(case.broker)
    dice = random.Random(SEED)
    day = furnish(tmp_path, broker, platform, ended)
    day.begin()
    for _ in range(20):
        day.more(dice.randint(1, 200))
        broker.kill()
        day.more(dice.randint(1, 100))
        broker.start()
        until(lambda: all(app.connected for app in day.apps), "both apps", 30)
    finish(day, capsys, "20 kills of the broker", keeps_order=False)


def finish(day: Day, capsys: pytest.CaptureFixture[str], what: str, *, keeps_order: bool) -> None:
    """Count the day."""
    day.end()
    assert day.platform.mend() == 0, "not all troubles were met"
    verdict = day.verdict()
    tally.judged(verdict, server_troubles=int(what.split()[0]))
    with capsys.disabled():
        sys.stdout.write(f"\n{verdict.line(what)}\n")
    day.check(verdict, keeps_order=keeps_order)
