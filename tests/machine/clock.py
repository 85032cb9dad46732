"""A time server (SNTP, RFC 5905) that tells this machine's time; without it the machine under test does not know it."""

from __future__ import annotations

import socket
import struct
import threading
import time

SINCE_1900 = 2_208_988_800
REPLY = struct.Struct(">BBbb11I")


def stamp(at: float) -> tuple[int, int]:
    """Write a moment as NTP does."""
    return int(at) + SINCE_1900, int(at % 1 * 2**32)


class TimeServer:
    """Answers on a loopback port of its own as long as it is not closed."""

    def __init__(self, port: int = 0) -> None:
        """Begin to answer."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", port))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, name="time", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join(10)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            question, who = self._socket.recvfrom(512)
            now = time.time()
            if not question:
                return
            if len(question) >= 48:
                sent = struct.unpack(">II", question[40:48])
                version = question[0] & 0x38
                # A server of stratum 1, in step with the world, exact to 2^-20 s.
                head = (version | 4, 1, question[2], -20, 0, 0, int.from_bytes(b"TEST"))
                stamps = (*stamp(now), *sent, *stamp(now), *stamp(time.time()))
                self._socket.sendto(REPLY.pack(*head, *stamps), who)
