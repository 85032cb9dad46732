"""Who is let in to the demo's page, and for how long a link is good."""

from __future__ import annotations

import pytest

from edge.demo.gate import GOOD, Gate, NoWayIn


def why(gate: Gate, token: str) -> str:
    with pytest.raises(NoWayIn) as refused:
        gate.enter(token)
    return str(refused.value)


def test_a_link_is_good_once_and_for_ten_minutes() -> None:
    now = 5.0
    gate = Gate("127.0.0.1", 8090, asks=True, now=lambda: now)
    first, second, third = (gate.link() for _ in range(3))
    assert gate.enter(first) != gate.enter(second)
    assert why(gate, first) == "used"
    now += GOOD + 1
    assert why(gate, third) == "expired"
    assert why(gate, first) == "used"
    assert why(gate, "") == why(gate, f"{third}x") == "unknown"
    assert gate.enter(gate.link())


def test_two_demos_on_one_host_have_two_cookies() -> None:
    assert Gate("127.0.0.1", 8090, asks=True).cookie != Gate("127.0.0.1", 8091, asks=True).cookie
