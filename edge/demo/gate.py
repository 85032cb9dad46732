"""Who is let in to the demo's page: this machine; with `--listen` others too, each by a link that works once."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from aiohttp import web

GOOD = 600.0
"""Seconds within which a link is to be used."""
_OPEN = frozenset({"/enter", "/static/enter.js", "/static/app.css", "/static/icon.svg"})
"""Paths that a stranger may see: how to come in."""
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class NoWayIn(Exception):
    """A link that lets nobody in: `used`, `expired`, or `unknown`, one of another demo for example."""


@dataclass(slots=True)
class Gate:
    """`host`, `port`: where the page listens. `asks`: whether a link is needed, also on this machine."""

    host: str
    port: int
    asks: bool
    now: Callable[[], float] = time.monotonic
    _links: dict[bytes, float | None] = field(default_factory=dict)
    """Until when each is good; None once it is used."""
    _guests: set[bytes] = field(default_factory=set)

    @property
    def cookie(self) -> str:
        """Its name. A browser sends the cookies of a host to all of its ports: another demo's are not these."""
        return f"cartwire-demo-{self.port}"

    def link(self) -> str:
        """A new token for a link; where none is needed nothing."""
        if not self.asks:
            return ""
        token = secrets.token_urlsafe(24)
        self._links[_digest(token)] = self.now() + GOOD
        return token

    def enter(self, token: str) -> str:
        """The guest's cookie for a link's token, which is worth nothing from now on. Raises NoWayIn."""
        if not (found := _found(self._links, token)):
            raise NoWayIn("unknown")
        if (good := self._links[found]) is None:
            raise NoWayIn("used")
        if self.now() > good:
            raise NoWayIn("expired")
        self._links[found] = None
        cookie = secrets.token_urlsafe(32)
        self._guests.add(_digest(cookie))
        return cookie

    @web.middleware
    async def admit(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """A middleware. A page elsewhere has nothing to ask here, whatever name it gives our address."""
        host, origin = request.headers.get("Host", ""), request.headers.get("Origin")
        if not self._is_ours(host):
            raise web.HTTPMisdirectedRequest(text="This is not the name of the demo.\n")
        site, mode = (request.headers.get(f"Sec-Fetch-{what}") for what in ("Site", "Mode"))
        if origin not in (None, f"http://{host}") or (site == "cross-site" and mode != "navigate"):
            raise web.HTTPForbidden(text="Another page has nothing to ask here.\n")
        guest = _found(self._guests, request.cookies.get(self.cookie, ""))
        if self.asks and not guest and request.path not in _OPEN:
            raise web.HTTPForbidden(
                text="한 번만 쓸 수 있는 링크로 들어오세요.\nCome in by a link, which works once.\n"
            )
        return await handler(request)

    def _is_ours(self, host: str) -> bool:
        """An address is no attack by DNS rebinding."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
            return name in ("localhost", self.host) or bool(ipaddress.ip_address(name))
        except ValueError:
            return False


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="replace")).digest()


def _found(digests: Iterable[bytes], text: str) -> bytes | None:
    """Compared in constant time, and with each."""
    given, found = _digest(text), None
    for digest in digests:
        if hmac.compare_digest(digest, given):
            found = digest
    return found
