"""HTTP to the central platform: one place that knows aiohttp, tokens and what an answer may look like."""

from __future__ import annotations

import asyncio
import errno
import gzip
import json
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from functools import partial
from typing import Any, TypeVar

import msgspec

from edge.ports import Unavailable
from sync import tls
from sync.apart import Apart
from sync.tls import Login

with tls.nobody_trusted():  # its own two contexts, which nobody uses, take a start 80 ms and 0.8 MB
    import aiohttp
    from aiohttp.abc import AbstractResolver, ResolveResult

_T = TypeVar("_T")
CONNECT = 1.0
REQUEST = 10.0
"""Seconds a connection attempt and a whole request may take."""
LOOKUP = 8.0
"""Seconds a name may take, which is when the second name server has been asked too."""
LONGEST_WAIT = 3600.0
"""Seconds of Retry-After that are believed."""
REFUSED = 60.0
"""Seconds until a platform that does not want us is asked again."""
_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
_BIGGEST = 64 * 1024 * 1024
_NO_CONNECTION = (
    *(aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError),
    *(aiohttp.ServerDisconnectedError, aiohttp.ClientOSError),  # reset before a byte of an answer: none came about
)
NO_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are not the JSON that was expected, however deeply nested."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A status that the caller has to judge, with the body as it came; `etag` is what names that body."""

    status: int
    body: bytes
    etag: str = ""

    def read(self, type: type[_T]) -> _T:
        """The body as JSON of that type. Raises Unavailable if the status is not 200 or it is not that."""
        if self.status != 200:
            raise Unavailable(f"the platform answers {self.status}")
        try:
            try:
                return msgspec.json.decode(self.body, type=type)
            except msgspec.DecodeError:  # half an emoji, say, which is no reason to stand still
                mended = json.dumps(json.loads(self.body), ensure_ascii=False).encode(errors="replace")
                return msgspec.json.decode(mended, type=type)
        except (*NO_JSON, ValueError) as error:
            raise Unavailable(f"the platform's answer is not what was agreed: {error}") from None


class Platform:
    """The platform's address with what it takes to talk to it. Use `opened` around all calls.

    `login` is asked anew for each.
    """

    def __init__(self, url: str, login: Callable[[], Login]) -> None:
        self._url = url.rstrip("/")
        self._login = login
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        connector = aiohttp.TCPConnector(resolver=_Resolver())
        timeout = aiohttp.ClientTimeout(total=REQUEST, sock_connect=CONNECT)
        accept = {"Accept": "application/json"}
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=accept) as session:
            self._session = session
            yield

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        zipped: bool = False,
        content_type: str = "application/json",
        timeout: float = REQUEST,
    ) -> Answer:
        """One request; `zipped`: the body is already. Raises Unavailable for what only time or a person can mend.

        No connection, a time-out, a reset, 5xx: `connected` says which it was. 401, 403: refused, again in a
        minute. 429, 503: as Retry-After says. Every other status is the caller's.
        """
        assert self._session, "Platform.call outside Platform.opened"
        sent = dict(headers or {})
        if body is not None:
            sent["Content-Type"] = content_type
        if zipped:
            sent["Content-Encoding"] = "gzip"
        login = self._login()
        if login.secret:
            sent["Authorization"] = f"Bearer {login.secret}"
        options: dict[str, Any] = {"headers": sent, "allow_redirects": False, "ssl": login.tls or True}
        try:
            async with asyncio.timeout(timeout):
                async with self._session.request(
                    method, self._url + path, params=query, data=body, **options
                ) as response:
                    body = b"".join([part async for part in _limited(response.content)])
                    return _judge(response.status, response.headers, body)
        except aiohttp.ClientConnectorCertificateError as error:
            raise _untrusted(error.certificate_error) from None
        except _NO_CONNECTION as error:
            raise _not_connected(error, login) from None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise Unavailable(f"the platform does not answer: {str(error) or type(error).__name__}") from None


class _Resolver(AbstractResolver):
    """Looks names up apart: a name server that does not answer holds up nothing else."""

    def __init__(self) -> None:
        self._lookups = Apart()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        look_up = partial(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
        try:
            async with asyncio.timeout(LOOKUP):
                found = await asyncio.wrap_future(self._lookups.start(look_up))
        except TimeoutError:
            raise OSError(errno.EAGAIN, "the name lookup takes too long; does the name server answer?") from None
        return [
            ResolveResult(hostname=host, host=str(at[0]), port=int(at[1]), family=kind, proto=proto, flags=_NUMERIC)
            for kind, _, proto, _, at in found
        ]

    async def close(self) -> None:
        """Nothing to close."""


def _untrusted(error: Exception) -> Unavailable:
    if isinstance(error, ssl.SSLError):
        return tls.failed(error, "the platform")
    return Unavailable(f"the certificate of the platform: {error}", state="refused")


def _not_connected(error: BaseException, login: Login) -> Unavailable:
    """None came about, or it ended before a byte of an answer."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error.__cause__ or error
    if isinstance(cause, ssl.SSLError):
        return tls.failed(cause, "the platform")
    if login.tls and isinstance(cause, ConnectionResetError | BrokenPipeError | aiohttp.ServerDisconnectedError):
        return tls.hung_up("the platform")
    text = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return Unavailable(f"no connection to the platform: {text}", connected=False)


def zipped(body: bytes) -> bytes:
    """The body with `Content-Encoding: gzip`; the lowest level, as a Pi has better to do."""
    return gzip.compress(body, 1)


async def _limited(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    size = 0
    async for part in content.iter_any():
        size += len(part)
        if size > _BIGGEST:
            raise Unavailable("the platform's answer is too long")
        yield part


def _judge(status: int, headers: Mapping[str, str], raw: bytes) -> Answer:
    if status in (401, 403):
        raise Unavailable(
            f"the platform refuses us ({status}); is the token right?", retry_after=REFUSED, state="refused"
        )
    if status in (429, 503):
        raise Unavailable(f"the platform asks to wait ({status})", retry_after=_seconds(headers))
    if status >= 500:
        raise Unavailable(f"the platform answers {status}")
    return Answer(status, raw, headers.get("ETag", ""))


def _seconds(headers: Mapping[str, str]) -> float | None:
    """Retry-After (RFC 9110 §10.2.3) in seconds; None if there is none or it makes no sense.

    A date is held against the answer's own, as our clock may not be set.
    """
    asked = headers.get("Retry-After", "").strip()
    if asked.isdecimal():
        return min(float(asked), LONGEST_WAIT)
    try:
        at, now = (parsedate_to_datetime(text) for text in (asked, headers.get("Date") or format_datetime(_now())))
        left = (at.replace(tzinfo=at.tzinfo or UTC) - now.replace(tzinfo=now.tzinfo or UTC)).total_seconds()
    except (ValueError, OverflowError):
        return None
    return min(max(left, 0.0), LONGEST_WAIT)


def _now() -> datetime:
    return datetime.now(UTC)
