"""What the stories of bands on readers share: who lays what on which reader, and how they end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peers.app import event_violations
from peers.gtin import gtin13, padded
from peers.process import until

if TYPE_CHECKING:
    from conftest import Platform
    from peers.app import App
    from peers.store import Store, Table

BAND = "04A1B2C3D4E5F6"
OTHER = "04B1B2C3D4E5F6"
RANDOM = "08A1B2C3"  # a telephone invents another one each time
READER: Table = {"kind": "nfc", "read_point": "till-1"}
DESK: Table = {"kind": "nfc", "read_point": "till-2"}


def gtins(*numbers: int) -> list[str]:
    """Return the GTIN-14s of these products."""
    return [padded(gtin13(number)) for number in numbers]


def scan(store: Store, number: int, read_point: str) -> None:
    """Scan a product at any read point, by the scanner of the first."""
    line = {"kind": "scan", "text": gtin13(number), "symbology": "EAN13", "read_point": read_point}
    store.fifos["till-1"].write(line)


def seen(store: Store, *kinds: str, number: int = 1) -> list[dict[str, Any]]:
    """Wait for that many events of these types; return them."""
    return until(lambda: events if len(events := store.of(*kinds)) >= number else [], f"{number} of {kinds}", 20)


def settle(store: Store, platform: Platform, *apps: App) -> list[str]:
    """Wait until nothing waits; hold everybody against the contract; return the types of the events."""
    until(store.settled, "nothing waits", 30)
    events = store.events()
    until(lambda: platform.events() == events, "the platform has the journal")
    assert platform.problems() == []
    assert [problem for event in events for problem in event_violations(event)] == []
    assert [problem for app in apps for problem in app.problems] == []
    names = [event["type"].removeprefix("cartwire.").removesuffix(".v1") for event in events]
    return [name for name in names if not name.startswith(("clock.", "journal."))]
