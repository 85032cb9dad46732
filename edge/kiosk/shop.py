"""What the staff's page may use of the running gateway."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from edge import settings
from edge.attribution import Attribution
from edge.database import Database
from edge.intake import Intake
from edge.intents import Intents
from edge.kiosk.live import Live


@dataclass(frozen=True, slots=True)
class Shop:
    store: settings.Store
    kiosk: settings.Kiosk
    version: str
    database: Database
    intake: Intake
    attribution: Attribution
    intents: Intents
    live: Live
    status: Callable[[], Awaitable[dict[str, Any]]]
    """The OpenAPI document's `Status`."""
    floor: Callable[[], dict[str, Any]]
    """Its `Floor`, with customers."""
    history: Callable[[], Awaitable[dict[str, Any]]]
    pull: Callable[[], None]
    restart: Callable[[str], bool]
    """Starts a driver again; False: there is none of that name."""
    beep: Callable[[str], bool]
    """False: there is no such driver, or it cannot."""
    train: Callable[[str, bool], None]
    desk: Callable[[str], Awaitable[dict[str, Any]]]
    """What a code is: its `Desk`."""
    age: Callable[[], float | None]
    """Seconds since the feed was seen to be up to date; None: never."""
    retry: Callable[[list[str]], Awaitable[int]]
    """Has refused events tried again, without ids all; how many."""
