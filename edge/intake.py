"""The one way in: take all that waits, fold it over the floor, one commit, then adopt the new floor (and stays).

Whatever changes what is known is a piece of work on a `Batch`: a reading, a page of the feed, an app's ack.
If the commit fails the batch is dropped whole, so memory and disk never disagree; and group commit comes
for free. A reading that finds nothing else at work is committed where it is, without a turn of the loop. What nobody
waits for (an app's ack, a cursor, what the broker took: losing one only repeats) is gathered for a second, and goes
with a reading that comes towards its end or else alone: so most shoppers do not wait for it either.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from math import inf
from typing import Any, TypeVar

from edge import journal as journals
from edge.batch import Batch, Work
from edge.clock import Clock
from edge.database import RETRY, Broken, Database, Full
from edge.floor import HELD, Floor, Rules, Spot, due, evolve
from edge.journal import Journal
from edge.journald import about
from edge.model import Moment, Row
from edge.presence import Stays
from edge.room import Room, TooBig
from edge.space import Space

_T = TypeVar("_T")
log = logging.getLogger(__name__)

WAITING = 1000
"""Pieces of work that may wait in a line; then `submit` itself waits."""
GATHER = 1.0
"""Seconds for which what nobody waits for is gathered,"""
RIDE = 0.25
"""or so much less if a reading comes, which spares the disk a commit,"""
ENOUGH = 10
"""or until it is so many pieces of work, a broker giving us few acks at a time, and no reading waits."""
MARKS = 500
"""Pushes that are noted as taken by the broker, in one commit."""
_MAY_WAIT = frozenset({HELD, "tap.unknown", "session.ended"})
"""Kinds of rows with which something may begin to wait for a name, and for its time."""
LARGEST = 50
"""Pieces of work in one commit, and as many gathered ones: the first is not to wait long for the last, nor the loop for
all of them.
"""


class Fault(Full):
    """The work has a fault: to the others it is as if the disk had not taken it, but it never will."""


_Entry = tuple[Work[Any], asyncio.Future[Any], bool]
"""The last: whether it is small."""


class _Line:
    """Work that waits, WAITING pieces at most."""

    def __init__(self) -> None:
        self._entries: deque[_Entry] = deque()
        self._places = asyncio.Semaphore(WAITING)

    def __len__(self) -> int:
        return len(self._entries)

    async def put(self, entry: _Entry) -> None:
        await self._places.acquire()
        self._entries.append(entry)

    def take(self) -> list[_Entry]:
        """What the next commit has of it."""
        taken = [self._entries.popleft() for _ in range(min(LARGEST, len(self)))]
        for _ in taken:
            self._places.release()
        return taken


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What one transaction is to do. `last`: no reading waits behind it; `noted`: see `Journal.note_wall`."""

    works: list[_Entry]
    small: bool
    last: bool
    now: Moment
    noted: float
    cursors: dict[str, int]
    pushed: dict[bytes, float]


@dataclass(slots=True)
class Commits:
    """How many there were since the start, and how long they took, refused ones included; seconds."""

    count: int = 0
    seconds: float = 0.0
    began: float | None = None
    """The instant at which the one at work began."""

    def at_work(self, instant: float) -> float:
        return 0.0 if self.began is None else max(0.0, instant - self.began)

    def ended(self, instant: float) -> None:
        self.count, self.seconds, self.began = self.count + 1, self.seconds + self.at_work(instant), None


