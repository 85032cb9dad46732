"""One visit to a platform: what is known of it so far. Checks leave here what later ones build on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from edge.verify.platform import Platform
from edge.verify.sample import Gateway

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Limits:
    """What the platform takes at once; `events` of a batch in `size` bytes before gzip."""

    events: int = 500
    size: int = 1 << 20


@dataclass(slots=True)
class Visit:
    platform: Platform
    store: str
    name: str
    """Of this visit; all its gateways and customers are named for it."""
    secured: bool
    """Whether there is a token."""
    restart: str | None = None
    """A shell command that restarts the platform."""
    limits: Limits = Limits()
    gateway: Gateway = field(init=False)
    """The one whose events are sent, if a check needs none of its own."""
    sent: list[Json] = field(default_factory=list)
    """Events of every type that were accepted."""
    forgets: bool = True
    """Whether an event that is sent again is answered `accepted` again."""
    changes: list[Json] = field(default_factory=list)
    """The feed as it was listed."""
    complete: bool = False
    """Whether that is all of it."""
    cursor: str = ""
    """Where the feed ended."""

    def __post_init__(self) -> None:
        self.gateway = self.another("a")

    def another(self, letter: str) -> Gateway:
        """A gateway of the same store."""
        return Gateway(self.store, f"{self.name}-{letter}")

    @property
    def feed(self) -> str:
        return f"/v1/stores/{self.store}/changes"

    def state(self, kind: str) -> dict[str, Json]:
        """What the feed says of each key of a kind, in its last word."""
        return {
            key: change["value"]
            for (of, key), change in last_words(self.changes).items()
            if of == kind and isinstance(change.get("value"), dict)
        }


def last_words(changes: list[Json]) -> dict[tuple[str, str], Json]:
    """The changes that hold after all of them were applied in their order; malformed ones are left out."""
    state: dict[tuple[str, str], Json] = {}
    for change in changes:
        kind, key = change.get("kind"), change.get("key")
        if not isinstance(kind, str) or not isinstance(key, str):
            continue
        if change.get("op") == "delete":
            state.pop((kind, key), None)
        else:
            state[kind, key] = change
    return state
