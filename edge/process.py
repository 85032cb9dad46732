"""The daemon as a process: what a signal does to it, and how it begins anew without ending."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from edge import journald, notify
from edge.database import Broken

_ENDS = (signal.SIGTERM, signal.SIGINT)


def run(arguments: argparse.Namespace) -> int:
    """The daemon."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # until it runs there is nothing to stop
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDS)
    logging.basicConfig(level=logging.INFO, handlers=[journald.handler()])
    from edge import daemon, plan, standing

    os.umask(0o077)
    try:
        with standing.started(arguments.config) as (made, state):
            again = asyncio.run(_until_ended(partial(daemon.run, made, state)))
    except plan.CannotStart as error:
        print(f"cartwire: {error}", file=sys.stderr)
        return 2
    except Broken as error:
        print(f"cartwire: the disk failed ({error}); start again, which checks the journal", file=sys.stderr)
        os._exit(1)  # an ordinary end would close the database, and so touch it once more
    return _start_again() if again else 0


async def _until_ended(daemon: Callable[[Callable[[], None]], Coroutine[Any, Any, None]]) -> bool:
    """The first signal ends it, more change nothing; it may ask to be ended. Whether it is to be started again."""
    loop, stopped, asked = asyncio.get_running_loop(), False, False

    def end() -> None:
        if not task.cancelling():  # a second time it would cut off what it does at its end
            task.cancel()

    def restart() -> None:
        nonlocal asked
        asked = True
        notify.tell("STATUS=starts anew")
        end()

    def stop(*_: object) -> None:
        nonlocal stopped
        stopped = True
        for name in _ENDS:
            signal.signal(name, signal.SIG_IGN)
        notify.tell("STOPPING=1", "STATUS=stops")
        loop.call_soon_threadsafe(end)

    task = asyncio.ensure_future(daemon(restart))
    for name in _ENDS:
        signal.signal(name, stop)
    try:
        await task
    except asyncio.CancelledError:
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)  # one that comes from now on is the next start's
        logging.getLogger(__name__).info("stopped")
    return asked and not stopped


def _start_again() -> int:
    """The same process begins anew: systemd sees no end, waits no RestartSec, and at a terminal it works as well."""
    sys.stdout.flush()
    try:
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  # our own call again
    except OSError as error:  # an upgrade has taken it away; whoever has started us does it again
        print(f"cartwire: {sys.executable} cannot be started again: {error.strerror}", file=sys.stderr)
    return 1
