"""The stream of the staff's page as any client of Server-Sent Events reads it."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any

from peers.process import until
from peers.staff import schema_misfit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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
    """The Server-Sent Events, read in a thread until the gateway ends them or `close`."""

    def __init__(self, staff: Staff, last: str | None = None) -> None:
        """Connect; fails if it is refused."""
        self.messages: list[Message] = []
        self.problems: list[str] = []
        self._connection = HTTPConnection("127.0.0.1", staff.port, timeout=30)
        head = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last else {})
        self._connection.request("GET", "/api/events", headers={"Cookie": staff.cookie, **head})
        self._answer = self._connection.getresponse()
        assert self._answer.status == 200, f"{self._answer.status} {self._answer.read()[:500]!r}"
        kind = self._answer.getheader("Content-Type", "")
        assert kind.partition(";")[0] == "text/event-stream", kind
        self._thread = threading.Thread(target=self._read, name="stream", daemon=True)
        self._thread.start()

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
    def last(self) -> str | None:
        """The id of the last row, for another stream to go on after it."""
        return next((message.id for message in reversed(self.messages) if message.id), None)

    def of(self, *events: str) -> list[Any]:
        """Return the data of these messages."""
        return [message.data for message in list(self.messages) if message.event in events]

    def wait(self, event: str, seconds: float = 10.0) -> Any:
        """Wait for the first message of this name; return its data."""
        return until(lambda: self.of(event), lambda: f"{event} among {self.messages[-5:]}", seconds)[0]

    def close(self) -> None:
        """Hang up."""
        if sock := self._connection.sock:
            sock.shutdown(2)
        self._thread.join(5)
        self._connection.close()

    def _read(self) -> None:
        try:
            for message in parsed(line.decode().rstrip("\r\n") for line in self._answer):
                schema = SCHEMAS.get(message.event)
                wrong = schema_misfit(message.data, schema) if schema else ""
                if wrong:
                    self.problems.append(f"{message.event}: {wrong}")
                self.messages.append(message)
        except (OSError, HTTPException, AttributeError, ValueError) as end:  # hung up on either side
            self.problems += [f"{end!r}"] if isinstance(end, json.JSONDecodeError) else []


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
