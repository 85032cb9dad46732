"""The stream in which nats-server keeps what apps have not taken yet, and how long it keeps it.

By itself for ever. It is made or changed over the NATS protocol, as no setting of the server names it.
"""

from __future__ import annotations

import asyncio

import msgspec

_STREAM, _INBOX = "$MQTT_msgs", "_INBOX.cartwire"
_TRIES = ("UPDATE", "CREATE", "UPDATE")
"""The last because the first app may have come in between."""
_WINDOW = 120.0
_ANSWER = 5.0

PERMISSIONS = {"publish": [f"$JS.API.STREAM.*.{_STREAM}"], "subscribe": [_INBOX]}
"""What the user who does it needs."""


async def keep(port: int, user: str, password: str, max_age: float) -> None:
    """Lets messages go after `max_age` seconds. Raises OSError with the reason if the server does not."""
    wanted = {
        "name": _STREAM,
        "subjects": ["$MQTT.msgs.>"],
        "storage": "file",
        "retention": "interest",
        "max_age": int(max_age * 1e9),
        "duplicate_window": int(min(max_age, _WINDOW) * 1e9),
    }
    async with asyncio.timeout(_ANSWER):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            login = {"user": user, "pass": password, "verbose": False, "pedantic": False, "lang": "-", "version": "-"}
            writer.write(b"CONNECT %s\r\nSUB %s 1\r\n" % (msgspec.json.encode(login), _INBOX.encode()))
            for verb in _TRIES:
                body = msgspec.json.encode(wanted)
                writer.write(f"PUB $JS.API.STREAM.{verb}.{_STREAM} {_INBOX} {len(body)}\r\n".encode() + body + b"\r\n")
                if (refusal := await refused(reader)) is None:
                    return
            raise OSError(refusal)
        finally:
            writer.close()


class _Refusal(msgspec.Struct):
    description: str = "it does not say why"


class _Answer(msgspec.Struct):
    error: _Refusal | None = None


async def refused(reader: asyncio.StreamReader) -> str | None:
    """Why the server refuses, out of its next message; what else it says is passed over. Raises OSError."""
    try:
        while line := await reader.readline():
            if line.startswith(b"MSG "):
                answer = msgspec.json.decode(await reader.readexactly(int(line.split()[-1])), type=_Answer)
                return answer.error.description if answer.error else None
            if line.startswith(b"-ERR"):
                raise OSError(line.decode(errors="replace").strip())
    except (ValueError, EOFError, RecursionError) as error:
        raise OSError(f"its answer makes no sense: {error}") from None
    raise OSError("it closed the connection")
