"""Who is let in: by the name the page is reached by, by where a request comes from, by its CSRF token, by role.

A route that is not in LEAST is refused.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Collection
from urllib.parse import urlsplit

from aiohttp import web

from edge import settings
from edge.kiosk.problems import Problem
from edge.kiosk.sessions import Sessions
from edge.people import Person, Role, may

COOKIE = "cartwire"

LEAST: dict[str, Role | None] = {
    **dict.fromkeys(("page", "static", "healthz", "metrics", "getDocument", "getSession", "logIn", "setUp")),
    **dict.fromkeys(("logOut", "changeSecret", "getEvents", "getFloor"), "viewer"),
    **dict.fromkeys(("findProducts", "getProduct", "getMissing", "getStatus", "getHistory"), "viewer"),
    **dict.fromkeys(("endSession", "findShoppers", "getShopper", "bindBand", "unbindBand"), "clerk"),
    **dict.fromkeys(("removeItem", "pushAgain", "getUnclaimed", "giveScan", "readAtDesk"), "clerk"),
    **dict.fromkeys(("getIntents", "takeBack", "getRejected", "retryRejected"), "clerk"),
    **dict.fromkeys(("pullNow", "restartDriver", "beep"), "clerk"),
    **dict.fromkeys(("getPeople", "putPerson", "deletePerson", "closeStore", "train"), "manager"),
    **dict.fromkeys(("eraseShopper", "exportShopper", "dropRejected"), "manager"),
}
"""The least role of each operation; None: everybody."""

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors ",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "Server": "cartwire",
}
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_UNTOUCHED = frozenset({"getEvents"})
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
PERSON = web.RequestKey("person", Person)


class Guard:
    """`hosts`: the names the page may be reached by; `any_address`: also by any IP address."""

    def __init__(self, sessions: Sessions, hosts: Collection[str], *, any_address: bool, secure: bool) -> None:
        self._sessions = sessions
        self._hosts = frozenset(hosts)
        self._any_address = any_address
        self._scheme = "https" if secure else "http"

    @web.middleware
    async def admit(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """A middleware; whom it lets in stands in `request[PERSON]`. Raises Problem."""
        host = request.headers.get("Host", "")
        if not self._is_ours(host):
            raise Problem("host")
        if request.path.startswith("/api/"):
            origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site", "none")
            if origin not in (None, f"{self._scheme}://{host}") or site not in ("none", "same-origin"):
                raise Problem("origin")
        if error := request.match_info.http_exception:
            raise error
        operation = request.match_info.route.name
        if operation not in LEAST:
            raise Problem("forbidden")
        token = request.cookies.get(COOKIE, "")
        touch = operation not in _UNTOUCHED and "X-Idle" not in request.headers
        person, least = self._sessions.person(token, touch=touch), LEAST[operation]
        if least and not person:
            raise Problem("not-logged-in")
        csrf = request.headers.get("X-CSRF-Token", "")
        if request.method not in _SAFE and not self._sessions.is_csrf(token, csrf):
            raise Problem("csrf")
        if least and not may(person.role if person else None, least):
            raise Problem("forbidden")
        if person:
            request[PERSON] = person
        return await handler(request)

    def _is_ours(self, host: str) -> bool:
        """Another name for our address is an attack by DNS rebinding; an address is none."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
            return name in self._hosts or (self._any_address and bool(ipaddress.ip_address(name)))
        except ValueError:
            return False


def guard(kiosk: settings.Kiosk, sessions: Sessions) -> Guard:
    host, _ = settings.address(kiosk.listen)
    hosts = {"localhost", "127.0.0.1", "::1", host, *kiosk.names}
    return Guard(sessions, hosts, any_address=host in settings.ALL, secure=kiosk.secure)


def hardening(frame_ancestors: Collection[str]) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """For `on_response_prepare`: what every answer carries. Of what the page is told nothing is kept anywhere.

    `frame_ancestors`: the origins of the pages that may show it in a frame; no other may.
    """
    policy = "Content-Security-Policy"
    headers = HEADERS | {policy: HEADERS[policy] + (" ".join(frame_ancestors) or "'none'")}

    async def harden(_: web.Request, response: web.StreamResponse) -> None:
        for name, value in headers.items():
            response.headers[name] = value
        response.headers.setdefault("Cache-Control", "no-store")

    return harden
