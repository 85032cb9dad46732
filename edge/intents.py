"""Stand-in: the signatures of what staff have asked for and may still take back."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge.database import Database
from edge.intake import Batch, Intake


@dataclass(frozen=True, slots=True)
class Intent:
    id: str
    action: str
    staff: str
    left: float
    arguments: Mapping[str, Any]

    def shown(self) -> dict[str, Any]:
        raise NotImplementedError


class Intents:
    def __init__(self, database: Database, intake: Intake) -> None: ...


def put(batch: Batch, action: str, arguments: dict[str, Any], staff: str) -> Intent:
    raise NotImplementedError


def take_back(batch: Batch, id: str, staff: str) -> bool:
    raise NotImplementedError


def pending(connection: sqlite3.Connection, now_elapsed: float) -> list[Intent]:
    raise NotImplementedError
