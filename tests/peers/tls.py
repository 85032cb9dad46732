"""TLS in front of a server that speaks none: a certificate authority of the test's own, and a relay."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
import threading
from typing import TYPE_CHECKING, Any

from peers.process import free_port

if TYPE_CHECKING:
    from pathlib import Path

PIECE = 65536
EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")

QUIET: dict[str, Any] = {"check": True, "capture_output": True, "timeout": 60}


class Authority:
    """Issues one certificate, for 127.0.0.1; `ca` is what a client is to trust."""

    def __init__(self, folder: Path) -> None:
        """Make its keys."""
        folder.mkdir()
        self.ca = folder / "ca.pem"
        self._key, self._certificate = folder / "server.key", folder / "server.pem"
        key = folder / "ca.key"
        _openssl("-subj", "/CN=Test CA", "-keyout", key, "-out", self.ca)
        name = ("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1")
        leaf = ("-addext", "basicConstraints=critical,CA:FALSE", "-CA", self.ca, "-CAkey", key)
        _openssl(*name, *leaf, "-keyout", self._key, "-out", self._certificate)

    def server(self) -> ssl.SSLContext:
        """Return the server's side."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._certificate, self._key)
        return context


class Front:
    """Speaks TLS on `port` and passes on what is inside to the loopback port `target`, in a thread of its own."""

    def __init__(self, target: int, authority: Authority) -> None:
        """Begin to listen."""
        self.port = free_port()
        self._target = target
        self._connections: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"tls {self.port}")
        self._thread.start()
        start = asyncio.start_server(self._relay, "127.0.0.1", self.port, ssl=authority.server())
        self._server = asyncio.run_coroutine_threadsafe(start, self._loop).result(10)

    def close(self) -> None:
        """End it."""
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)
            self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        if tasks := list(self._connections):
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._connections.add(task)
        writers = [writer]
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
            writers.append(back)
            pumps = [asyncio.create_task(_pump(reader, back)), asyncio.create_task(_pump(there, writer))]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in pumps:
                pump.cancel()
            await asyncio.wait(pumps)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for each in writers:
                each.transport.abort()
            self._connections.discard(task)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One direction, until it ends or breaks."""
    with contextlib.suppress(OSError):
        while data := await reader.read(PIECE):
            writer.write(data)
            await writer.drain()


def issued(folder: Path, start: str = "20200101000000Z", end: str = "20991231235959Z") -> tuple[Path, Path]:
    """Make a certificate for till.example, valid between the two times, that nobody else has signed; and its key."""
    certificate, key, request, config = (folder / f"page.{end}" for end in ("pem", "key", "csr", "cnf"))
    (folder / "index").touch()
    config.write_text(
        f"[ca]\ndefault_ca = d\n[d]\ndatabase = {folder}/index\nnew_certs_dir = {folder}\nrand_serial = yes\n"
        "default_md = sha256\npolicy = p\ncopy_extensions = copy\n[p]\ncommonName = supplied\n"
    )
    name = ("-subj", "/CN=till", "-addext", "subjectAltName=DNS:till.example,IP:127.0.0.1")
    subprocess.run(["openssl", "req", "-new", *EC[:-2], *name, "-keyout", key, "-out", request], **QUIET)
    dates = ("-startdate", start, "-enddate", end)
    options = ("-config", config, "-selfsign", "-keyfile", key, "-in", request, "-out", certificate, "-notext", *dates)
    subprocess.run(["openssl", "ca", "-batch", *options], **QUIET)
    return certificate, key


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", "req", "-x509", *EC, *arguments], **QUIET)
