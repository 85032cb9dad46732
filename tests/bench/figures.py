"""What was measured: samples, ratios of pairs, and the gates they are held against."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Literal


def percentile(samples: list[float], percent: float) -> float:
    """Return the smallest sample that so many percent do not exceed."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


@dataclass
class Gate:
    """A bound that holds for the ratios if there are any, else for our own figure."""

    sign: Literal["<=", ">="]
    bound: float

    def holds(self, value: float) -> bool:
        """Whether the value is on the right side."""
        return value <= self.bound if self.sign == "<=" else value >= self.bound

    def __str__(self) -> str:
        """Return it as a person writes it."""
        return f"{'≤' if self.sign == '<=' else '≥'} {self.bound:g}"


@dataclass
class Figure:
    """One line of the table: a sample a repeat, and for each the ratio to its pair if there is one."""

    what: str
    unit: str
    ours: list[float]
    pair: list[float] = field(default_factory=list)
    pair_is: str = ""
    gate: Gate | None = None
    goal: Gate | None = None
    upside_down: bool = False
    """Whether the ratio is pair to ours: how many times less we need."""

    @property
    def ratios(self) -> list[float]:
        """Return pair by pair ours to the other, or the other way round."""
        pairs = zip(self.ours, self.pair, strict=True) if self.pair else ()
        return [(other / ours if self.upside_down else ours / other) for ours, other in pairs if ours and other]

    @property
    def judged(self) -> float:
        """Return what gates are held against."""
        return statistics.median(self.ratios or self.ours)

    @property
    def verdict(self) -> str:
        """Return `goal`, `pass` or `miss`; nothing where there is no gate."""
        if self.goal and self.goal.holds(self.judged):
            return "goal"
        if self.gate:
            return "pass" if self.gate.holds(self.judged) else "miss"
        return ""

    def as_json(self) -> dict[str, object]:
        """Return all of it."""
        gates = {name: str(gate) for name, gate in (("gate", self.gate), ("goal", self.goal)) if gate}
        pairs = {"pair": self.pair, "pair_is": self.pair_is, "ratios": self.ratios} if self.pair else {}
        return {
            "what": self.what,
            "unit": self.unit,
            "ours": self.ours,
            **pairs,
            **gates,
            "judged": self.judged,
            "verdict": self.verdict,
        }


@dataclass
class Result:
    """Of one section. `curves`: samples whose distribution is drawn; `notes`: lines below the table."""

    title: str
    figures: list[Figure] = field(default_factory=list)
    curves: dict[str, list[float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, object]:
        """Return all of it."""
        figures = [figure.as_json() for figure in self.figures]
        return {"title": self.title, "figures": figures, "curves": self.curves, "notes": self.notes}
