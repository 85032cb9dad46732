"""Looks at the store from outside, as anybody may: `cartwire events` and `status`, `/healthz`, the platform's list."""

from __future__ import annotations

import asyncio
import json
import logging
import time

from aiohttp import ClientError, ClientSession, ClientTimeout

from edge import control
from edge.demo.scene import Scene
from edge.demo.store import Child, Store

log = logging.getLogger(__name__)

_EVERY = 0.5
_SOON = 0.5
_WAIT = 20
_ANSWER = 10


async def watch(store: Store, scene: Scene) -> None:
    """Tells the scene, for ever."""
    async with asyncio.TaskGroup() as group:
        for look in (_accepted, _platform, _gateway):
            group.create_task(look(store, scene))


async def _accepted(store: Store, scene: Scene) -> None:
    """What the gateway has accepted. The command goes on by itself while the gateway is dark."""
    events = Child(
        ["edge.cli", "events", "--follow", "--json", "--config", str(store.config)], store.folder / "events.log"
    )
    try:
        while True:
            if scene.status is not None:  # before that there may be no journal
                output = await events.start()
                async for line in output:
                    scene.accepted(json.loads(line), time.time())
            await asyncio.sleep(_SOON)
    finally:
        await events.end()


async def _platform(store: Store, scene: Scene) -> None:
    """What the platform has: asked at the platform itself, whatever becomes of the line that the gateway uses."""
    last = 0
    url = f"http://127.0.0.1:{store.platform_port}/sandbox/events"
    async with ClientSession(timeout=ClientTimeout(_WAIT + 10)) as session:
        while True:
            try:
                async with session.get(url, params={"since": last, "wait": _WAIT}) as answer:
                    rows = (await answer.json())["events"]
            except (ClientError, TimeoutError, ValueError) as error:
                log.warning("the platform: %s", error)
                await asyncio.sleep(_SOON)
                continue
            for row in rows:
                last = row["n"]
                scene.at_platform(last, row["event"], time.time())


async def _gateway(store: Store, scene: Scene) -> None:
    """How the gateway is."""
    url = f"http://127.0.0.1:{store.page_port}/healthz"
    async with ClientSession(timeout=ClientTimeout(_ANSWER)) as session:
        while True:
            asked, status, trouble = time.time(), None, ""
            try:
                status = await asyncio.to_thread(control.ask, store.data, "status")
                async with session.get(url) as answer:
                    trouble = str((await answer.json())["reason"] or "")
            except (control.NoDaemon, ClientError, TimeoutError, ValueError):
                status = None
            scene.answered(status or None, trouble, asked)
            await asyncio.sleep(_EVERY)
