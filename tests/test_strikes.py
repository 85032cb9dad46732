"""Kills and disk errors at every sync and every write in turn: the process ends there, the next loses nothing."""

from __future__ import annotations

import os
import random
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from peers.day import SEED, Day, furnish
from peers.process import until
from peers.strike import Struck
from tally import tally

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

    from conftest import Platform
    from peers.brokers import Mosquitto

pytestmark = pytest.mark.faults
EVERY = bool(os.environ.get("CARTWIRE_FAULTS"))
"""At every call in turn, as `make test-faults` does; else at a spread of them."""
ENDS = {
    ("fdatasync", "signal=KILL"): (300, 4),
    ("pwrite64", "signal=KILL"): (1200, 4),
    ("fdatasync", "error=EIO"): (60, 2),
}
"""What ends the daemon, at the first so many calls; in short at so many of these."""
A_DAY = 100
"""Strikes in one day, so that what it leaves can be counted in one go."""


def plan() -> list[str]:
    """Return the strikes of all days, mixed; in short one out of each of equal parts of the calls."""
    dice = random.Random(SEED)
    faults = []
    for (call, what), (last, spread) in ENDS.items():
        part = last / spread
        some = [1 + int(dice.uniform(n * part, (n + 1) * part)) for n in range(spread)]
        faults += [f"{call}:{what}:when={number}" for number in (range(1, last + 1) if EVERY else some)]
    dice.shuffle(faults)
    return faults


PLAN = plan()
DAYS = -(-len(PLAN) // A_DAY)


@pytest.fixture
def day(broker: Mosquitto, platform: Platform, tmp_path: Path, ended: ExitStack) -> Day:
    """Furnish a store that can be struck."""
    return furnish(tmp_path, broker, platform, ended, kind=Struck)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(DAYS))
def test_struck_at_each_call_in_turn(part: int, day: Day, capsys: pytest.CaptureFixture[str]) -> None:
    """Also while the database is made. Ended by a strike, the daemon is started again at once."""
    store = day.store
    assert isinstance(store, Struck)
    hits: Counter[str] = Counter()
    for fault in ("pwrite64:signal=KILL:when={}", "fdatasync:signal=KILL:when={}"):
        create(store, fault.format(1 + part), hits)
    day.begin()
    day.more(1)
    store.kill()
    day.witness.stop()
    for store.fault in PLAN[part::DAYS]:
        store.start()
        day.witness.start()
        store.fell()
        day.shopping.check()
        day.witness.stop()
        count(store, hits)
        after_failed_sync(store)
    store.fault = None
    store.start()
    day.witness.start()
    day.end()
    verdict = day.verdict()
    kills = sum(number for hit, number in hits.items() if "KILL" in hit)
    errors = hits.total() - kills
    tally.judged(verdict, kills=kills, disk_errors=errors)
    with capsys.disabled():
        where = ", ".join(f"{number} {hit}" for hit, number in sorted(hits.items()))
        sys.stdout.write(f"\n{verdict.line(f'{kills} kills and {errors} disk errors')}\n  {where}\n")
    day.check(verdict)


@pytest.mark.timeout(300)
def test_a_checkpoint_that_is_not_synced_ends_the_process(day: Day) -> None:
    """The kernel says once that pages are gone; a second sync would be believed, and the WAL written over."""
    store = day.store
    assert isinstance(store, Struck)
    day.begin()
    day.more(1)
    store.kill()
    day.witness.stop()
    store.fault, store.about = "fdatasync:error=EIO:when=1", store.data / "cartwire.db"
    store.start()
    day.witness.start()
    store.fell()
    day.witness.stop()
    after_failed_sync(store)
    store.fault = None
    store.start()
    day.witness.start()
    day.more(100)
    day.end()
    day.check(day.verdict())


def after_failed_sync(store: Struck) -> None:
    """Nothing may be synced any more by a process that was told that a sync failed."""
    if store.fault and store.fault.startswith("fdatasync:error"):
        assert store.went_on() == [], "it went on after a failed sync"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("part", range(20 if EVERY else 1))
def test_a_disk_that_cannot_write_again_and_again(part: int, day: Day, capsys: pytest.CaptureFixture[str]) -> None:
    """Such a scan is refused with the cue *cannot*; what was accepted is kept; it recovers by itself."""
    store = day.store
    assert isinstance(store, Struck)
    dice = random.Random(SEED + part)
    day.begin()
    day.more(1)
    store.kill()
    day.witness.stop()
    first, step, times = dice.randint(300, 900), dice.choice((1, 7, 23, 67, 101)), dice.randint(20, 40)
    error = ("ENOSPC", "EIO")[(SEED + part) % 2]
    store.fault = f"pwrite64:error={error}:when={first}..{first + step * (times - 1)}+{step}"
    store.start()
    day.witness.start()

    def over() -> bool:
        return len(store.struck()) >= times and ": cannot" in store.said

    until(lambda: day.stuck or over(), lambda: f"{store.fault}: {len(store.struck())} failed\n{store.tail()}", 90)
    day.more(100)
    failed = len(store.struck())
    refused = store.said.count(": cannot")
    store.stop()
    store.fault = None
    store.start()
    day.end()
    verdict = day.verdict()
    tally.judged(verdict, failed_writes=failed, refused=refused)
    with capsys.disabled():
        sys.stdout.write(f"\n{verdict.line(f'{failed} failed writes ({error})')}; {refused} refused\n")
    assert refused
    day.check(verdict)


def create(store: Struck, fault: str, hits: Counter[str]) -> None:
    """Strike while the database is made; go on if it is not made in so many calls."""
    store.fault = fault
    store.start()
    store.fell_or_opened()
    count(store, hits)
    if store.running:
        store.kill()
    store.fault = None


def count(store: Struck, hits: Counter[str]) -> None:
    """Count where it was struck."""
    assert store.fault
    for call, file in store.struck():
        hits[f"{store.fault.split(':')[1]} at {call} of {file}"] += 1
