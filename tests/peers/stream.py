"""The stream of the staff's page as any client of Server-Sent Events reads it."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, Self

from peers.staff import schema_misfit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from http.client import HTTPResponse

    from peers.staff import Staff

SCHEMAS = {"row": "Row", "floor": "Floor", "status": "Status", "desk": "Desk"}
"""Of what the stream says; the other messages have none."""


@dataclass(frozen=True)
class Message:
    """One message of the stream."""

    event: str
    id: str | None
    data: Any


class Stream:
    """The Server-Sent Events, read in a thread until the gateway ends them or `close`; opened again it goes on."""

    def __init__(self, staff: Staff, last: str = "", **headers: str) -> None:
        """Nothing is heard before `open`; `last`: after which row to begin."""
        self.messages: list[Message] = []
        self.last = last
        """The id of the last row."""
        self.status = 0
        self._staff, self._headers = staff, headers
        self._broken: list[str] = []
        self._connection = staff.connection()
        self._thread = threading.Thread()

    def open(self) -> Self:
        """Connect; `status` is what the gateway says to that."""
        head = {"Accept": "text/event-stream", "Cookie": self._staff.cookie, **self._headers}
        if self.last:
            head["Last-Event-ID"] = self.last
        self._connection = self._staff.connection()
        self._connection.request("GET", "/api/events", headers=head)
        answer = self._connection.getresponse()
        self.status = answer.status
        if answer.status == 200:
            kind = answer.getheader("Content-Type", "")
            assert kind.partition(";")[0] == "text/event-stream", kind
            self._thread = threading.Thread(target=self._read, args=(answer,), name="stream", daemon=True)
            self._thread.start()
        return self

    @property
    def ended(self) -> bool:
        """Whether nothing more comes."""
        return not self._thread.is_alive()

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows that a page would have now: those since the last `reset`."""
        messages = list(self.messages)
        resets = [number for number, message in enumerate(messages) if message.event == "reset"]
        return [message.data for message in messages[resets[-1] if resets else 0 :] if message.event == "row"]

    @property
    def resets(self) -> int:
        """How often it had to begin anew."""
        return len(self.of("reset"))

    @property
    def problems(self) -> list[str]:
        """What was found against the document in all that was heard."""
        return self._broken + [wrong for message in list(self.messages) if (wrong := unfit_message(message))]

    def of(self, *events: str) -> list[Any]:
        """Return the data of these messages."""
        return [message.data for message in list(self.messages) if message.event in events]

    def close(self) -> None:
        """Hang up."""
        if sock := self._connection.sock:
            with suppress(OSError):  # the gateway was first
                sock.shutdown(socket.SHUT_RDWR)
        if self._thread.ident:
            self._thread.join(5)
        self._connection.close()

    def _read(self, answer: HTTPResponse) -> None:
        try:
            for message in parsed(line.decode().rstrip("\r\n") for line in answer):
                self.messages.append(message)
                self.last = message.id or self.last
        except (OSError, HTTPException, AttributeError, ValueError) as end:  # hung up on either side
            self._broken += [f"{end!r}"] if isinstance(end, json.JSONDecodeError) else []


def unfit_message(message: Message) -> str:
    """Say in what a message is not one of the document; empty if it is."""
    if message.event == "row" and (message.id is None) != (message.data["seq"] is None):
        return f"row: {message.data['seq']} with the id {message.id}"
    schema = SCHEMAS.get(message.event)
    wrong = schema_misfit(message.data, schema) if schema else ""
    return f"{message.event}: {wrong}" if wrong else ""


def parsed(lines: Iterable[str]) -> Iterator[Message]:
    """Yield the messages of a stream of Server-Sent Events; a comment is none."""
    event, id, data = "message", None, list[str]()
    for line in lines:
        if line == "":
            if data:
                yield Message(event, id, json.loads("\n".join(data)))
            event, id, data = "message", None, []
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            event = value
        elif name == "id":
            id = value
        elif name == "data":
            data.append(value)
