"""The page's own files, packed once and sent with an ETag. Nothing outside the folder can be named."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from aiohttp import web

HERE = Path(__file__).parent
_TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".webmanifest": "application/manifest+json",
    ".yaml": "application/yaml",
    ".txt": "text/plain",
}
_PACKED = frozenset({".html", ".js", ".css", ".json", ".svg", ".webmanifest", ".yaml", ".txt"})
_TEXT = frozenset({".html", ".js", ".css", ".txt"})


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    packed: bytes | None
    etag: str
    suffix: str


class Files:
    """Those below `root`, by their paths there."""

    def __init__(self, root: Path) -> None:
        self._paths = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.suffix in _TYPES}
        self._loaded: dict[str, _File] = {}

    async def send(self, request: web.Request, name: str) -> web.StreamResponse:
        """The file; 304 if the browser has it. Raises HTTPNotFound."""
        if name not in self._paths:
            raise web.HTTPNotFound
        if name not in self._loaded:
            self._loaded[name] = await asyncio.to_thread(_load, self._paths[name])
        file = self._loaded[name]
        headers = {"ETag": file.etag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if file.etag in request.headers.get("If-None-Match", ""):
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        body = file.content
        if file.packed and "gzip" in request.headers.get("Accept-Encoding", ""):
            body, headers["Content-Encoding"] = file.packed, "gzip"
        charset = "utf-8" if file.suffix in _TEXT else None
        return web.Response(body=body, content_type=_TYPES[file.suffix], charset=charset, headers=headers)


def _load(path: Path) -> _File:
    content = path.read_bytes()
    packed = gzip.compress(content, mtime=0) if path.suffix in _PACKED else None
    return _File(content, packed, f'"{hashlib.sha256(content).hexdigest()[:32]}"', path.suffix)
