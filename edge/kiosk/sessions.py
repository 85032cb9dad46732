"""Who is logged in, in memory: after a restart nobody is.

The cookie is a random token. Its CSRF token follows from it, so that a browser in which nobody is logged in yet has one
as well, and nobody can be logged in as somebody else by a foreign page.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from edge import people
from edge.model import Row
from edge.people import Person
from edge.staff import NOTE

IDLE, LONGEST = 600.0, 12 * 3600.0
"""Seconds: without a touch; in all."""
MOST = 100
"""Sessions at a time; the one that nobody has touched for longest goes."""


@dataclass(slots=True)
class Session:
    person: Person
    begun: float
    touched: float


@dataclass(slots=True)
class Sessions:
    now: Callable[[], float]
    _key: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    _open: dict[str, Session] = field(default_factory=dict)

    def csrf(self, token: str) -> str:
        return hmac.new(self._key, _bytes(token), hashlib.sha256).hexdigest()

    def is_csrf(self, token: str, csrf: str) -> bool:
        return bool(token) and hmac.compare_digest(_bytes(self.csrf(token)), _bytes(csrf))

    def begin(self, person: Person) -> str:
        """The token of a new session."""
        now, token = self.now(), new_token()
        self._open[token] = Session(person, now, now)
        while len(self._open) > MOST:
            del self._open[min(self._open, key=lambda token: self._open[token].touched)]
        return token

    def person(self, token: str, *, touch: bool = False) -> Person | None:
        """Who is logged in with the token; a touch lets the session live on."""
        session, now = self._open.get(token), self.now()
        if not session:
            return None
        if now >= session.touched + IDLE or now >= session.begun + LONGEST:
            del self._open[token]
            return None
        if touch:
            session.touched = now
        return session.person

    def end(self, token: str) -> None:
        self._open.pop(token, None)

    def end_all(self, name: str, *, but: str = "") -> None:
        """Ends the person's sessions, except the one with the token `but`."""
        ended = [token for token, session in self._open.items() if session.person.name == name and token != but]
        for token in ended:
            del self._open[token]

    def committed(self, rows: list[Row]) -> None:
        """A person whose role or secret was changed, or who was dismissed, has to log in anew."""
        for row in rows:
            if row.kind == NOTE and row.data["action"] in (people.CHANGED, people.DISMISSED):
                self.end_all(row.data["name"])


def new_token() -> str:
    return secrets.token_urlsafe(32)


def _bytes(header: str) -> bytes:
    """As it came: what is no UTF-8 there stands for itself."""
    return header.encode(errors="surrogateescape")
