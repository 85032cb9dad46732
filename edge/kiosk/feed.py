"""Stand-in: the signatures of the stream of Server-Sent Events."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from aiohttp import web

from edge.people import Role

if TYPE_CHECKING:
    from edge.kiosk.shop import Shop


class Live: ...


async def stream(request: web.Request, shop: Shop, role: Role, valid: Callable[[], bool]) -> web.StreamResponse:
    raise NotImplementedError
