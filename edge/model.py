"""The words of the shop floor: what a device saw, when, and what is written down about it.

Plain frozen values; nothing here knows a device, a database or a network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

SYMBOLOGIES = frozenset(
    {"EAN13", "EAN8", "UPCA", "UPCE", "ITF14", "CODE128", "GS1-128", "DATABAR", "DATABAR-LIMITED", "DATABAR-EXPANDED"}
    | {"QR", "DATAMATRIX"}
)

Outcome = Literal["accepted", "saved", "unknown", "cannot"]
"""What a shopper is told: in the cart · kept, not yet in a cart · nobody's · nothing could be kept."""
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


@dataclass(frozen=True, slots=True)
class Moment:
    """When something was read."""

    instant: float
    """Seconds on CLOCK_BOOTTIME of the boot `boot`; the only thing durations are measured with."""
    time: int
    """Milliseconds since 1970 UTC, as an event says it; wrong by the boot's offset while `ok` is false."""
    ok: bool
    """Whether the wall clock was synchronised then."""
    boot: str
    """The kernel's boot id."""

    @property
    def wall(self) -> float:
        """Seconds since 1970 at instant 0, by this moment."""
        return self.time / 1000 - self.instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Tap:
    """Something that names a shopper was presented: a band on a reader, a loyalty code.

    A driver gives `type` and the raw `value`; an empty value without a pseudonym is a card that
    cannot be read or must be refused (it still ends the session there). The raw value lives until
    the pseudonym is computed, right after `emit`.
    """

    read_point: str
    type: Literal["nfc", "code"] = "nfc"
    value: str = field(default="", repr=False)
    pseudonym: str | None = None
    plausible: bool = True
    """False: no identifier of ours by its form, so it may be known but never opens a nameless session."""
    others: tuple[Tap, ...] = ()
    """What it may be instead if it is nobody's itself, in this order: loyalty codes written on the card."""
    instant: float | None = None
    """CLOCK_BOOTTIME of the reading, if the driver knows better than the moment of `emit`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """A code was read: a product's, or a loyalty code. `symbology` is one of SYMBOLOGIES or None."""

    read_point: str
    text: str = field(repr=False)
    symbology: str | None = None
    instant: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A beacon was heard with `rssi` dBm."""

    read_point: str
    type: Literal["ibeacon", "eddystone-uid", "altbeacon"]
    rssi: float
    value: str = field(default="", repr=False)
    pseudonym: str | None = None
    instant: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lapse:
    """A driver that keeps a read point's time itself (a recording played faster) says that it went by.

    What is due at `instant` falls (inf: all that is open); the clock lets nothing fall there any more.
    """

    read_point: str
    instant: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The driver has its device and readings may come; said once each time it has got it."""

    read_point: str


Reading = Tap | Scan | Sighting | Lapse | Ready


@dataclass(frozen=True, slots=True)
class Customer:
    """A shopper as the cache knows them. `cart` is the opaque reference of the app's cart."""

    id: str
    cart: str
    language: str | None = None
    consents: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Item:
    """A product code that was understood.

    `product` is the cache's copy: `name` (text, or texts by language), `price`.
    """

    gtin: str
    symbology: str | None
    product: Mapping[str, Any] | None = None
    in_store: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the journal: an event (sent), or an `inside.` row (never sent)."""

    kind: str
    """`cart.item_added`, …: the event type without `cartwire.` and `.v1`; inside rows begin with `inside.`."""
    moment: Moment
    data: Mapping[str, Any]
    id: str | None = None
    """The event's id; None: minted when it is appended."""
    live: bool = True
    """Whether it bears on who is at a read point now; false for what is settled afterwards."""
    seq: int = field(default=0, compare=False)
    """Its place in the journal; 0: it has none yet."""
    body: bytes = field(default=b"", compare=False, repr=False)
    """As it is stored and sent, once it is appended."""

    @property
    def inside(self) -> bool:
        return self.kind.startswith("inside.")
