"""Who is in which beacon zone: the fold by itself, and that nothing heard makes it flutter."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.model import Moment, Row
from edge.presence import CALM, Rules, Stay, Stays, Track, due, evolve, hear, rows, settled, where

WHO = "c-1"
RULES = Rules()


@dataclass
class Walk:
    """A customer who is heard now and then; what is due falls in between, and what is written is what there is."""

    rules: Rules = RULES
    now: float = 100.0
    track: Track = field(default_factory=lambda: Track(0.0))
    stays: Stays = field(default_factory=dict)
    written: list[Row] = field(default_factory=list)

    def heard(self, after: float, read_point: str, rssi: float) -> None:
        self.wait(after)
        self.track = hear(self.track, self.stays.get(WHO), read_point, rssi, self.now, self.rules)
        self._look(self.now)

    def wait(self, seconds: float) -> None:
        end, looks = self.now + seconds, len(self.written)
        while (at := due(self.track, self.stays.get(WHO), self.rules)) <= end:
            self._look(max(self.now, at))
            looks += 1
            assert looks <= len(self.written), "what is due falls"
        self.now = end

    def _look(self, at: float) -> None:
        stay = self.stays.get(WHO)
        to = where(self.track, stay, at, self.rules)
        if to != (stay.read_point if stay else None):
            changes = list(rows(WHO, stay, to, Moment(at, round(at * 1000), ok=True, boot="b")))
            for row in changes:
                self.stays = evolve(self.stays, row)
            self.written += changes
            self.track = settled(self.track, at)

    @property
    def told(self) -> list[tuple[float, str, str]]:
        """When, what, where."""
        return [
            (row.moment.instant - 100, row.kind.removeprefix("presence."), row.data["read_point"])
            for row in self.written
        ]


def near(seconds: int, read_point: str = "door", rssi: float = -60, *, walk: Walk | None = None) -> Walk:
    """Heard once a second."""
    walk = walk or Walk()
    for _ in range(seconds):
        walk.heard(1, read_point, rssi)
    return walk


def test_the_third_strong_one_within_three_seconds_enters() -> None:
    assert near(3).told == [(3, "entered", "door")]
    assert near(100, rssi=-70).told == [(3, "entered", "door")]
    assert near(100, rssi=-70.1).told == []
    slow = Walk()
    for _ in range(30):
        slow.heard(1.6, "door", -50)
    assert slow.told == [], "never three in three seconds"


def test_the_level_is_the_median_of_five_smoothed() -> None:
    walk = Walk()
    levels = []
    for rssi in (-60, -70, -100, -60, -60, -90, -90, -90):
        walk.heard(0.5, "door", rssi)
        levels.append(walk.track.signals["door"].level)
    medians = [-60, -65, -70, -65, -60, -70, -90, -90]
    expected = [-60.0]
    for median in medians[1:]:
        expected.append(0.3 * median + 0.7 * expected[-1])
    assert levels == pytest.approx(expected)


def test_one_stray_value_moves_nothing() -> None:
    walk = near(5)
    for _ in range(20):
        near(4, walk=walk)
        walk.heard(0.5, "door", -100)
        walk.heard(0.5, "door", 20)
    assert walk.told == [(3, "entered", "door")]


def test_silence_leaves_when_it_is_due_and_the_dwell_is_the_time_between() -> None:
    walk = near(60)
    walk.wait(100)
    assert walk.told == [(3, "entered", "door"), (75, "left", "door")]
    assert walk.written[-1].data["dwell_seconds"] == 72


def test_weak_for_ten_seconds_leaves_and_in_between_is_neither() -> None:
    walk = near(10)
    near(30, rssi=-77, walk=walk)
    assert len(walk.written) == 1, "between the thresholds"
    near(9, rssi=-90, walk=walk)
    near(3, rssi=-60, walk=walk)
    assert len(walk.written) == 1, "not long enough"
    near(30, rssi=-90, walk=walk)
    assert [kind for _, kind, _ in walk.told] == ["entered", "left"]


def test_whoever_left_does_not_enter_within_three_seconds() -> None:
    walk = near(3)
    walk.wait(15)
    for _ in range(20):
        walk.heard(0.25, "door", -50)
    assert walk.told == [(3, "entered", "door"), (18, "left", "door"), (21, "entered", "door")]


def test_another_read_point_takes_over_only_if_it_is_better_for_three_seconds() -> None:
    walk = near(5)
    for _ in range(20):
        walk.heard(0.5, "till", -57.5)
        walk.heard(0.5, "door", -60)
    assert walk.told == [(3, "entered", "door")], "not 3 dB better"
    for _ in range(20):
        walk.heard(0.5, "till", -50)
        walk.heard(0.5, "door", -60)
    (_, *moved) = walk.told
    assert [(kind, at) for _, kind, at in moved] == [("left", "door"), ("entered", "till")]
    assert moved[0][0] == moved[1][0] >= 25 + CALM


def test_a_better_one_that_is_not_near_takes_nothing_over() -> None:
    walk = near(5)
    for _ in range(40):
        walk.heard(0.5, "till", -71)
        walk.heard(0.5, "door", -77)
    assert walk.told == [(3, "entered", "door")]


def test_whoever_is_heard_elsewhere_when_a_stay_ends_goes_there() -> None:
    walk = near(5)
    near(20, "till", -69, walk=walk)
    assert [(kind, at) for _, kind, at in walk.told] == [("entered", "door"), ("left", "door"), ("entered", "till")]


def test_the_journal_says_who_is_where() -> None:
    walk = near(5)
    assert walk.stays == {WHO: Stay("door", 103)}
    walk.wait(30)
    assert walk.stays == {}


RSSI = st.one_of(st.integers(-126, 20), st.sampled_from([-60, -70, -78, -79, -100]))
HEARD = st.tuples(
    st.one_of(st.sampled_from([0.0, 0.1, 0.5, 1.0]), st.floats(0, 20)), st.sampled_from(["door", "till", "shelf"]), RSSI
)
STRANGE = st.builds(
    Rules,
    enter=st.sampled_from([-70.0, -126.0, 20.0]),
    leave=st.sampled_from([-126.0, -78.0]),
    leave_after=st.sampled_from([0.0, 0.1, 10.0]),
    silent=st.sampled_from([0.001, 1.0, 15.0]),
    margin=st.sampled_from([0.0, 3.0]),
)


def holds(walk: Walk) -> None:
    """What is true whatever was heard."""
    inside: str | None = None
    for row in walk.written:
        if row.kind == "presence.entered":
            assert inside is None, "entered without having left"
            inside = row.data["read_point"]
        else:
            assert inside == row.data["read_point"], "left where nobody was"
            assert row.data["dwell_seconds"] >= CALM - 0.001
            inside = None
    changes = sorted({row.moment.instant for row in walk.written})
    assert all(after - before > CALM - 1e-9 for before, after in pairwise(changes)), changes


@settings(max_examples=300)
@given(st.lists(HEARD, max_size=60), STRANGE)
def test_no_input_makes_it_alternate_faster_than_three_seconds(
    heard: list[tuple[float, str, int]], rules: Rules
) -> None:
    walk = Walk(rules)
    for one in heard:
        walk.heard(*one)
    walk.wait(1000)
    holds(walk)
    assert not walk.stays, "whoever is heard no more has left"


@pytest.mark.long
@settings(max_examples=10_000)
@given(st.lists(HEARD, max_size=200), STRANGE)
def test_no_input_makes_it_alternate_faster_at_length(heard: list[tuple[float, str, int]], rules: Rules) -> None:
    walk = Walk(rules)
    for one in heard:
        walk.heard(*one)
    holds(walk)
