"""One request of the page, as a handler of the API sees it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from edge import intents, staff
from edge.batch import Batch
from edge.kiosk.guard import COOKIE, PERSON
from edge.kiosk.problems import Problem
from edge.kiosk.shop import Shop
from edge.people import Person

LARGEST = 65_536
"""Bytes of a body."""
_QUERY, _NAME = 100, 200
_T = TypeVar("_T")


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a request may carry; its fields are all there may be."""


@dataclass(frozen=True, slots=True)
class Call:
    """The guard has let it in. `person`: who is logged in."""

    request: web.Request
    shop: Shop

    @property
    def person(self) -> Person | None:
        return self.request.get(PERSON)

    @property
    def staff(self) -> str:
        """The name that stands in events."""
        return self.request[PERSON].name

    @property
    def token(self) -> str:
        return self.request.cookies.get(COOKIE, "")

    def path(self, name: str) -> str:
        """A part of the path. Raises Problem for one that is too long to be anything's name."""
        if len(part := self.request.match_info[name]) > _NAME:
            raise Problem("not-found")
        return part

    @property
    def query(self) -> str:
        """What is searched for."""
        text = self.request.query.get("q", "")
        if len(text) > _QUERY:
            raise Problem("bad-request", f"q: {_QUERY} characters at most")
        return text

    @property
    def elapsed(self) -> float:
        """Now, on the clock that runs on across boots."""
        return self.shop.intake.journal.elapsed(self.shop.intake.clock.instant())

    async def body(self, kind: type[_T]) -> _T:
        """The body as a `kind`. Raises Problem, with the path of what is wrong."""
        if self.request.content_type != "application/json" or "Content-Encoding" in self.request.headers:
            raise Problem("media-type")
        try:
            return msgspec.json.decode(await self.request.read(), type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise Problem("bad-request", str(error)) from None
        except web.RequestPayloadError:
            raise Problem("bad-request", "the body ends early") from None

    async def read(self, look: Callable[[sqlite3.Connection], _T]) -> _T:
        """What `look` finds in what is committed, in a thread with a reader of its own."""

        def work() -> _T:
            with closing(self.shop.database.reader()) as connection:
                return look(connection)

        return await asyncio.to_thread(work)

    async def work(self, work: Callable[[Batch], _T]) -> _T:
        """Its result, when it is committed. Raises Full; and Refused, which `work` may raise before it writes."""
        return await staff.ask(self.shop.intake, work)

    async def note(self, action: str, **about: Any) -> None:
        """Leaves in the journal that it was done, and by whom."""
        await self.work(lambda batch: staff.note(batch, self.staff, action, **about))

    async def intent(self, action: str, **arguments: Any) -> web.Response:
        """Answers that it will be done in 10 s."""
        intent = await self.work(lambda batch: intents.put(batch, action, arguments, self.staff))
        return answer(intent.shown(), HTTPStatus.ACCEPTED)


def answer(value: object, status: int = HTTPStatus.OK) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")


def done() -> web.Response:
    return web.Response(status=HTTPStatus.NO_CONTENT)
