"""What can go wrong with a request, as RFC 9457 problems. `code` is stable and is what the page translates."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web

from edge.database import Full
from edge.intake import Fault
from edge.staff import Refused

log = logging.getLogger(__name__)

CODES: dict[str, tuple[int, str]] = {
    "bad-request": (400, "The request is not of the form that the OpenAPI document describes."),
    "weak-secret": (400, "A PIN has 4 digits or more, a password 8 characters or more."),
    "not-logged-in": (401, "Nobody is logged in here, or not any more."),
    "wrong-secret": (401, "Name and secret do not belong together."),
    "wrong-code": (403, "This is not the setup code that the daemon printed."),
    "forbidden": (403, "The role of the person does not allow it."),
    "csrf": (403, "The X-CSRF-Token is missing or is not the one of this session."),
    "origin": (403, "Another site asks for it."),
    "not-found": (404, "There is no such thing, or not any more."),
    "method": (405, "This cannot be done with it."),
    "not-here": (409, "The shopper holds no read point."),
    "no-consent": (409, "The shopper has not consented to it."),
    "already-given": (409, "The scan was given to another shopper."),
    "already-removed": (409, "The item was taken out before."),
    "confirmed": (409, "The app has the item."),
    "expired": (409, "It is too old to be pushed."),
    "band-taken": (409, "The band is somebody's."),
    "last-manager": (409, "Nobody else is a manager."),
    "set-up-already": (409, "There are people already; a manager can add more."),
    "too-large": (413, "A request has 64 kB at most."),
    "media-type": (415, "A body is application/json, not compressed."),
    "host": (421, "The page is not reached by this name; see [kiosk] names."),
    "wait": (429, "There were too many wrong tries."),
    "internal": (500, "There is a fault in the gateway; it is in its log. Taps and scans go on."),
    "starting": (503, "The gateway is starting, or its disk is full."),
    "full": (503, "The disk takes nothing now; nothing was changed."),
    "busy": (503, "Too many pages are open."),
}
"""Status and what is told, by code."""

_BY_STATUS = {400: "bad-request", 404: "not-found", 405: "method", 413: "too-large", 415: "media-type", 503: "busy"}
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Problem(Exception):
    """Is answered as such. `wait`: seconds, after too many wrong tries."""

    def __init__(self, code: str, detail: str = "", *, wait: float = 0.0) -> None:
        super().__init__(code)
        self.code, self.detail, self.wait = code, detail, wait


@web.middleware
async def answered(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Makes a problem of whatever a handler raises; nothing of what is inside is told."""
    try:
        return await handler(request)
    except Problem as problem:
        return _response(problem)
    except Refused as refused:
        return _response(Problem(refused.code))
    except Fault:  # the intake has logged it
        return _response(Problem("internal"))
    except Full:
        return _response(Problem("full"))
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        allowed = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        return _response(Problem(_BY_STATUS.get(error.status, "bad-request")), **allowed)
    except ConnectionError:
        raise  # the page is gone
    except Exception as error:  # what a fault of ours says is nobody's business but the log's
        log.error("a fault in the page's %s", request.match_info.route.name, exc_info=error)
        return _response(Problem("internal"))


def _response(problem: Problem, **headers: str) -> web.Response:
    status, told = CODES.get(problem.code, (409, ""))
    body: dict[str, Any] = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    body |= {"detail": problem.detail or told, "code": problem.code}
    if problem.wait > 0:
        body["wait_seconds"] = round(problem.wait, 1)
        headers["Retry-After"] = str(math.ceil(problem.wait))
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Cookie"
    return web.Response(
        body=msgspec.json.encode(body), status=status, content_type="application/problem+json", headers=headers
    )
