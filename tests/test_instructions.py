"""What a tap and a scan may cost, in instructions of the whole daemon: `make bench` has how they are counted."""

from __future__ import annotations

from bench.instructions import counted

BUDGET = {"scan": 3_400_000, "tap": 1_700_000}
"""As counted with Debian's Python 3.11; whoever makes it faster lowers this. What is gathered for a second falls into
either: 2.9 to 3.9 and 1.2 to 2.0 million were seen.
"""
MARGIN = 1.4
"""Other versions of Python and its libraries count differently, and timers of the daemon fall into a reading."""


def test_a_tap_and_a_scan_keep_to_their_budget() -> None:
    found = counted(5)
    assert {what: n for what, n in found.items() if n > MARGIN * BUDGET[what]} == {}, found
