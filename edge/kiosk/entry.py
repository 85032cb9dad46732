"""The API's operations on people: set-up, log-in, and who may log in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Annotated

from aiohttp import web
from msgspec import Meta

from edge import people, settings
from edge.kiosk.call import Body, Call, answer, done
from edge.kiosk.guard import COOKIE
from edge.kiosk.problems import Problem
from edge.kiosk.sessions import IDLE, Sessions, new_token
from edge.people import Person, Role, SetupCode
from edge.tries import Tries

_Name = Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,32}\Z")]
_Given = Annotated[str, Meta(max_length=200)]
_New = Annotated[str, Meta(min_length=4, max_length=200)]
_SETUP = "the setup code"
"""No person's name, for its tries."""


class _Login(Body, frozen=True):
    name: _Name
    secret: _Given


class _Setup(Body, frozen=True):
    code: Annotated[str, Meta(max_length=40)]
    name: _Name
    secret: _New


class _Renewal(Body, frozen=True):
    secret: _Given
    new: _New


class _Put(Body, frozen=True):
    role: Role
    secret: _New | None = None


@dataclass(slots=True)
class Entry:
    kiosk: settings.Kiosk
    sessions: Sessions
    setup: SetupCode
    now: Callable[[], float]
    _tries: Tries = field(default_factory=Tries)
    _one: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def get_session(self, call: Call) -> web.Response:
        return await self._session(call, call.token, call.person)

    async def log_in(self, call: Call) -> web.Response:
        body = await call.body(_Login)
        found = await self._verified(call, body.name, body.secret)
        token = self.sessions.begin(found[0])
        if await call.read(partial(people.found, name=body.name)) != found:  # changed before there was a session to end
            self.sessions.end(token)
            raise Problem("wrong-secret")
        self.sessions.end(call.token)
        return await self._session(call, token, found[0])

    async def log_out(self, call: Call) -> web.Response:
        self.sessions.end(call.token)
        response = done()
        response.del_cookie(COOKIE, path="/")
        return response

    async def change_secret(self, call: Call) -> web.Response:
        body = await call.body(_Renewal)
        await self._verified(call, call.staff, body.secret)
        hash = await self._hashed(body.new)
        await call.work(lambda batch: people.renew(batch, call.staff, hash))
        self.sessions.end_all(call.staff, but=call.token)
        return done()

    async def set_up(self, call: Call) -> web.Response:
        body = await call.body(_Setup)
        async with self._one:
            self._may_try(_SETUP)
            self._tried(_SETUP, "wrong-code", right=self.setup.fits(body.code))
        hash = await self._hashed(body.secret)
        await call.work(lambda batch: people.first(batch, body.name, hash))
        self.setup.used()
        person = Person(body.name, "manager")
        return await self._session(call, self.sessions.begin(person), person, HTTPStatus.CREATED)

    async def get_people(self, call: Call) -> web.Response:
        return answer({"people": await call.read(people.listed)})

    async def put_person(self, call: Call) -> web.Response:
        name, body = call.path("name"), await call.body(_Put)
        hash = None if body.secret is None else await self._hashed(body.secret)
        new = await call.work(lambda batch: people.put(batch, name, body.role, hash, call.staff))
        return answer(Person(name, body.role), HTTPStatus.CREATED if new else HTTPStatus.OK)

    async def delete_person(self, call: Call) -> web.Response:
        return await call.intent("dismiss", name=call.path("name"))

    async def _verified(self, call: Call, name: str, secret: str) -> tuple[Person, str]:
        """The person and the hash, if the secret is theirs. Nobody learns from it whether there is such a person."""
        async with self._one:  # each takes 19 MiB, and the next is not begun before this one is counted
            self._may_try(name)
            found = await call.read(partial(people.found, name=name))
            right = await asyncio.to_thread(people.verified, found[1] if found else None, secret)
            self._tried(name, "wrong-secret", right=right, known=found is not None)
        assert found
        return found

    async def _hashed(self, secret: str) -> str:
        async with self._one:
            return await asyncio.to_thread(people.hashed, secret)

    def _may_try(self, name: str) -> None:
        if wait := self._tries.wait(name, self.now()):
            raise Problem("wait", wait=wait)

    def _tried(self, name: str, code: str, *, right: bool, known: bool = True) -> None:
        if right:
            self._tries.right(name)
        else:
            self._tries.wrong(name, self.now(), known=known)
            raise Problem(code, wait=self._tries.wait(name, self.now()))

    async def _session(
        self, call: Call, token: str, person: Person | None, status: int = HTTPStatus.OK
    ) -> web.Response:
        """What the page has to know. Whoever has no cookie gets one, or the new one."""
        shop, names = call.shop, [each.name for each in await call.read(people.listed)]
        token = token or new_token()
        response = answer(
            {
                "setup": not names,
                "person": person,
                "people": [] if self.kiosk.lan else names,
                "csrf": self.sessions.csrf(token),
                "store": shop.store.id,
                "gateway": shop.store.gateway,
                "language": shop.store.language,
                "timezone": shop.store.timezone,
                "version": shop.version,
                "desk": self.kiosk.read_point,
                "lock_seconds": int(IDLE),
            },
            status,
        )
        if token != call.token:
            response.set_cookie(COOKIE, token, httponly=True, samesite="Strict", path="/", secure=self.kiosk.secure)
        return response
