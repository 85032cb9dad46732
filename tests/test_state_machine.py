"""Any story of one gateway: the real core on a real file, in a world whose clocks, crashes and peers are ours.

Hypothesis makes the stories up; `model` says, from the contract, what must come of them. After each step and at the
end what the journal, the apps and the platform have is compared with it, and three figures come out.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

import edge.database
import edge.upkeep
from model import Boot
from simulated.disk import Writer
from simulated.shoppers import CUSTOMERS, IDENTIFIERS, READ_POINTS
from simulated.world import World
from sync import mqtt

LONG = bool(os.environ.get("CARTWIRE_LONG"))
SEED = int(os.environ.get("CARTWIRE_SEED", "0")) or (secrets.randbelow(10**9) + 1 if LONG else 405105983)
"""The same stories each time in `make test`; others each time in `make test-long`."""
SEEDS = 10**9 if LONG else 4
ENOUGH = 60_000 if LONG else 10**9  # steps
BUDGET = 3600.0 if LONG else 40.0  # seconds; the stories under way end after
STORIES = 20  # in one go of Hypothesis, which knows no budget
STEPS = 50

YES = st.booleans()
AT = st.sampled_from((READ_POINTS[0], *READ_POINTS))
SIGHTS = ("product",) * 7 + ("ann", "ann", "dan", "dan", *IDENTIFIERS, "nobody's", "some card", "unreadable")
SIGHT = st.tuples(AT, st.sampled_from(SIGHTS))
PAUSE = st.sampled_from((0.0, 0.0, 0.0, 1.0, 2.5, 3.0, 9.875, 10.0, 20.0, 44.875, 45.0))
SECONDS = st.sampled_from((0.125, 1.0, 5.0, 20.0, 35.0, 61.0, 250.0, 600.0, 1800.0, 3600.0, 14_400.0, 90_000.0))
JUMP = st.sampled_from((0.0, 7200.0, -3600.0, 315_360_000.0, -946_080_000.0))
DOWN = st.sampled_from((0.0, 2.0, 50.0))
CONSENTS = (("cart",), ("cart", "presence"), ("presence",), None)
SHOPPER = st.sampled_from((*CUSTOMERS[:2], *CUSTOMERS))
WHO = st.sampled_from((*IDENTIFIERS, *("whoever waits",) * 5))
SINCE = st.sampled_from((None, None, -4000.0, -40.0, -4.0, 0.0, 4.0))
CHANGE = st.one_of(
    st.tuples(st.just("customer"), st.sampled_from((*CUSTOMERS[:2], *CUSTOMERS)), st.tuples(st.sampled_from(CONSENTS))),
    st.tuples(st.just("identifier"), WHO, st.tuples(st.sampled_from((*CUSTOMERS, *CUSTOMERS, None)), SINCE)),
)
CHANGES = st.lists(CHANGE, min_size=1, max_size=3)
PLATFORM = ("platform offline", "platform online", "swallow", "lose answer", "half")
BROKER = ("broker offline", "broker online", "apps ack", "apps silent", "drop", "mute", "forget", "lose ack")
TROUBLE = (*PLATFORM, *BROKER, "bands refused", "bands welcome")
NONSENSE = ({"id": "019aa2f1-0000-7000-8000-000000000000"}, {"id": 7}, [], {"id": "x"})


class Story(RuleBasedStateMachine):
    """One gateway, its two tills, its shoppers, its peers, and whatever may happen to them."""

    folder: ClassVar[Path]
    database: ClassVar[Path]
    steps: ClassVar[int] = 0
    scans: ClassVar[int] = 0

    @initialize(ok=YES, acking=YES)
    def open_the_shop(self, ok: bool, acking: bool) -> None:
        self.world = World(self.folder, self.database, ok=ok)
        self.world.broker.acking = acking
        for customer, consents in zip(CUSTOMERS, CONSENTS, strict=True):
            self.world.change("customer", customer, (consents,))
        for name, owner in (("ann", "c-1"), ("ben", "c-2"), ("cho", "c-3"), ("ann's code", "c-1")):
            self.world.change("identifier", name, (owner, None))
        self.world.wait(2.0)

    @invariant()
    def all_is_as_agreed(self) -> None:
        """After each step."""
        Story.steps += 1
        self.world.gateway.upkeep.stirred.set()
        self.world.compare()

    def teardown(self) -> None:
        """Everything comes online, and what can arrive arrives; unless something is wrong already."""
        try:
            if sys.exc_info()[0] is None:
                self.recover()
        finally:
            self.world.kill()
            for folder in self.folder.iterdir():
                shutil.rmtree(folder)

    def recover(self) -> None:
        broker, platform = self.world.broker, self.world.platform
        broker.online = platform.online = broker.acking = True
        platform.refusing = False
        broker.faults, platform.faults = [], []
        broker.drop()
        self.world.wait(400.0)
        for id in broker.stored:
            broker.say({"id": id})
        self.world.wait(60.0)
        self.world.judge.last()
        Story.scans += self.world.products

    @rule(blows=st.lists(st.tuples(PAUSE, st.lists(SIGHT, min_size=1, max_size=3)), min_size=1, max_size=4), still=YES)
    def read(self, blows: list[tuple[float, list[tuple[str, str]]]], still: bool) -> None:
        """Taps and scans after pauses; `still`: the process got no time in them, not for timeouts either."""
        for pause, sights in blows:
            if still:
                self.world.clocks.instant += pause
            else:
                self.world.wait(pause)
            self.world.see(*sights)

    @rule(at=AT, who=st.sampled_from([*IDENTIFIERS]), pauses=st.lists(PAUSE, min_size=1, max_size=3), again=YES)
    def shop(self, at: str, who: str, pauses: list[float], again: bool) -> None:
        """One shopper: a tap, then products, or the same band again and again."""
        self.world.see((at, who))
        for pause in pauses:
            self.world.wait(pause)
            self.world.see((at, who if again else "product"))

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: float) -> None:
        self.world.wait(seconds)

    @rule(changes=CHANGES, nudge=YES)
    def changes(self, changes: list[tuple[str, str, Any]], nudge: bool) -> None:
        self.learn(changes, nudge)

    def learn(self, changes: list[tuple[str, str, Any]], nudge: bool) -> None:
        """The platform has something new; without a nudge it is pulled some time."""
        for change in changes:
            self.world.change(*change)
        if nudge:
            self.world.broker.nudge()

    @rule(customer=st.sampled_from(CUSTOMERS[:3]), since=SINCE, jump=JUMP)
    def learn_who(self, customer: str, since: float | None, jump: float) -> None:
        """Whoever's scans are held; the wall clock may have jumped meanwhile."""
        self.world.clocks.jump(jump)
        self.learn([("identifier", "whoever waits", (customer, since))], True)

    @rule(customer=st.sampled_from(CUSTOMERS[:2]), consents=st.sampled_from(CONSENTS))
    def consent(self, customer: str, consents: tuple[str, ...] | None) -> None:
        """A customer thinks better of it."""
        self.learn([("customer", customer, (consents,))], True)

    @rule(lacking=st.sets(st.sampled_from((*CUSTOMERS, *IDENTIFIERS)), max_size=3))
    def learn_anew(self, lacking: set[str]) -> None:
        """The feed begins anew without these: a new generation."""
        self.world.platform.anew({IDENTIFIERS.get(name, name) for name in lacking})
        self.world.broker.nudge()

    @rule(which=st.integers(0, 12), times=st.integers(1, 2))
    def ack(self, which: int, times: int) -> None:
        """An app says again what it said before, or for the first time; or something that is no push."""
        ids = [*self.world.broker.stored, *[*self.world.witness.bodies][:1]]
        for said in [[*({"id": id} for id in ids), *NONSENSE][which % (len(ids) + len(NONSENSE))]] * times:
            self.world.broker.say(said)

    @rule(what=st.sampled_from(TROUBLE))
    def trouble(self, what: str) -> None:
        """A peer goes or comes; apps fall silent or not; or something fails once, at the next occasion."""
        match what.split(" ", 1):
            case ["broker" | "platform" as peer, state]:
                getattr(self.world, peer).online = state == "online"
                if what == "broker offline":
                    self.world.broker.drop()
            case ["bands", state]:
                self.world.platform.refusing = state == "refused"
            case ["apps", state]:
                self.world.broker.acking = state == "ack"
            case _:
                (self.world.platform if what in PLATFORM else self.world.broker).faults.append(what)

    @rule(which=st.integers(0, 5), again=YES, later=YES)
    def see_to_an_item(self, which: int, again: bool, later: bool) -> None:
        """Staff remove one of the last items, or push it again."""
        items = [id for id, (kind, _) in self.world.witness.keys.items() if kind in ("added", "gift")]
        for id in items[::-1][which : which + 1]:
            if later:
                self.world.intend("remove", id)
            else:
                self.world.staff("push_again" if again else "remove", id=id)

    @rule(at=AT, who=st.sampled_from(("ann", "ann", "ben", "dan")), which=st.integers(0, 3), times=st.integers(1, 3))
    def give(self, at: str, who: str, which: int, times: int) -> None:
        """Somebody asks for a product that nobody claimed."""
        self.world.see((at, who))
        customer = self.world.model.owner(IDENTIFIERS[who]) or CUSTOMERS[0]
        bodies = self.world.witness.bodies
        for id in [id for id in bodies if b"scan.unclaimed" in bodies[id]][::-1][which : which + 1] * times:
            self.world.staff("give", customer, id=id)

    @rule(what=st.sampled_from(("bind", "bind", "bind", "unbind", "later")), who=SHOPPER, band=WHO)
    def band(self, what: str, who: str, band: str) -> None:
        """Staff give a band, or take it, at once or later."""
        held = next((scan.band for scan in self.world.model.of("held")), IDENTIFIERS["dan"])
        pseudonym = IDENTIFIERS.get(band, held)
        whose = self.world.model.holder(pseudonym) or who
        if what == "later":
            self.world.intend("unbind", customer=whose, pseudonym=pseudonym)
        else:
            self.world.staff(what, who if what == "bind" else whose, pseudonym)

    @rule(what=st.sampled_from(("end", "end", "end", "close", "erase")), at=AT, who=SHOPPER, later=YES)
    def send_away(self, what: str, at: str, who: str, later: bool) -> None:
        """Staff end a session, or all, or erase a shopper, at once or later."""
        about = {"erase": {"customer": who}, "end": {"read_point": at}, "close": {}}[what]
        if later and what != "end":
            self.world.intend(what, **about)
        else:
            self.world.staff(what, *about.values())

    @rule(which=st.integers(0, 3))
    def take_back(self, which: int) -> None:
        """Staff think better of it."""
        for id in [*self.world.model.intents][which : which + 1]:
            self.world.take_back(id)

    @rule(how=st.sampled_from(("", "before", "after", "SIGTERM")), sights=st.lists(SIGHT, max_size=3), down=DOWN)
    def restart(self, how: str, sights: list[tuple[str, str]], down: float) -> None:
        """Cleanly, or killed at leisure, `before` or `after` the commit of what was just read; the boot goes on."""
        if how == "SIGTERM":
            self.world.gateway.stop()
        else:
            self.world.gateway.doom(how)
            self.world.see(*sights)
            self.world.kill()
        self.world.start(down)

    @rule(gap=st.sampled_from((0.0, 30.0, 3000.0, 90_000.0)), ok=YES)
    def reboot(self, gap: float, ok: bool) -> None:
        """Without a right clock before and after, how long it ran is known from the last row only."""
        world = self.world
        if not (ok and world.clocks.right):
            world.see(("till-1", "product"))
        world.kill()
        world.clocks = world.clocks.reboot(gap, ok=ok)
        world.model.reboot(Boot(world.clocks.boot, gap=gap), world.clocks.instant, ok=ok)
        world.start()

    @rule(seconds=JUMP)
    def wall_clock_jumps(self, seconds: float) -> None:
        self.world.clocks.jump(seconds)

    @rule(ok=st.sampled_from((True, True, False)))
    def synchronise(self, ok: bool) -> None:
        clocks = self.world.clocks
        if ok and clocks.synchronise():
            self.world.model.right(clocks.at_zero - clocks.base)
        clocks.ok = ok

    @rule(sights=st.lists(SIGHT, max_size=3), pause=PAUSE, then=st.lists(SIGHT, max_size=3), dies=YES)
    def full_disk(
        self, sights: list[tuple[str, str]], pause: float, then: list[tuple[str, str]], *, dies: bool
    ) -> None:
        """A tap that could not be written still ends the session there, also if the daemon dies before."""
        world = self.world
        world.gateway.disk.full = True
        world.see(*sights)
        world.broker.nudge()
        world.wait(pause)
        if dies:
            world.kill()
            world.model.killed()
            world.start()
        world.gateway.disk.full = False
        world.gateway.run_to(world.clocks.instant + 2.0)
        world.see(*then, *((at, "product") for at in READ_POINTS))


