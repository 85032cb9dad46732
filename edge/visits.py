"""Stand-in: the signatures of what is known of a shopper's visit."""

from __future__ import annotations

import sqlite3
from typing import Any


def shopper(connection: sqlite3.Connection, id: str, cursor: int | None, now: float) -> dict[str, Any] | None:
    raise NotImplementedError


def unclaimed(connection: sqlite3.Connection, now: float, language: str = "") -> list[dict[str, Any]]:
    raise NotImplementedError


def export(connection: sqlite3.Connection, id: str, exported: str) -> dict[str, Any] | None:
    raise NotImplementedError
