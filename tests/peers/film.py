"""Cameras for tests: films on the disk, and a stream over HTTP whose picture can be changed and stopped."""

from __future__ import annotations

import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self

import cv2

from peers.bars import Picture, seen

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SMALL = (240, 320)
"""Rows and columns of a film."""


def shots(*parts: tuple[Picture | None, int]) -> list[Picture]:
    """For each label, or nobody, that many frames."""
    labels = [label for label, frames in parts for _ in range(frames)]
    return [seen(label, seed=number, size=SMALL) for number, label in enumerate(labels)]


def film(path: Path, pictures: Iterable[Picture], rate: float) -> Path:
    """Write an AVI, whole at once."""
    half = path.with_name(f"half-{path.name}")
    writer = cv2.VideoWriter(str(half), cv2.VideoWriter.fourcc(*"MJPG"), rate, SMALL[::-1])
    for picture in pictures:
        writer.write(picture)
    writer.release()
    return half.rename(path)


def sequence(folder: Path, pictures: Iterable[Picture]) -> Path:
    """Write f001.jpg, f002.jpg …; return the pattern."""
    folder.mkdir()
    for number, picture in enumerate(pictures, 1):
        assert cv2.imwrite(str(folder / f"f{number:03d}.jpg"), picture)
    return folder / "f%03d.jpg"


class Stream:
    """A network camera: Motion JPEG over HTTP, for one viewer at a time."""

    def __init__(self, rate: float = 25.0) -> None:
        """Serve the empty scene."""
        self.pictures = [seen(None, size=SMALL)]
        """Shown in turn; none: the stream stands still."""
        self.sent = 0
        self.viewers = 0
        self._over = threading.Event()
        stream = self

        class Viewer(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
                self.end_headers()
                stream.viewers += 1
                with suppress(OSError):
                    while not stream._over.wait(1 / rate):
                        if stream.pictures:
                            self.send(stream.pictures[stream.sent % len(stream.pictures)])
                stream.viewers -= 1

            def send(self, picture: Picture) -> None:
                jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
                head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                self.wfile.write(head.encode() + jpeg + b"\r\n")
                stream.sent += 1

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Viewer)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self.url = f"http://127.0.0.1:{self._server.server_port}/camera"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
