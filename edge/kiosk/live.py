"""Stand-in: what all pages are told."""

from __future__ import annotations


class Live:
    def __init__(self, floor: object, status: object, states: object, intents: object) -> None: ...
