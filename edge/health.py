"""How the parts are: values that status, health page and log share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SinkState = Literal["ok", "connecting", "unavailable", "refused", "full", "stopped"]
DriverState = Literal["ok", "lost", "done"]
TroubleCode = Literal["starting", "disk", "readers"]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why no tap or scan can be taken: for programs, and for people."""

    code: TroubleCode
    text: str


@dataclass(slots=True)
class SinkHealth:
    """One sink. `since`: as a driver's. `reason` is empty while the state is ok."""

    since: int
    state: SinkState = "connecting"
    reason: str = ""


@dataclass(slots=True)
class DriverHealth:
    """One driver, named `kind@read_point`. `since`: milliseconds since 1970, as the clock said it then.

    `skipped`: what it got since the start that was no reading, where it counts that.
    """

    driver: str
    since: int
    state: DriverState = "ok"
    reason: str = ""
    skipped: int = 0
