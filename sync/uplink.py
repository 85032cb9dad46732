"""The sink that tells the platform: batches in `seq` order, until each event is accepted or put aside."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal, TypeVar

import msgspec
from msgspec import Raw

from edge import aside
from edge import journal as journals
from edge.clock import boottime
from edge.envelope import id_of
from edge.journal import Stored
from edge.ports import Unavailable
from sync.forwarder import Delivery
from sync.platform import NO_JSON, REFUSED, Answer, Platform, zipped

_T = TypeVar("_T")
CONTENT_TYPE = "application/cloudevents-batch+json"
LINGER = 0.25
"""Seconds in which events gather: the shopper's cart goes first, and one request takes several."""
_SILENT = 60.0
"""Seconds without an answer after which a big backlog starts at a random moment."""
_IN_A_ROW = 3
"""Events put aside one after the other that mean: it is not the events."""


class _Capabilities(msgspec.Struct):
    batch: bool = True
    maxBatch: int = 500
    maxBytes: int = 1_048_576


class _Result(msgspec.Struct):
    id: str
    status: Literal["accepted", "duplicate", "rejected"]
    problem: Raw = Raw(b"{}")


class _Problem(msgspec.Struct):
    title: str = ""
    detail: str = ""


class _Results(msgspec.Struct):
    results: list[_Result]


@dataclass(frozen=True, slots=True)
class _Ready:
    """A request made ready: the events that come `after` that seq, and whether there are more."""

    after: int
    events: list[Stored]
    body: bytes
    more: bool


class Uplink:
    """The platform's `POST /v1/events`. `batch`: events at most; `drain`: events a second, 0 = no ceiling."""

    name = "platform"

    def __init__(
        self,
        platform: Platform,
        batch: int,
        drain: int,
        jitter: float,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        chance: random.Random | None = None,
        instant: Callable[[], float] = boottime,
    ) -> None:
        self._platform = platform
        self._batch = batch
        self._drain = drain
        self._jitter = jitter
        self._sleep = sleep
        self._chance = chance or random.Random()
        self._instant = instant
        self._limits: _Capabilities | None = None
        self._size = batch
        self._ready: _Ready | None = None
        self._reader: sqlite3.Connection | None = None
        self._answered = instant()
        self._in_a_row: list[int] = []
        self._stop = False

    @asynccontextmanager
    async def connected(self, _: asyncio.Event) -> AsyncIterator[None]:
        self._limits = (await self._platform.call("GET", "/v1/capabilities")).read(_Capabilities)
        self._size, self._ready = self._most, None
        yield

    @property
    def _most(self) -> int:
        limits = self._limits or _Capabilities()
        return max(1, min(self._batch, limits.maxBatch)) if limits.batch else 1

    def fetch(self, connection: sqlite3.Connection, cursor: int) -> list[Stored]:
        if again := aside.waiting(connection, self.name, self._size):
            self._ready = self._pack(again)
        elif self._ready is None or self._ready.after != cursor or not self._ready.events:
            self._ready = self._prepare(connection, cursor)
        self._reader = connection
        return self._ready.events

    async def deliver(self, events: list[Stored]) -> Delivery:
        if self._stop:
            self._stop = False
            raise Unavailable(
                "the platform rejects event after event; `cartwire rejected list` says why",
                retry_after=REFUSED,
                state="stopped",
            )
        ready, self._ready = self._ready, None
        if ready is None or ready.events is not events:
            ready = self._pack(events[: self._size])
        if ready.more and self._instant() - self._answered > _SILENT:
            self._answered = self._instant()
            await self._sleep(self._chance.uniform(0, self._jitter))
        try:
            answer = await self._post(ready)
        except Unavailable as error:
            if error.retry_after is not None:  # that was an answer
                self._answered = self._instant() + error.retry_after
            raise
        self._answered = self._instant()
        match answer.status:
            case 200:
                delivery = self._settle(ready.events, answer.read(_Results))
            case 400 | 413 | 422 if len(ready.events) > 1:
                self._size, self._ready = (len(ready.events) + 1) // 2, None
                return Delivery(0)
            case 400 | 413 | 422:
                delivery = self._settled([(ready.events[0], _reason(Raw(answer.body)))])
            case status:
                raise Unavailable(f"the platform answers {status}")
        if self._drain:
            await self._sleep(len(ready.events) / self._drain)
        return delivery

    async def _post(self, ready: _Ready) -> Answer:
        """Sends it; while the platform is at it, what comes next is made ready."""
        posting = asyncio.create_task(
            self._platform.call("POST", "/v1/events", body=ready.body, zipped=True, content_type=CONTENT_TYPE)
        )
        try:
            if ready.more and self._reader:
                preparing = asyncio.to_thread(self._prepare, self._reader, ready.events[-1].seq)
                self._ready = await _whatever(asyncio.create_task(preparing))
            return await posting
        finally:
            posting.cancel()

    def _prepare(self, connection: sqlite3.Connection, after: int) -> _Ready:
        events = journals.events(connection, after, self._size + 1)
        return self._pack(events[: self._size], after, more=len(events) > self._size)

    def _pack(self, events: list[Stored], after: int = -1, *, more: bool = False) -> _Ready:
        """As many as the platform takes bytes of; always one."""
        room = (self._limits or _Capabilities()).maxBytes - 2
        for count, event in enumerate(events):
            room -= len(event.body) + 1
            if room < 0 and count:
                events, more = events[:count], True
                break
        return _Ready(after, events, zipped(b"[" + b",".join(event.body for event in events) + b"]"), more)

    async def rest(self, wake: asyncio.Event) -> None:
        await wake.wait()
        self._answered = self._instant()
        await self._sleep(LINGER)

    def _settle(self, events: list[Stored], answer: _Results) -> Delivery:
        """Reads the results in the order of the events; what has none was not accepted."""
        results = {result.id: result for result in answer.results}
        settled: list[tuple[Stored, str]] = []
        for event in events:
            result = results.get(id_of(event.body))
            if result is None:
                break
            settled.append((event, _reason(result.problem) if result.status == "rejected" else ""))
        if not settled:
            raise Unavailable("the platform accepted nothing")
        self._size = min(self._most, self._size * 2)
        return self._settled(settled)

    def _settled(self, results: list[tuple[Stored, str]]) -> Delivery:
        """Puts aside what has a reason to be. The third in a row ends it, and all three are tried again first."""
        refused: list[tuple[int, str]] = []
        taken: list[int] = []
        back: tuple[int, ...] = ()
        for event, reason in results:
            if not reason:
                self._in_a_row.clear()
                taken += [event.seq] if event.again else []
                continue
            refused.append((event.seq, reason))
            if event.again == aside.ASKED:
                continue
            if event.seq not in self._in_a_row:
                self._in_a_row.append(event.seq)
            if len(self._in_a_row) == _IN_A_ROW:
                back, self._in_a_row, self._stop = tuple(self._in_a_row), [], True
                break
        return Delivery(event.seq, tuple(refused), back, tuple(taken))


async def _whatever(thread: asyncio.Task[_T]) -> _T:
    """Waits for work in a thread, which cannot be cancelled: also when nobody wants it any more."""
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError:
        await asyncio.wait((thread,))
        raise


def _reason(problem: Raw) -> str:
    """What an RFC 9457 problem says, on one line."""
    try:
        said = msgspec.json.decode(problem, type=_Problem)
    except NO_JSON:
        said = _Problem()
    return " ".join(f"{said.title}: {said.detail}".strip(": ").split())[:500] or "rejected without a reason"
