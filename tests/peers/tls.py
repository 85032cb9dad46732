"""TLS in front of a server that speaks none: a certificate authority of the test's own, and a relay."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

from peers.process import free_port

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PIECE = 65536
EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")

QUIET: dict[str, Any] = {"check": True, "capture_output": True, "timeout": 60}


class Authority:
    """Issues certificates, one for 127.0.0.1 from the start; `ca` is what others are to trust."""

    def __init__(self, folder: Path) -> None:
        """Make its keys."""
        folder.mkdir()
        self.ca = folder / "ca.pem"
        self._folder, self._key = folder, folder / "ca.key"
        new = ("-x509", *EC, "-subj", f"/CN=authority {folder.name}", "-keyout", self._key, "-out", self.ca)
        subprocess.run(["openssl", "req", *new], **QUIET)
        self.certificate, self.key = self.issue("127.0.0.1", "IP:127.0.0.1")

    def issue(self, name: str, alternative: str = "", seconds: float = 7 * 86_400) -> tuple[Path, Path]:
        """Issue a certificate from now on, or one that is over since as many seconds as are negative; and its key."""
        begin, end = ((time.time() + shift) for shift in (min(0, seconds) - 86_400, seconds))
        dates = (time.strftime("%Y%m%d%H%M%SZ", time.gmtime(at)) for at in (begin, end))
        signer = ("-cert", self.ca, "-keyfile", self._key)
        return _signed(self._folder, name, alternative, tuple(dates), signer)

    def server(self, *, asking: bool = False) -> ssl.SSLContext:
        """Return the server's side; `asking` for a certificate that it has issued."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        if asking:
            context.load_verify_locations(self.ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


class Front:
    """Speaks TLS on `port` and passes on what is inside to the loopback port `target`, in a thread of its own."""

    def __init__(self, target: int, tls: ssl.SSLContext) -> None:
        """Begin to listen."""
        self.port = free_port()
        self._target = target
        self._connections: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"tls {self.port}")
        self._thread.start()
        start = asyncio.start_server(self._relay, "127.0.0.1", self.port, ssl=tls)
        self._server = asyncio.run_coroutine_threadsafe(start, self._loop).result(10)

    def close(self) -> None:
        """End it."""
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)
            self._loop.close()

    def drop(self) -> None:
        """Cut all connections; new ones are taken."""
        asyncio.run_coroutine_threadsafe(self._drop(), self._loop).result(10)

    async def _end(self) -> None:
        self._server.close()
        await self._drop()

    async def _drop(self) -> None:
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
    return _signed(folder, "till", "DNS:till.example,IP:127.0.0.1", (start, end), ("-selfsign",))


def _signed(
    folder: Path, name: str, alternative: str, dates: tuple[str, ...], signer: Sequence[str | Path]
) -> tuple[Path, Path]:
    stem = f"{name}-{len(list(folder.glob('*.csr')))}"
    certificate, key, request, config = (folder / f"{stem}.{end}" for end in ("pem", "key", "csr", "cnf"))
    (folder / "index").touch()
    (folder / "index.attr").write_text("unique_subject = no\n")
    config.write_text(
        f"[ca]\ndefault_ca = d\n[d]\ndatabase = {folder}/index\nnew_certs_dir = {folder}\nrand_serial = yes\n"
        "default_md = sha256\npolicy = p\ncopy_extensions = copy\n[p]\ncommonName = supplied\n"
    )
    subject = ["-subj", f"/CN={name}", *(["-addext", f"subjectAltName={alternative}"] if alternative else [])]
    subprocess.run(["openssl", "req", "-new", *EC[:-2], *subject, "-keyout", key, "-out", request], **QUIET)
    signer = signer if len(signer) > 1 else [*signer, "-keyfile", key]
    options = ["-config", config, *signer, "-in", request, "-out", certificate, "-notext"]
    valid = ["-startdate", dates[0], "-enddate", dates[1]]
    subprocess.run(["openssl", "ca", "-batch", *options, *valid], **QUIET)
    return certificate, key
