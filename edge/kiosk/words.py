"""Stand-in: what the page is told, in its words."""

from __future__ import annotations

from typing import Any


def for_viewers(floor: dict[str, Any]) -> dict[str, Any]:
    """The floor without any shopper: that somebody holds a read point, and until when."""
    nobody = {"customer": None, "display": None, "pseudonym": None}
    points = [
        {**point, "here": [], "session": point["session"] and {**point["session"], **nobody}}
        for point in floor["read_points"]
    ]
    return {**floor, "read_points": points}
