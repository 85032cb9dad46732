"""What may be asked of the daemon through its socket, and what is answered to anything else."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import TYPE_CHECKING

import pytest

from edge import control

if TYPE_CHECKING:
    from pathlib import Path


async def status() -> dict[str, str]:
    return {"state": "well"}


async def rejected(what: str, *ids: str) -> dict[str, object]:
    return {"what": what, "ids": ids}


def asked(folder: Path, question: bytes) -> object:
    """Ask with these bytes; None if the socket is closed without an answer."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(str(folder / control.FILE))
        connection.sendall(question)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.makefile().read()
    return json.loads(answer) if answer else None


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (b'["status"]\n', {"state": "well"}),
        (b'["rejected","retry","1","2"]\n', {"what": "retry", "ids": ["1", "2"]}),
        *(
            (question, {"error": "cannot be asked"})
            for question in (
                *(
                    b'["status","more"]\n',
                    b'["rejected"]\n',
                    b'["other"]\n',
                    b"[]\n",
                    b'"status"\n',
                    b"[7]\n",
                    b"\xff\n",
                ),
                *(b"", b"[" * 100_000, b'["' + b"x" * 2_000_000),
            )
        ),
    ],
)
async def test_every_question_has_an_answer(question: bytes, answer: object, tmp_path: Path) -> None:
    async with control.serve(tmp_path, {"status": status, "rejected": rejected}):
        try:
            assert await asyncio.to_thread(asked, tmp_path, question) == answer
        except (BrokenPipeError, ConnectionResetError):
            assert len(question) > 1_000_000
