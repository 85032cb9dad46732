"""The journal and the floor in the page's words, with no more in them than the person before it may see."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from edge import directory, journal
from edge.floor import EMPTY, Floor, Session
from edge.model import Row
from edge.presence import Stays

_SAID = ("gtin", "reason", "driver", "staff", "action", "event", "method", "dwell_seconds")
"""What of a row's data is shown as it is."""


def row(connection: sqlite3.Connection, seq: int | None, row: Row, language: str, *, customers: bool) -> dict[str, Any]:
    """A row as the OpenAPI document's `Row`. `seq`: None in training; `language`: the store's.

    Names are the cache's of now; `customers`: whether it may say who.
    """
    data = row.data
    shown = {
        "seq": seq,
        "id": row.id,
        "kind": row.kind,
        "time": journal.shown_time(row.moment, {} if row.moment.ok else journal.offsets(connection)),
        "read_point": data.get("read_point"),
        **{name: data[name] for name in _SAID if data.get(name) is not None},
        **({"training": True} if seq is None else {}),
    }
    if customers:
        customer = data.get("customer")
        shown |= {"customer": customer, "display": customer and directory.display(connection, customer)}
    if gtin := data.get("gtin"):
        product = data.get("product") or directory.product(connection, gtin) or {}
        shown |= {"product": _name(product, language), "price": product.get("price")}
    return shown


def floor(
    connection: sqlite3.Connection,
    read_points: Iterable[str],
    spots: Floor,
    stays: Stays,
    left: Callable[[Session], float],
    training: Callable[[str], float | None],
    desk: str,
) -> dict[str, Any]:
    """Who holds which read point, as the OpenAPI document's `Floor`, with customers. `left`: seconds of a session."""

    def known(customer: str | None) -> dict[str, Any]:
        return {"customer": customer, "display": customer and directory.display(connection, customer)}

    def session(of: Session) -> dict[str, Any]:
        pseudonym = None if of.customer else of.pseudonym
        return {**known(of.customer), "pseudonym": pseudonym, "left_seconds": round(max(0.0, left(of)), 1)}

    points = []
    for at in sorted({*read_points, *spots, *(stay.read_point for stay in stays.values())}):
        spot = spots.get(at, EMPTY)
        points.append(
            {
                "read_point": at,
                "desk": at == desk,
                "training": None if (seconds := training(at)) is None else round(seconds, 1),
                "waiting": len(spot.held),
                "session": spot.session and session(spot.session),
                "here": [known(customer) for customer, stay in stays.items() if stay.read_point == at],
            }
        )
    return {"read_points": points}


def for_viewers(floor: dict[str, Any]) -> dict[str, Any]:
    """A `Floor` without any shopper: that somebody holds a read point, and until when."""
    nobody = {"customer": None, "display": None, "pseudonym": None}
    points = [
        {**point, "here": [], "session": point["session"] and {**point["session"], **nobody}}
        for point in floor["read_points"]
    ]
    return {**floor, "read_points": points}


def _name(product: Mapping[str, Any], language: str) -> str | None:
    names = product.get("name")
    if not isinstance(names, Mapping):
        return names
    tags = (language, language.partition("-")[0], *names)
    return next((names[tag] for tag in tags if tag in names), None)
