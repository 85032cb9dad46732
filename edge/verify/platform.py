"""The platform that is looked at, asked the way a gateway asks: its time-outs, no redirect followed, verified TLS."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

import aiohttp

from edge.verify.verdict import Wrong

CONNECT, REQUEST = 1.0, 10.0
"""Seconds a gateway gives to a connection attempt and to a whole request."""
PATIENCE, ATTEMPTS = 10.0, 3
"""Seconds of a Retry-After that are waited for, and how often."""
LONGEST = 64 << 20
"""Bytes of an answer that are read."""


def parse(raw: bytes) -> Any:
    """JSON and nothing else, also no NaN and no text that is not UTF-8. Raises ValueError."""

    def no(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is no number")

    try:
        return json.loads(raw.decode(), parse_constant=no)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def plain(text: str, longest: int = 160) -> str:
    """Fit for one line of a terminal, whatever was answered."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= longest else text[:longest] + "…"


def shown(value: Any, longest: int = 120) -> str:
    """A piece of JSON on that line."""
    return plain(json.dumps(value, ensure_ascii=False), longest)


def field(of: dict[str, Any], name: str) -> str:
    """The same of a field, which may be missing."""
    return shown(of[name]) if name in of else "none"


@dataclass(frozen=True, slots=True)
class Answer:
    """`asked` is the request in words."""

    asked: str
    status: int
    content_type: str
    location: str
    body: bytes
    seconds: float
    etag: str = ""

    def __str__(self) -> str:
        what = f"{self.asked} answered {self.status}"
        if 300 <= self.status < 400:
            return f"{what} to {plain(self.location)}; a gateway follows no redirect"
        said = self.body.decode(errors="replace")
        if not self.is_json:
            what, said = f"{what} {self.content_type or 'without a content type'}:", re.sub("<[^>]*>", " ", said)
        return f"{what} {plain(said)}" if self.body else what.rstrip(":")

    @property
    def is_json(self) -> bool:
        """Whether it says so."""
        return self.content_type == "application/json" or self.content_type.endswith("+json")

    def json(self, wants: str, status: int = 200) -> Any:
        """The body, if the status is right and it is JSON. Raises Wrong."""
        if self.status != status:
            raise Wrong(wants, str(self))
        try:
            return parse(self.body)
        except ValueError as error:
            raise Wrong(wants, f"{self}, which is not JSON: {error}") from None


class Platform:
    """Its address, and what it takes to talk to it. Use `opened` around all requests."""

    def __init__(self, url: str, token: str | None, tls: ssl.SSLContext | None) -> None:
        self._url, self._token, self._tls = url.rstrip("/"), token, tls
        self.mislabelled: dict[str, str] = {}
        """Requests that were answered with JSON under another content type."""

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        # A gateway asks rarely enough to find its connection closed: each request has one of its own.
        connector = aiohttp.TCPConnector(ssl=self._tls or True, force_close=True)
        timeout = aiohttp.ClientTimeout(total=REQUEST, sock_connect=CONNECT)
        jar = aiohttp.DummyCookieJar()
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=jar) as self._session:
            yield

    async def get(
        self,
        path: str,
        query: dict[str, str] | None = None,
        *,
        headers: dict[str, str] | None = None,
        token: str | None = "",
    ) -> Answer:
        """One GET. `token`: another one, or None for none at all."""
        return await self._ask("GET", path, query or {}, None, headers or {}, token)

    async def post(self, path: str, body: bytes, type: str, *, zipped: bool = False, token: str | None = "") -> Answer:
        """One POST."""
        headers = {"Content-Type": type, **({"Content-Encoding": "gzip"} if zipped else {})}
        body = await asyncio.to_thread(gzip.compress, body, 6) if zipped else body
        return await self._ask("POST", path, {}, body, headers, token)

    async def _ask(
        self,
        method: str,
        path: str,
        query: dict[str, str],
        body: bytes | None,
        headers: dict[str, str],
        token: str | None,
    ) -> Answer:
        token = self._token if token == "" else token
        headers = {"Accept": "application/json", "User-Agent": "cartwire-verify-platform", **headers}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        asked = f"{method} {path}"
        if query:
            asked += "?" + "&".join(f"{name}={plain(value, 24)}" for name, value in query.items())
        for attempt in range(1, ATTEMPTS + 1):
            begin = time.monotonic()
            try:
                async with self._session.request(
                    method, self._url + path, params=query, data=body, headers=headers, allow_redirects=False
                ) as response:
                    raw = await _limited(response.content)
            except aiohttp.ClientConnectorCertificateError as error:
                raise self._wrong(asked, f"its certificate is not trusted: {error.certificate_error}") from None
            except aiohttp.ConnectionTimeoutError:
                raise self._wrong(asked, f"no connection within {CONNECT:.0f} s") from None
            except aiohttp.ClientConnectorError as error:
                raise self._wrong(asked, f"no connection: {error.strerror or error}") from None
            except TimeoutError:
                raise self._wrong(asked, f"no answer within {REQUEST:.0f} s") from None
            except (aiohttp.ClientError, OSError, ValueError) as error:
                raise self._wrong(asked, f"no whole answer: {error or type(error).__name__}") from None
            wait = response.headers.get("Retry-After", "")
            again = response.status in (429, 503) and re.fullmatch("[0-9]{1,3}", wait) and float(wait) <= PATIENCE
            if not again or attempt == ATTEMPTS:
                break
            await asyncio.sleep(float(wait))
        seconds = time.monotonic() - begin
        location, said = response.headers.get("Location", "nowhere"), response.headers.get("Content-Type", "")
        kind = plain(said.partition(";")[0].lower(), 40)
        etag = response.headers.get("ETag", "")
        answer = Answer(asked, response.status, kind, self._veiled(location), self._veiled_bytes(raw), seconds, etag)
        self._note(answer)
        return answer

    def _note(self, answer: Answer) -> None:
        if answer.status == 200 and not answer.is_json:
            try:
                parse(answer.body)
            except ValueError:
                return
            self.mislabelled.setdefault(answer.asked.partition("?")[0], answer.content_type or "none")

    def _wrong(self, asked: str, what: str) -> Wrong:
        return Wrong("an answer", f"{asked}: {plain(self._veiled(what), 300)}")

    def _veiled(self, text: str) -> str:
        return text.replace(self._token, "…") if self._token else text

    def _veiled_bytes(self, raw: bytes) -> bytes:
        return raw.replace(self._token.encode(), b"...") if self._token else raw


async def _limited(content: aiohttp.StreamReader) -> bytes:
    parts, size = [], 0
    async for part in content.iter_any():
        parts.append(part)
        size += len(part)
        if size > LONGEST:
            raise ValueError(f"more than {LONGEST} bytes")
    return b"".join(parts)
