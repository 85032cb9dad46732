"""What a check is: a name, a function, and the checks without which it could tell nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from edge.verify.verdict import Odd, Open, Unseen, Wrong
from edge.verify.visit import Visit

Result = Literal["ok", "bad", "odd", "unseen", "open"]
Look = Callable[[Visit], Awaitable[str]]
"""Returns what was seen that is right. Raises Wrong, Odd, Unseen or Open."""


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    look: Look
    needs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of a check, on one line; `wants` and `answered` are empty unless it is bad."""

    check: str
    result: Result
    text: str
    wants: str = ""
    answered: str = ""


class Checks(list[Check]):
    """The checks of a module, in their order."""

    def __call__(self, name: str, *needs: str) -> Callable[[Look], Look]:
        """Adds a function; it is passed over unless all of `needs` were found right, or odd."""

        def add(look: Look) -> Look:
            self.append(Check(name, look, needs))
            return look

        return add


async def findings(checks: Iterable[Check], visit: Visit) -> AsyncIterator[Finding]:
    """Makes all checks, one after the other."""
    without: dict[str, Finding] = {}
    for each in checks:
        if first := next((without[name] for name in each.needs if name in without), None):
            without[each.name] = first
            result: Result = "unseen" if first.result == "unseen" else "open"
            yield Finding(each.name, result, f"waits for {first.check}")
            continue
        finding = await _made(each, visit)
        if finding.result not in ("ok", "odd"):
            without[each.name] = finding
        yield finding


async def _made(each: Check, visit: Visit) -> Finding:
    try:
        return Finding(each.name, "ok", await each.look(visit))
    except Wrong as wrong:
        return Finding(each.name, "bad", str(wrong), wrong.wants, wrong.answered)
    except Odd as odd:
        return Finding(each.name, "odd", str(odd))
    except Unseen as unseen:
        return Finding(each.name, "unseen", str(unseen))
    except Open as still:
        return Finding(each.name, "open", str(still))
