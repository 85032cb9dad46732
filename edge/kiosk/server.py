"""The store's local HTTP server. For now it says whether the gateway can take readings, and how it is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from edge.kiosk import metrics


@asynccontextmanager
async def serve(
    host: str, port: int, trouble: Callable[[], str | None], status: Callable[[], Awaitable[dict[str, Any]]]
) -> AsyncIterator[None]:
    """Serves `/healthz`: 200, or 503 with the trouble; and `/metrics`. Raises OSError if the address cannot be had."""

    async def healthz(_: web.Request) -> web.Response:
        reason = trouble()
        return web.json_response({"ok": reason is None, "reason": reason}, status=503 if reason else 200)

    async def prometheus(_: web.Request) -> web.Response:
        text = metrics.render(await status())
        return web.Response(body=text.encode(), headers={"Content-Type": metrics.CONTENT_TYPE})

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/metrics", prometheus)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield
    finally:
        await runner.cleanup()
