"""Stand-in: the signatures of the search for products and shoppers."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any


def products(connection: sqlite3.Connection, q: str, limit: int = 50) -> list[dict[str, Any]]:
    raise NotImplementedError


def product(connection: sqlite3.Connection, gtin: str) -> dict[str, Any] | None:
    raise NotImplementedError


def shoppers(
    connection: sqlite3.Connection, q: str, there: Mapping[str, Sequence[str]], limit: int = 50
) -> list[dict[str, Any]]:
    raise NotImplementedError


def missing(connection: sqlite3.Connection, now: float) -> list[dict[str, Any]]:
    raise NotImplementedError
