"""In which beacon zone a customer is. Pure and immutable: nothing here waits, reads a clock or a database.

    hear(track, stay, read_point, rssi, now, rules) -> track   what a sighting does to what is heard of a customer
    where(track, stay, now, rules) -> read point or None       where the customer is then
    due(track, stay, rules) -> instant                         when a stay ends by itself
    rows(customer, stay, to, moment) -> rows                   what a change of place is worth
    evolve(stays, row) -> stays                                what a written row means

A customer is in one zone of this gateway at a time, whichever of the customer's beacons is heard. Zones, never metres.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf

from edge.model import Moment, Row

ENTERED, LEFT = "presence.entered", "presence.left"

CALM = 3.0
"""Seconds between two changes of place; in which a signal is strong three times, and for which one is better."""
_RECENT, _TIMES, _SHARE = 5, 3, 0.3
"""Sightings the median is of; times a signal is to be strong; share of the newest median in the level."""


@dataclass(frozen=True, slots=True)
class Rules:
    """dBm, seconds, and dB of `margin`; see `[presence]`."""

    enter: float = -70.0
    leave: float = -78.0
    leave_after: float = 10.0
    silent: float = 15.0
    margin: float = 3.0


@dataclass(frozen=True, slots=True)
class Stay:
    """A customer is there, as the journal has it. `since`: an instant; 0 or less: of an earlier boot, see `Journal`."""

    read_point: str
    since: float


Stays = Mapping[str, Stay]
"""By customer."""


@dataclass(frozen=True, slots=True)
class Signal:
    """What is heard of a customer at one read point: the smoothed `level`, and instants."""

    heard: float
    recent: tuple[float, ...] = ()
    level: float = -inf
    strong: tuple[float, ...] = ()
    """The last times it was strong enough to enter."""
    weak: float = inf
    """Since when it is weak enough to leave; inf: it is not."""
    better: float = inf
    """Since when it is better than the one of the zone the customer is in; inf: it is not."""

    def hear(self, rssi: float, now: float, rules: Rules) -> Signal:
        recent = (*self.recent, rssi)[-_RECENT:]
        level = _SHARE * _median(recent) + (1 - _SHARE) * self.level if self.recent else rssi
        strong = (*self.strong, now)[-_TIMES:] if level >= rules.enter else self.strong
        weak = min(self.weak, now) if level < rules.leave else inf
        return Signal(now, recent, level, strong, weak, self.better)

    def enters(self, now: float, rules: Rules) -> bool:
        return self.level >= rules.enter and len(self.strong) == _TIMES and self.strong[0] >= now - CALM


@dataclass(frozen=True, slots=True)
class Track:
    """What is heard of one customer, by read point. `changed`: when a change of place was last written, or refused."""

    changed: float
    signals: Mapping[str, Signal] = field(default_factory=dict)

    @property
    def latest(self) -> float:
        return max([self.changed, *(signal.heard for signal in self.signals.values())])


def hear(track: Track, stay: Stay | None, read_point: str, rssi: float, now: float, rules: Rules) -> Track:
    """A signal that was silent begins anew. `now` is not before `track.latest`."""
    here = stay.read_point if stay else None
    signals = {at: s for at, s in track.signals.items() if at == here or now - s.heard < rules.silent}
    before = signals.get(read_point)
    if before is None or now - before.heard >= rules.silent:
        before = Signal(now)
    signals[read_point] = before.hear(rssi, now, rules)
    if here is not None and len(signals) > 1:
        bar = signals[here].level + rules.margin if here in signals else -inf
        signals = {at: replace(s, better=min(s.better, now) if s.level >= bar else inf) for at, s in signals.items()}
    return replace(track, signals=signals)


def where(track: Track, stay: Stay | None, now: float, rules: Rules) -> str | None:
    """The read point at which the customer is to be taken for at `now`."""
    here, signals = stay.read_point if stay else None, track.signals
    if now < track.changed + CALM:
        return here
    near = [at for at, signal in signals.items() if at != here and signal.enters(now, rules)]
    if due(track, stay, rules) > now:
        near = [at for at in near if here is None or now - signals[at].better >= CALM]
        return max(near, key=lambda at: signals[at].level, default=here)
    return max(near, key=lambda at: signals[at].level, default=None)


def due(track: Track, stay: Stay | None, rules: Rules) -> float:
    """The instant at which the stay ends if nothing more is heard; inf without one."""
    if stay is None:
        return inf
    own = track.signals.get(stay.read_point)
    ends = min(own.heard + rules.silent, own.weak + rules.leave_after) if own else -inf
    return max(track.changed + CALM, ends)


def settled(track: Track, at: float) -> Track:
    """After a change of place was written or refused: what is better is seen anew."""
    return Track(at, {read_point: replace(signal, better=inf) for read_point, signal in track.signals.items()})


def rows(customer: str, stay: Stay | None, to: str | None, moment: Moment) -> Iterator[Row]:
    """From where the customer was to where the customer is."""
    if stay:
        dwell = round(max(0.0, moment.instant - stay.since), 3)
        yield Row(LEFT, moment, {"customer": customer, "dwell_seconds": dwell, "read_point": stay.read_point})
    if to:
        yield Row(ENTERED, moment, {"customer": customer, "read_point": to})


def evolve(stays: Stays, row: Row) -> Stays:
    """The stays after `row`."""
    if row.kind == ENTERED:
        return {**stays, row.data["customer"]: Stay(row.data["read_point"], row.moment.instant)}
    return without(stays, row.data["customer"]) if row.kind == LEFT else stays


def _median(values: Sequence[float]) -> float:
    ordered, half = sorted(values), len(values) // 2
    return (ordered[half] + ordered[~half]) / 2


def without(stays: Stays, customer: str) -> Stays:
    return {who: stay for who, stay in stays.items() if who != customer}
