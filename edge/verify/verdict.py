"""What a check may end in, if not well."""

from __future__ import annotations


class Wrong(Exception):
    """The contract is not kept: what it wants, and what was answered."""

    def __init__(self, wants: str, answered: str) -> None:
        super().__init__(f"wants {wants}; {answered}")
        self.wants, self.answered = wants, answered


class Odd(Exception):
    """A gateway can live with it, but it is not as it should be."""


class Unseen(Exception):
    """It cannot be told from outside; the text says what would help."""


class Open(Exception):
    """It cannot be told yet: the platform has nothing to look at; the text says what it needs."""
