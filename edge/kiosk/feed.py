"""Stand-in: the signatures of the stream of Server-Sent Events."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from edge.kiosk.shop import Shop


async def stream(request: web.Request, shop: Shop, role: str, valid: Callable[[], bool]) -> web.StreamResponse:
    raise NotImplementedError
