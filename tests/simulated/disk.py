"""The writer's thread and its disk: work is done at once, may find no room, and may be the last."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


class Writer(ThreadPoolExecutor):
    """Does the work at once; from a death `before` or `after` it on nobody hears of it."""

    death = ""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()
        if self.death == "before":
            return future
        try:
            result = fn(*args, **kwargs)
        except BaseException as error:
            future.set_exception(error)
        else:
            if not self.death:
                future.set_result(result)
        return future


class Disk:
    """The writer's connection. `then` is done when the transaction is committed, and forgotten when it is not."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.full = False
        self.then: list[Callable[[], object]] = []
        self._connection = connection
        self._changes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        if sql.startswith("BEGIN"):
            self.then, self._changes = [], self._connection.total_changes
        if sql == "COMMIT" and self.full and self._connection.total_changes != self._changes:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode, error.sqlite_errorname = sqlite3.SQLITE_FULL, "SQLITE_FULL"
            raise error
        done = self._connection.execute(sql, *values)
        if sql == "COMMIT":
            for work in self.then:
                work()
        return done
