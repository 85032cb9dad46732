"""A shop: its clocks, its gateway and the peers, and beside them the model that is told the same."""

from __future__ import annotations

import json
import math
import shutil
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from edge import intents, journal, staff
from edge.batch import Batch
from edge.intents import Intent
from edge.model import Reading, Scan, Tap
from model import Boot, Model
from peers.gtin import gtin13, padded
from simulated.broker import Broker
from simulated.clock import Clocks
from simulated.judge import Judge
from simulated.platform import Platform
from simulated.process import Process, there
from simulated.shoppers import BANDS, CODES, IDENTIFIERS
from simulated.witness import Witness
from sync import mqtt

JUST = 2**-10
"""Seconds after something falls due, when it has fallen."""


class World:
    """Made in `folder`, with a copy of `database` as the gateway's file; `ok`: its clock is synchronised."""

    def __init__(self, folder: Path, database: Path, *, ok: bool) -> None:
        self._folder = folder
        self._data = self._place()
        self._data.mkdir()
        shutil.copy(database, self._data)
        self.clocks = Clocks(ok)
        self.model = Model(Boot(self.clocks.boot, 0.0 if ok else None), self.clocks.instant)
        self.witness, self.platform = Witness(), Platform()
        self.broker = Broker(self._pushed, self._confirmed)
        self.judge = Judge(self.model, self.witness, self.broker, self.platform)
        mqtt.connect = self.broker.connect  # type: ignore[assignment]
        self.products = 0
        self.start()

    def start(self, down: float = 0.0) -> None:
        """The daemon comes up after `down` seconds."""
        self.clocks.instant += down
        self.model.pass_to(self.clocks.instant)
        peers, told = (self.broker, self.platform), (self._page, self._look, self._done, self._rejected)
        self.gateway = Process(self._data, self.clocks, *peers, *told)
        self._look()
        self.gateway.start()

    def introduce(self) -> None:
        """The gateway learns ann, who is c-1 and consents to all."""
        self.change("customer", "c-1", (("cart", "presence"),))
        self.change("identifier", "ann", ("c-1", None))
        self.broker.nudge()
        self.wait(10.0)

    def kill(self) -> None:
        """Power or SIGKILL: only the files are left."""
        self._data = self._place()
        self.gateway.kill(self._data)

    def wait(self, seconds: float) -> None:
        """Time passes; whenever something falls due it is looked at."""
        end = self.clocks.instant + seconds
        while self.clocks.instant < end:
            due = min((at + JUST for at in self.model.dues()), default=math.inf)
            self.gateway.run_to(min(max(due, self.clocks.instant), end))
            self.compare()

    def compare(self) -> None:
        """What cannot be written now is missing rightly, so a full disk is not looked at."""
        self.gateway.run_to(self.clocks.instant)
        self.model.pass_to(self.clocks.instant)
        self._look()
        if not self.gateway.disk.full:
            claims = sum(len(spot.held) for spot in self.gateway.intake.floor.values())
            self.judge.compare(journal.held_scans(self.gateway.reader) + claims)
            waiting = {intent.id for intent in self.gateway.intents.pending(self.gateway.reader)}
            assert waiting == self.model.intents.keys(), (waiting, self.model.intents)

    def see(self, *sights: tuple[str, str]) -> None:
        """Taps and scans at one blow, in one commit."""
        readings = [self._sight(*sight) for sight in sights]

        async def read() -> None:
            for reading in readings:
                await self.gateway.read(*reading)

        self.gateway.do(read())

    def _sight(self, at: str, what: str) -> tuple[Reading, Callable[[], None], Callable[[], object]]:
        """What a driver emits; how the model is told that it was written, or that it could not be."""
        stamp, nothing = self.clocks.stamp(), list[None]
        if what == "product":
            self.products += 1
            text = gtin13(self.products)
            return Scan(read_point=at, text=text), self._told(self.model.scan, at, padded(text), stamp), nothing
        if what == "nobody's":
            return Scan(read_point=at, text="no code"), self._told(self.model.read, at), nothing
        code = CODES.get(what)
        tap = Scan(read_point=at, text=code) if code else Tap(read_point=at, value=BANDS[what])
        method, band = "code" if code else "nfc", IDENTIFIERS.get(what, "")
        return tap, self._told(self.model.tap, at, band, method, stamp), self._told(self.model.refused, at, band)

    def change(self, kind: str, name: str, value: tuple[Any, ...]) -> None:
        """The platform has something new of a customer, or of a band: whose it is, since how many seconds from now."""
        if kind == "customer":
            change = None if value[0] is None else {"cart": f"cart-of-{name}", "consents": [*value[0]]}
        else:
            change = {"type": "nfc", "customer": value[0]} if value[0] else None
            held = next((scan.band for scan in self.model.of("held")), IDENTIFIERS["dan"])
            name = IDENTIFIERS.get(name, held)
            if change and value[1] is not None:
                since = self.clocks.truth + self.clocks.instant + value[1]
                change["from"] = datetime.fromtimestamp(since, UTC).isoformat()
        self.platform.change(kind, name, change)

    def staff(self, action: str, *about: str, id: str = "") -> None:
        """Somebody of the staff does it at once; `id`: the event that it is about."""
        seq = json.loads(self.witness.bodies[id])["seq"] if id else None
        given = (seq, id, *about) if id else (self.gateway.attribution, *about) if action == "bind" else about
        exists = False

        def work(batch: Batch) -> None:
            nonlocal exists
            exists = there(batch.connection, seq)
            getattr(staff, action)(batch, *given, "kim")

        def told(_: None) -> None:
            self._look()
            if exists and action != "push_again":
                self._told(self._staff, action, (*self._known(action, id), *about))()

        self.gateway.ask(work, told)

    def intend(self, action: str, id: str = "", **about: str) -> None:
        """The same in ten seconds."""
        seq = {"seq": json.loads(self.witness.bodies[id])["seq"], "id": id} if id else {}
        told = (*self._known(action, id), *about.values())

        def put(intent: Intent | None) -> None:
            if intent:
                since = self.model.boot, self.clocks.instant
                customer = intent.arguments.get("customer", "")
                self.model.intents.setdefault(intent.id, (action, told, since, customer))

        self.gateway.ask(lambda batch: intents.put(batch, action, {**seq, **about}, "kim"), put)

    def take_back(self, id: str) -> None:
        """What staff had in mind is not done."""
        self.gateway.ask(
            lambda batch: intents.take_back(batch, id, "lee"), lambda found: found and self.model.intents.pop(id)
        )

    def _known(self, action: str, id: str) -> tuple[str, ...]:
        """An event as the model knows it: an item, or a scan."""
        if not id:
            return ()
        return (json.loads(self.witness.bodies[id])["data"]["gtin"],) if action == "give" else self.witness.keys[id]

    def _staff(self, action: str, about: tuple[str, ...]) -> None:
        band = (self.witness.band,) if action in ("bind", "unbind") else ()
        getattr(self.model, action)(*about, *band)

    def _done(self, id: str, exists: bool) -> None:
        self._look()
        if id not in self.model.intents:  # nobody here has put it
            return
        action, about, since, _ = self.model.intents.pop(id)
        assert self.model.age(since) + self.clocks.instant - self.model.now >= intents.WAIT, f"{action} came early"
        if exists:
            self._told(self._staff, action, about)()

    def _rejected(self, id: str) -> None:
        self._told(self.model.rejected, id)()

    def _place(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self._folder)) / "data"

    def _told(self, tell: Callable[..., None], *what: Any) -> Callable[[], None]:
        """Tells it at the instant at which it is called."""

        def now() -> None:
            self.model.pass_to(self.clocks.instant)
            tell(*what)

        return now

    def _look(self) -> None:
        self.witness.look(self.gateway.reader)

    def _page(self, changes: list[dict[str, Any]], first: bool, more: bool) -> None:
        told = [((change["kind"], change["key"]), change.get("value")) for change in changes]
        self._told(partial(self.model.page, told, first=first, more=more))()

    def _pushed(self, *push: Any) -> None:
        self._look()
        self._told(self.judge.pushed, *push)()

    def _confirmed(self, id: str) -> None:
        self._look()
        self._told(self.judge.confirmed, id)()