class Intake:
    """Runs the work, once `restore` has told it what there is.

    `committed` are told of each commit's rows; `own_time` are read points whose time is not the clock's;
    `trouble` says why taps and scans cannot be kept, None while they can.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        journal: Journal,
        space: Space,
        rules: Rules,
        late: float,
        *,
        expire: Callable[[Batch], None] = lambda _: None,
    ) -> None:
        self.clock = clock
        self.journal = journal
        self.floor: Floor = {}
        self.stays: Stays = {}
        self.committed: list[Callable[[list[Row]], None]] = []
        self.trouble: str | None = None
        self.commits = Commits()
        self.newest = 0
        """The seq of the newest row that is committed."""
        self._database = database
        self._room = Room(space, clock, journal, self._needed)
        self._rules = rules
        self._late = late
        self._expire = expire
        self.own_time: set[str] = set()
        self._line = _Line()
        self._patient = _Line()
        self._stirred = asyncio.Event()
        self._cursors: dict[str, int] = {}
        self._pushed: dict[bytes, float] = {}
        self._oldest_held: float | None = None
        """When what waits the longest for a name was committed, on the elapsed clock; None: nothing does."""
        self._gathered_at = inf
        """The instant at which what is gathered is written; inf while there is nothing."""
        self._rests = False
        """Whether nothing is at work, and those who waited for the last commit know of it."""
        self._fault: Exception | None = None
        self._full_until = -inf
        self._noted = -inf
        """What the wall clock was noted to say, see `Journal.note_wall`."""
        self._dues: dict[str, float] = {}
        """The instants at which something falls, by read point."""
        self._window = 0.0

    def restore(self, pace: float = 1.0) -> None:
        """Floor and stays as the journal remembers them; after a reboot every session that was open ends.

        `pace`: how fast the slowest read point's own time runs, 1 or less.
        """
        window = max(self._rules.session, self._rules.claim) / pace + 60.0

        def work(connection: sqlite3.Connection) -> tuple[Floor, Stays]:
            now = self.clock.now()
            batch = Batch(connection, self.journal, self._rules, {}, now, journals.last_seq(connection))
            self._window = journals.remember(connection, window)
            boot = now.boot
            for row in journals.tail(connection, self._window):
                batch.floor, boot = evolve(batch.floor, row), row.moment.boot
            rebooted = boot != now.boot
            batch.floor = {at: _not_after(spot, now.instant) for at, spot in batch.floor.items()}
            for read_point, spot in batch.floor.items():
                known = self._recognised(connection, spot)
                batch.floor = {**batch.floor, read_point: known or spot}
                batch.lapse(read_point, now if known and not rebooted else replace(now, instant=inf))
            self._oldest_held = self.journal.oldest_held(connection, batch.open_sessions())
            self.newest = batch.newest
            return batch.floor, self.journal.stays(connection)

        self.floor, self.stays = self._database.write_now(work)
        self._dues = {at: due(spot, self._rules) for at, spot in self.floor.items()}

    def _recognised(self, connection: sqlite3.Connection, spot: Spot) -> Spot | None:
        """With its holder, also where the rows of the tail have lost the pseudonym; None: nobody knows it any more."""
        session = spot.session
        if session is None or session.customer or session.pseudonym:
            return spot
        pseudonym = self.journal.nameless(connection, session.id)
        return replace(spot, session=replace(session, pseudonym=pseudonym)) if pseudonym else None

    async def submit(self, work: Work[_T], *, small: bool = False, patient: bool = False) -> asyncio.Future[_T]:
        """Does `work` at once, or puts it in line, waiting only for room; await the result for the commit.

        The result raises `Full` if the disk had no room, or `Fault`; then nothing was kept. `small` is what a reading
        is worth, see `Database.quick`. Patient work is gathered first, see GATHER.
        """
        future: asyncio.Future[_T] = asyncio.get_running_loop().create_future()
        entry = work, future, small
        if small and not patient and self._at_once(entry):
            return future
        await (self._patient if patient else self._line).put(entry)
        if patient:
            self._gather()
        if not patient or len(self._patient) >= ENOUGH:
            self._stirred.set()
        return future

    async def insist(self, work: Work[object]) -> bool:
        """Does `work` as soon as the disk takes it; false if it has a fault and is given up."""
        while True:
            try:
                await (await self.submit(work))
            except Fault:
                return False
            except Full:
                await asyncio.sleep(RETRY)
            else:
                return True

    def advance(self, sink: str, seq: int) -> None:
        """The sink has everything up to `seq`."""
        self._cursors[sink] = seq
        self._gather()

    def pushed(self, ids: Iterable[bytes]) -> None:
        """The broker took these for the first time now."""
        now = self.journal.elapsed(self.clock.instant())
        self._pushed.update(dict.fromkeys(ids, now))
        self._gather()

    def _gather(self) -> None:
        """There is something that nobody waits for."""
        if self._gathered_at == inf:
            self._gathered_at = self.clock.instant() + GATHER
            self._stirred.set()

    def _ride(self) -> bool:
        """Whether the next reading takes along what is gathered."""
        return self.clock.instant() >= self._gathered_at - RIDE

    def cursor(self, sink: str) -> int | None:
        """Where the sink is, if that is not on the disk yet."""
        return self._cursors.get(sink)

    async def run(self) -> None:
        """Works until cancelled; then what waits is dropped (it was never accepted) and cursors are kept."""
        try:
            while True:
                await self._commit(await self._next())
                await asyncio.sleep(0)  # those who wait for the commit hear of it before the next begins
        finally:
            if self._cursors or self._pushed:
                with suppress(Full):  # the sinks will tell the same again
                    self._database.write_now(lambda connection: self._keep(connection, self._cursors, self._pushed))

    async def _next(self) -> _Attempt:
        """All that waits; nothing when something is due."""
        while not self._line and len(self._patient) < ENOUGH:
            wait = min(max(self._next_due(), self._full_until), self._gathered_at) - self.clock.instant()
            self._stirred.clear()
            self._rests, falls = True, False
            try:
                async with asyncio.timeout(None if wait == inf else max(wait, 0.0)):
                    await self._stirred.wait()
            except TimeoutError:
                falls = True
            finally:
                self._rests = False
            if self._fault:
                raise self._fault
            await asyncio.sleep(0)  # what was committed meanwhile is heard of before the next begins
            if falls:
                break
        now, entries = self.clock.instant(), self._line.take()
        gathered = now >= self._gathered_at or (self._ride() if entries else len(self._patient) >= ENOUGH)
        if gathered:
            entries += self._patient.take()
            self._gathered_at = now + GATHER if self._patient or len(self._pushed) > MARKS else inf
        return self._attempt(entries, gathered=gathered)

    def _attempt(self, works: list[_Entry], *, gathered: bool = False, last: bool = True) -> _Attempt:
        # Taken here and not in the thread: whatever is read from now on is later than `now`.
        now = self.clock.now()
        return _Attempt(
            works=works,
            small=bool(works) and all(small for *_, small in works),
            last=last and not self._line,
            now=now,
            noted=now.wall if now.ok and abs(now.wall - self._noted) > 1 else self._noted,
            cursors=dict(self._cursors) if gathered else {},
            pushed=dict(islice(self._pushed.items(), MARKS)) if gathered else {},
        )

    def _at_once(self, entry: _Entry) -> bool:
        """Commits one piece of work here and now if nothing else is at work; if that fails it is to be put in line."""
        if not self._rests or self._line or self._ride() or self.trouble or not self._database.quick():
            return False
        attempt = self._attempt([entry])
        self._rests = False
        self._stirred.set()
        self.commits.began = attempt.now.instant
        try:
            batch, results = self._database.write_here(partial(self._transaction, attempt))
        except Exception:  # its turn in the line will meet the same
            return False
        finally:
            self.commits.ended(self.clock.instant())
        try:
            self._adopt(attempt, batch, results)
        except Exception as error:  # not whoever reads has this fault
            self._fault = error
        return True

    async def _commit(self, attempt: _Attempt) -> None:
        """One transaction; if the disk refuses it, each work alone, as one may be too big where another has room."""
        self.commits.began = attempt.now.instant
        try:
            batch, results = await self._database.write(partial(self._transaction, attempt), small=attempt.small)
        except Broken:
            raise
        except Exception as error:  # whatever one piece of work does is not to end the others
            self.commits.ended(self.clock.instant())
            if self._cursors or self._pushed:
                self._gather()
            await self._refused(attempt.works, error)
            return
        self.commits.ended(self.clock.instant())
        self._adopt(attempt, batch, results)

    def _transaction(self, attempt: _Attempt, connection: sqlite3.Connection) -> tuple[Batch, list[Any]]:
        left = self._room.make(connection, len(attempt.works) if attempt.small else inf)
        room = self._room.for_readings(left)
        batch = Batch(connection, self.journal, self._rules, self.floor, attempt.now, self.newest, room, self.stays)
        self._keep(connection, attempt.cursors, attempt.pushed)
        results = []
        for work, *_ in attempt.works:
            results.append(work(batch))
            # Now: what a batch has put into the WAL stays there when it is undone.
            self._room.must_fit(connection, left)
        batch.oldest_held = self._settle(batch, last=attempt.last)
        if attempt.noted != self._noted:
            self.journal.note_wall(connection, attempt.now)
        self._room.must_fit(connection, left)
        return batch, results

    def _adopt(self, attempt: _Attempt, batch: Batch, results: list[Any]) -> None:
        """It is on the disk: so it is, and everybody hears of it."""
        self._say(None if batch.room else "the capacity is used up but for the reserve")
        self._noted = attempt.noted
        self._dues |= {at: due(spot, self._rules) for at, spot in batch.floor.items() if self.floor.get(at) is not spot}
        self.floor, self.stays = batch.floor, batch.stays
        self.newest = batch.newest
        self._oldest_held = batch.oldest_held
        self._cursors = {sink: seq for sink, seq in self._cursors.items() if attempt.cursors.get(sink) != seq}
        for id in attempt.pushed:
            del self._pushed[id]
        for tell in self.committed:
            tell(batch.written)
        for (_, future, _), result in zip(attempt.works, results, strict=True):
            if not future.done():
                future.set_result(result)

    async def _refused(self, works: list[_Entry], error: Exception) -> None:
        """Each work alone. What does not go then fails with Full, or with Fault."""
        self._full_until = self.clock.instant() + RETRY
        if isinstance(error, Full):
            self._say(None if isinstance(error, TooBig) else str(error))
        elif not works:
            raise error
        elif len(works) == 1:
            log.error("a fault in what is to be kept; it is refused, and the rest goes on", exc_info=error)
        if len(works) == 1 and not works[0][1].done():
            works[0][1].set_exception((Full if isinstance(error, Full) else Fault)(str(error)))
        elif len(works) > 1:
            for work in works:
                await self._commit(self._attempt([work], last=work is works[-1]))
                await asyncio.sleep(0)  # that it was refused is known before the next is tried

    def _needed(self) -> float:
        """The instant since which rows are needed for what is open; inf: none are."""
        sessions = [spot.session.last for spot in self.floor.values() if spot.session]
        claims = [scan.moment.instant for spot in self.floor.values() for scan in spot.held]
        ahead = [self.clock.instant() - self._window] if self.own_time else []  # a recording's instants may be
        return min([inf, *ahead, *sessions, *claims])

    def _say(self, trouble: str | None) -> None:
        """Logs transitions only."""
        if (trouble is None) != (self.trouble is None):
            if trouble:
                log.error("taps and scans are refused: %s", trouble, extra=about(disk="data", state="full"))
            else:
                log.warning("there is room again", extra=about(disk="data", state="ok"))
        self.trouble = trouble

    def _settle(self, batch: Batch, *, last: bool) -> float | None:
        """Timeouts fall when due, after the readings that were made before: in the last batch of those that wait.

        What is held the longest then, see `_oldest_held`.
        """
        late = self._is_late(batch.now.instant)
        if last:
            for read_point, spot in batch.floor.items():
                changed = self.floor.get(read_point) is not spot
                if (changed or self._dues[read_point] <= batch.now.instant) and read_point not in self.own_time:
                    batch.lapse(read_point, batch.now)
            if late:
                self._expire(batch)
        waits = self._oldest_held is not None or any(row.kind in _MAY_WAIT for row in batch.written)
        if (batch.written and waits) or late:
            return self.journal.oldest_held(batch.connection, batch.open_sessions())
        return self._oldest_held

    def _is_late(self, instant: float) -> bool:
        return self._oldest_held is not None and self._oldest_held + self._late <= self.journal.elapsed(instant)

    def _next_due(self) -> float:
        """The instant at which something falls by itself; inf if nothing will."""
        held = inf if self._oldest_held is None else self._oldest_held + self._late - self.journal.elapsed(0.0)
        return min([held, *(at for read_point, at in self._dues.items() if read_point not in self.own_time)])

    def _keep(self, connection: sqlite3.Connection, cursors: dict[str, int], pushed: dict[bytes, float]) -> None:
        if cursors:
            newer = "ON CONFLICT DO UPDATE SET seq = max(seq, excluded.seq)"  # a forwarder may have written its own
            connection.executemany(f"INSERT INTO cursor VALUES (?, ?) {newer}", cursors.items())
        if pushed:
            marks = [(at, id) for id, at in pushed.items()]
            connection.executemany("UPDATE open_push SET pushed = ? WHERE id = ?", marks)


def _not_after(spot: Spot, instant: float) -> Spot:
    """A recording's instants may lie ahead of the clock; what it left open counts from now."""
    if spot.session and spot.session.last > instant:
        return replace(spot, session=replace(spot.session, last=instant))
    return spot