@pytest.mark.timeout(2 * BUDGET + 600)
def test_stories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Story after story until the time is over."""
    monkeypatch.setattr(edge.database, "ThreadPoolExecutor", Writer)
    monkeypatch.setattr(mqtt, "connect", mqtt.connect)
    monkeypatch.setattr(edge.upkeep, "EVERY", 3600.0)  # else most of the time is spent on looking in vain
    monkeypatch.setattr(edge.upkeep, "SOON", 600.0)
    Story.folder, Story.database = tmp_path / "stories", tmp_path / edge.database.FILE
    Story.folder.mkdir()
    edge.database.Database(Story.database).close()
    how = settings(
        max_examples=STORIES,
        stateful_step_count=STEPS,
        database=None,
        derandomize=False,
        print_blob=True,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    end, number, result = time.monotonic() + BUDGET, SEED, "failed"
    logging.disable(logging.CRITICAL)
    try:
        while time.monotonic() < end and number < SEED + SEEDS and Story.steps < ENOUGH:
            run_state_machine_as_test(seed(number)(Story), settings=how)
            number += 1
        result = "lost 0 · doubled 0 · wrong cart 0"
    finally:
        logging.disable(logging.NOTSET)
        with capsys.disabled():
            seeds = f"CARTWIRE_SEED={SEED} to {number}"
            sys.stdout.write(f"\n{result} in {Story.steps} steps ({Story.scans} scans, {seeds})\n")
