"""An HTTPS server as they are: it says by an alert why it does not go on with a handshake."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

PATIENCE = 5.0  # seconds


class Handler(BaseHTTPRequestHandler):
    """Knows its limits and nothing else."""

    protocol_version = "HTTP/1.1"
    timeout = PATIENCE

    def setup(self) -> None:
        """Shake hands in the connection's own thread."""
        self.request.settimeout(PATIENCE)
        self.request.do_handshake()
        super().setup()

    def do_GET(self) -> None:
        """Answer any question the same."""
        body = json.dumps({"batch": True, "maxBatch": 500, "maxBytes": 1_048_576}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """Reads what was sent before it hangs up: else TCP resets the connection, and takes the alert with it."""

    daemon_threads = True

    def __init__(self, tls: ssl.SSLContext) -> None:
        """Begin to listen."""
        super().__init__(("127.0.0.1", 0), Handler)
        self._tls = tls

    def get_request(self) -> tuple[socket.socket, object]:
        """Take a connection."""
        raw, address = super().get_request()
        return self._tls.wrap_socket(raw, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, request: object, client_address: object) -> None:
        """Go on."""

    def shutdown_request(self, request: Any) -> None:
        """Hang up."""
        with suppress(OSError):
            socket.socket.shutdown(request, socket.SHUT_WR)
            while socket.socket.recv(request, 4096):
                pass
        request.close()


@contextmanager
def https(tls: ssl.SSLContext) -> Iterator[int]:
    """Listen on the port that this is."""
    with Server(tls) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()
