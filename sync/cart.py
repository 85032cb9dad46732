"""The sink that fills the shopper's cart: additions and removals over MQTT, again until the app confirms.

A PUBACK is not durability: a broker may forget what it acknowledged. So what is pushed and unconfirmed is
pushed again, the same bytes in the same order: at a new connection, and 1, 4, 16, 64, 256 minutes after
the first push, then every 256. Consent is part of the query that finds what to push.

A broker may end the connection over what it refuses, and then one cannot tell which of those in flight it meant.
So after a refusal or a loss pushes go one by one for a while.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import uuid
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Any

import msgspec

from edge import aside
from edge.batch import Batch
from edge.database import RETRY, Full
from edge.envelope import timestamp
from edge.intake import Intake
from edge.journal import PUSHED, Stored
from edge.journald import about
from edge.model import Row
from edge.ports import Unavailable
from sync import mqtt
from sync.forwarder import Delivery
from sync.fresh import Fresh
from sync.heartbeat import Pulse, beat
from sync.mqtt import Connection, Message, Packed, Server

log = logging.getLogger(__name__)

CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"
ROUND = 60.0
"""Seconds at least between two rounds of pushing again that new connections cause."""
_LOOK = 5.0
"""Seconds at least between two looks for what is due again."""
_MINUTES = (1, 4, 16, 64, 256)
STAND_STILL = 60.0
"""Seconds until a broker that refused three carts in a row is asked again."""
_IN_A_ROW = 3
_NOT_AUTHORISED, _QUOTA = 0x87, 0x97
_REFUSALS = {
    _NOT_AUTHORISED: "the broker does not let us write to this cart (0x87)",
    0x90: "the broker says that the topic name is invalid (0x90)",
    0x99: "the broker says that the payload is invalid (0x99)",
}
_LEFT = "r.id, r.cart, b.origin + r.committed - ? FROM row r"
_OPEN = f"0, {_LEFT} JOIN open_push p ON p.id = r.id"
_ASIDE_ROWS = f"a.again, {_LEFT} JOIN aside a ON a.sink = 'cart' AND a.seq = r.seq AND a.again > 0"


@dataclass(frozen=True, slots=True)
class Push(Stored):
    """An open push. `left`: seconds until its maximum age."""

    id: bytes = b""
    cart: str = ""
    left: float = 0.0


_NO_ID = uuid.UUID(int=0)


class _Ack(msgspec.Struct):
    id: str


def next_push(first: float, after: float) -> float:
    """The first scheduled instant later than `after` for something pushed first at `first`; seconds."""
    for minutes in _MINUTES:
        if (at := first + minutes * 60) > after:
            return at
    every = _MINUTES[-1] * 60
    return first + ((after - first) // every + 1) * every


class Cart:
    """The broker of the shoppers' apps. `nudge` is called when the platform says that there are changes.

    `pulse`: what the heartbeat tells; None: there is none. `introduction`: said once a connection, retained, by topic
    and payload; at QoS 0, as a broker that does not allow it is not to cost us the cart.
    """

    name = "cart"

    def __init__(
        self,
        server: Server,
        store: str,
        gateway: str,
        version: str,
        max_age: float,
        intake: Intake,
        nudge: Callable[[], None],
        pulse: Pulse | None = None,
        introduction: tuple[str, bytes] | None = None,
    ) -> None:
        self.unknown_acks = 0
        self._server = server
        self._own = f"cartwire/v1/gateways/{store}/{gateway}"
        self._changes = f"cartwire/v1/stores/{store}/changes"
        self._version = version
        self._max_age = max_age
        self._intake = intake
        self._nudge = nudge
        self._pulse = pulse
        self._introduction = introduction
        self._connection: Connection | None = None
        self._cursor = 0
        self._round_at = -inf
        self._round_waits = False
        self._checked = -inf
        self._check_at = -inf
        self._pushed_at = -inf
        self._again: deque[int] = deque()
        self._suspects: dict[str, list[int]] = {}
        self._stop = False
        self._singly = 0
        self._fresh = Fresh()
        self._caught_up = False
        self._resting = False
        self._ahead: dict[int, asyncio.Future[int]] = {}
        """The answers awaited to what was published before it was fetched, by seq."""
        self._same = mqtt.same_for_all(ContentType=CONTENT_TYPE, ResponseTopic=f"{self._own}/acks")
        intake.committed.insert(0, self._committed)  # before those who only tell people here

    def push_again(self, seq: int) -> None:
        """Pushes an open one next. To be forgotten is no harm: a start pushes all that is open again."""
        if seq <= self._cursor:  # what comes after it is on its way in its order
            self._again.appendleft(seq)

    @asynccontextmanager
    async def connected(self, wake: asyncio.Event) -> AsyncIterator[None]:
        inbox: asyncio.Queue[Message] = asyncio.Queue()
        since = timestamp(self._intake.clock.now().time)
        will = f"{self._own}/status", self._status("offline", since)
        async with mqtt.connect(self._server, will, inbox.put_nowait) as connection:
            await connection.subscribe(f"{self._own}/acks")
            await connection.subscribe(self._changes)
            status = connection.publish(will[0], self._status("online", since), retain=True)
            await connection.answer(status)
            if self._introduction:
                connection.mention(*self._introduction)
            log.info("cart: connected to %s:%d", self._server.host, self._server.port, extra=about(sink="cart"))
            connection.lost.add_done_callback(lambda _: wake.set())
            self._connection, self._round_waits, self._caught_up = connection, True, False
            self._ahead = {}
            hearing = asyncio.create_task(self._hear(connection, inbox))
            hearing.add_done_callback(partial(_ended, connection))
            beating = asyncio.create_task(self._beat(connection, since))
            beating.add_done_callback(_silent)
            try:
                yield
            finally:
                self._connection = None
                hearing.cancel()
                beating.cancel()

    def fetch(self, connection: sqlite3.Connection, cursor: int) -> list[Stored]:
        """A window of open pushes: the round after a new connection, those due again, then what is new.

        While a look at these has found nothing since, what is committed is pushed at once.
        """
        self._cursor = cursor
        window, now = self._window, self._now()
        if fresh := self._from_memory():
            return list(fresh)
        self._caught_up = False
        if again := self._pushes(connection, _ASIDE_ROWS, "TRUE", [], window):
            return again
        if self._round_waits and now - self._round_at >= ROUND:
            self._round_waits, self._again = False, deque(_open_until(connection, cursor))
            self._round_at = now if self._again else self._round_at
        elif now >= self._check_at:
            self._schedule(connection, now)
        while self._again:
            seqs = [self._again.popleft() for _ in range(min(window, len(self._again)))]
            if pushes := self._pushes(connection, _OPEN, f"r.seq IN ({', '.join('?' * len(seqs))})", seqs, window):
                return pushes
        new = self._pushes(connection, _OPEN, f"r.seq > ? AND r.kind IN {tuple(sorted(PUSHED))}", [cursor], window)
        if not new:  # what is still in memory was looked at, and is not to be pushed: too old, say
            self._caught_up, self._cursor = True, max(cursor, self._intake.newest)
        return new

    async def deliver(self, events: list[Stored]) -> Delivery:
        connection = self._connection
        if connection is None:
            raise Unavailable("not connected")
        if self._stop:
            self._stop = False
            raise Unavailable("the broker refuses cart after cart (0x87)", state="stopped", retry_after=STAND_STILL)
        pushes = [push for push in events if isinstance(push, Push)]
        ahead, self._ahead = self._ahead, {}
        sent = [ahead.get(push.seq) or self._publish(connection, push) for push in pushes]
        self._singly = max(0, self._singly - len(pushes))
        settled: list[Push] = []
        refused: list[tuple[int, str]] = []
        back: tuple[int, ...] = ()
        await connection.wait(sent[-1])  # then the others hardly need a wait of their own
        for push, answer in zip(pushes, sent, strict=True):
            try:
                refusal = await _refusal(connection, answer)
            except Unavailable:
                self._singly = mqtt.WINDOW
                if settled:
                    break
                raise
            settled.append(push)
            if refusal is None:
                self._suspects.clear()
            else:
                self._singly = mqtt.WINDOW
                refused.append((push.seq, _REFUSALS[refusal]))
                if back := self._suspect(push, refusal):
                    break
        elsewhere = {seq for seq, _ in refused}
        self._caught_up = self._caught_up and not refused
        arrived = [push for push in settled if push.seq not in elsewhere]
        first = [push.id for push in arrived if push.seq > self._cursor or push.again]
        self._intake.pushed(first)
        if first:
            self._pushed_at = self._now()
            self._check_at = min(self._check_at, self._pushed_at + _MINUTES[0] * 60)
        taken = tuple(push.seq for push in arrived if push.again)
        return Delivery(settled[-1].seq, tuple(refused), back, taken)

    def _suspect(self, push: Push, code: int) -> tuple[int, ...]:
        """The rows that are to be tried again first, if this is the third cart in a row that may not be written to."""
        if code == _NOT_AUTHORISED and push.again != aside.ASKED:
            self._suspects.setdefault(push.cart, []).append(push.seq)
        if len(self._suspects) < _IN_A_ROW:
            return ()
        back = tuple(seq for seqs in self._suspects.values() for seq in seqs)
        self._suspects, self._stop = {}, True
        return back

    async def rest(self, wake: asyncio.Event) -> None:
        """Until there is something new, something to push again, or the connection is over."""
        connection = self._connection
        if connection is None:
            raise Unavailable("not connected")
        until = min(self._check_at, self._round_at + ROUND) if self._round_waits else self._check_at
        self._resting, self._ahead = True, {}
        try:
            async with asyncio.timeout(None if until == inf else max(0.0, until - self._now())):
                await wake.wait()
        except TimeoutError:
            pass
        finally:
            self._resting = False
        if connection.lost.done():
            raise connection.lost.result()

    @property
    def _window(self) -> int:
        return self._connection.window if self._connection and not self._singly else 1

    def _committed(self, rows: list[Row]) -> None:
        """While nothing else is on its way, what was committed is published at once: whoever fetches it comes later."""
        self._fresh.committed(rows, self._now())
        if self._resting and (connection := self._connection):
            pushes = self._from_memory()
            self._resting = not pushes
            with suppress(Unavailable):  # `deliver` will meet the same
                for push in pushes:
                    self._ahead[push.seq] = self._publish(connection, push)
            if pushes:
                os.sched_yield()  # a broker on this machine that woke on this processor goes first, then the rest here

    def _from_memory(self) -> list[Push]:
        """The next window of new pushes, if it need not be asked of the database; first of all what is under way."""
        if not self._caught_up or (self._again and not self._ahead):
            return []
        left = self._max_age - self._now()
        return [
            Push(row.seq, row.body, 0, uuid.UUID(row.id).bytes, row.data["cart"], committed + left)
            for committed, row in self._fresh.after(self._cursor, self._window)
        ]

    def _publish(self, connection: Connection, push: Push) -> asyncio.Future[int]:
        try:
            topic = f"cartwire/v1/carts/{push.cart}/items"
            return connection.publish(topic, push.body, properties=self._properties(push))
        except Unavailable:  # it may have been ended over one that was just written
            self._singly = mqtt.WINDOW
            raise

    async def _hear(self, connection: Connection, inbox: asyncio.Queue[Message]) -> None:
        """The platform has changes; or an app has an item: committed first, acknowledged to the broker then."""
        while True:
            message = await inbox.get()
            if message.topic == self._changes:
                self._nudge()
                connection.acknowledge(message)
                continue
            try:
                id = uuid.UUID(msgspec.json.decode(message.payload, type=_Ack).id)
            except (msgspec.MsgspecError, ValueError, RecursionError):
                id = _NO_ID
            committed = await self._intake.submit(partial(_confirm, id=id), small=True, patient=True)
            committed.add_done_callback(partial(self._confirmed, connection, inbox, message))

    def _confirmed(
        self, connection: Connection, inbox: asyncio.Queue[Message], message: Message, done: asyncio.Future[bool]
    ) -> None:
        if done.cancelled():
            return
        if isinstance(done.exception(), Full):  # stays unacknowledged until there is room
            asyncio.get_running_loop().call_later(RETRY, inbox.put_nowait, message)
            return
        self.unknown_acks += not done.result()
        connection.acknowledge(message)

    def _pushes(
        self, connection: sqlite3.Connection, source: str, where: str, values: list[int], limit: int
    ) -> list[Stored]:
        """Pushes to customers who consent to `cart` now, in order, not older than the maximum age."""
        found = connection.execute(
            f"SELECT r.seq, r.body, {source} JOIN boot b ON b.n = r.boot"
            " JOIN customer c ON c.generation = (SELECT value FROM meta WHERE key = 'generation')"
            " AND c.id = r.who AND instr(c.consents, ' cart ')"
            f" WHERE {where} AND b.origin + r.committed > ? ORDER BY r.seq LIMIT ?",
            (self._now() - self._max_age, *values, self._now() - self._max_age, limit),
        )
        return [Push(*row) for row in found]

    def _schedule(self, connection: sqlite3.Connection, now: float) -> None:
        """What is due again since the last look, and when to look next. A push just now may have no time there yet."""
        newest = self._pushed_at + _MINUTES[0] * 60
        self._check_at = newest if newest > now else inf
        for seq, first in connection.execute("SELECT seq, pushed FROM open_push WHERE pushed IS NOT NULL ORDER BY seq"):
            if self._checked > -inf and next_push(first, self._checked) <= now:
                self._again.append(seq)
            self._check_at = min(self._check_at, max(next_push(first, now), now + _LOOK))
        self._checked = now

    def _properties(self, push: Push) -> Packed | None:
        if not self._server.v5:
            return None
        expiry = mqtt.message_expiry(max(1, int(push.left)))
        return Packed(self._same + expiry + mqtt.correlation_data(str(uuid.UUID(bytes=push.id)).encode()))

    async def _beat(self, connection: Connection, since: str) -> None:
        def say(health: dict[str, Any]) -> None:
            connection.mention(f"{self._own}/status", self._status("online", since, **health))

        if self._pulse:
            await beat(self._pulse, say)

    def _status(self, state: str, since: str, **more: Any) -> bytes:
        return msgspec.json.encode({"state": state, "version": self._version, "since": since, **more})

    def _now(self) -> float:
        return self._intake.journal.elapsed(self._intake.clock.instant())


def _ended(connection: Connection, hearing: asyncio.Task[None]) -> None:
    """Without anybody to take acks the connection is of no use."""
    if not hearing.cancelled() and (error := hearing.exception()):
        log.error("cart: a fault while taking an ack", exc_info=error)
        connection.over(Unavailable("a fault while taking an ack"))


def _silent(beating: asyncio.Task[None]) -> None:
    """What is pushed matters more than how we are."""
    if not beating.cancelled() and (error := beating.exception()):
        log.error("cart: a fault in the heartbeat, which has stopped", exc_info=error)


async def _refusal(connection: Connection, answer: asyncio.Future[int]) -> int | None:
    """The code of a refusal for good, None if the broker took it. Raises Unavailable when it cannot now."""
    code = await connection.answer(answer)
    if code >= 0x80 and code not in _REFUSALS:
        raise Unavailable(
            f"the broker cannot take it (0x{code:02x})", state="full" if code == _QUOTA else "unavailable"
        )
    return code if code in _REFUSALS else None


def _open_until(connection: sqlite3.Connection, cursor: int) -> list[int]:
    found = connection.execute(
        "SELECT seq FROM open_push WHERE seq <= ? AND seq NOT IN (SELECT seq FROM aside WHERE sink = 'cart')"
        " ORDER BY seq",
        (cursor,),
    )
    return [seq for (seq,) in found]


def _confirm(batch: Batch, id: uuid.UUID) -> bool:
    row = batch.journal.confirmed(batch.connection, id, batch.now)
    if row:
        batch.write([row])
    return row is not None
