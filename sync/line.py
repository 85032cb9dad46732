"""Whether the platform can be reached: one idle connection is held to it, and whoever cuts the line ends it.

Nothing is sent on it, so it costs the platform a socket and no work. A close or a reset tells at once; of a line that
falls silent the kernel's keepalive tells. A server may close what is idle: then a new connection that holds is no cut.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import ssl
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urlsplit

from edge.journald import about
from edge.ports import Unavailable
from sync import tls as certificates
from sync.apart import Apart
from sync.backoff import Sleep
from sync.platform import CONNECT, LOOKUP
from sync.tls import Login

log = logging.getLogger(__name__)

SETTLED = 0.5
"""Seconds after which a connection has come about; what goes sooner was refused."""
AGAIN = 2.0
"""Seconds at least between two connections while the server closes them."""
DISTRUST = 60.0
"""Seconds until a platform whose certificate is not believed is dialled again."""
_CLOSED = "the platform closed the connection"
_IDLE, _PROBES = 5, 2
SILENT = _IDLE * (1 + _PROBES)
"""Seconds of silence after which the line is cut."""
_OPTIONS = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _IDLE),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _IDLE),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PROBES),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENT * 1000),
)


@dataclass(slots=True)
class Line:
    """The line to the server of `url`. `up`: None until it is known; `since`: milliseconds, as `now` says.

    `returned` is called when it is up again after a cut.
    """

    url: str
    login: Callable[[], Login]
    now: Callable[[], int]
    returned: Callable[[], None]
    up: bool | None = None
    reason: str = ""
    since: int = field(init=False)
    sleep: Sleep = asyncio.sleep
    chance: random.Random = field(default_factory=random.Random)
    _dials: Apart = field(default_factory=Apart)

    def __post_init__(self) -> None:
        self.since = self.now()

    async def run(self) -> None:
        """Holds it until cancelled; without one it is dialled every 0.5 to 1.5 s."""
        loop = asyncio.get_running_loop()
        while True:
            dialled = loop.time()
            try:
                await self._hold()
            except Unavailable as error:
                self._say(False, str(error))
                await self.sleep(DISTRUST if error.state == "refused" else self.chance.uniform(0.5, 1.5))
            else:
                await self.sleep(max(0.0, dialled + AGAIN - loop.time()))

    async def _hold(self) -> None:
        """Returns when a connection that came about is over. Raises Unavailable if none does."""
        lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        transport = await self._dial(lost)
        try:
            await asyncio.wait((lost,), timeout=SETTLED)
            if lost.done():
                raise self._refused(lost.result())
            self._say(True)
            await lost  # a server may close what is idle, each time; that it cannot be had again would be a cut
        finally:
            transport.abort()

    def _refused(self, error: Exception | None) -> Unavailable:
        """Why it ended as soon as it was there."""
        if isinstance(error, ssl.SSLError):
            return certificates.failed(error, "the platform")
        if urlsplit(self.url).scheme == "https":
            return certificates.hung_up("the platform")
        return Unavailable(f"no connection to the platform: {error or _CLOSED}", connected=False)

    async def _dial(self, lost: asyncio.Future[Exception | None]) -> asyncio.Transport:
        parts = urlsplit(self.url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        loop = asyncio.get_running_loop()
        try:
            dialling = self._dials.start(partial(socket.create_connection, (host, port), CONNECT))
            async with asyncio.timeout(LOOKUP + CONNECT):
                sock = await asyncio.wrap_future(dialling)
        except TimeoutError:
            dialling.add_done_callback(_close)
            raise Unavailable("no connection to the platform: it takes too long", connected=False) from None
        except OSError as error:
            raise Unavailable(f"no connection to the platform: {error.strerror or error}", connected=False) from None
        for option in _OPTIONS:
            sock.setsockopt(*option)
        tls = self.login().tls
        name, wait = (host, CONNECT) if tls else (None, None)
        try:
            transport, _ = await loop.create_connection(
                partial(_Held, lost), sock=sock, ssl=tls, server_hostname=name, ssl_handshake_timeout=wait
            )
        except ssl.SSLError as error:
            raise certificates.failed(error, "the platform") from None
        except ConnectionError:
            raise certificates.hung_up("the platform") from None
        except OSError as error:
            raise Unavailable(f"no connection to the platform: {error.strerror or error}", connected=False) from None
        return transport

    def _say(self, up: bool, reason: str = "") -> None:
        """Logs transitions only."""
        self.reason = reason
        if up != self.up:
            level, state = (logging.INFO, "ok") if up else (logging.WARNING, "unavailable")
            log.log(level, "the line to the platform: %s", reason or "up", extra=about(line="platform", state=state))
            again, self.up, self.since = self.up is False, up, self.now()
            if again:
                self.returned()


def _close(dialled: Future[socket.socket]) -> None:
    """Nobody waits for it any more."""
    if not dialled.exception():
        dialled.result().close()


class _Held(asyncio.Protocol):
    """Hears nothing but the end."""

    def __init__(self, lost: asyncio.Future[Exception | None]) -> None:
        self._lost = lost

    def connection_lost(self, error: Exception | None) -> None:
        if not self._lost.done():
            self._lost.set_result(error)
