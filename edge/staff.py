"""What staff may do: the errors and the note that each action leaves."""

from __future__ import annotations

from typing import Any

from edge.attribution import Attribution
from edge.intake import Batch
from edge.model import Row


class Refused(Exception):
    """It is not done; `code` says why, as the OpenAPI document lists them."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def note(batch: Batch, staff: str, action: str, **about: Any) -> None:
    """Writes that `staff` did `action`: a row that is shown and never sent."""
    batch.write([Row("inside.staff", batch.now, {"staff": staff, "action": action, **about}, live=False)])


def push_again(batch: Batch, seq: int, id: str, staff: str) -> None:
    raise NotImplementedError


def give(batch: Batch, seq: int, id: str, customer: str, staff: str) -> None:
    raise NotImplementedError


def bind(batch: Batch, attribution: Attribution, customer: str, pseudonym: str, staff: str) -> None:
    raise NotImplementedError


def end(batch: Batch, read_point: str, staff: str) -> None:
    raise NotImplementedError
