"""The remote configuration of a running daemon: what comes is judged, put on trial by a new start, kept or put back.

There is no half-changed daemon: what is in force was read at the start, and another one begins with another start.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import sys
from asyncio.subprocess import PIPE
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from edge import adopted, settings
from edge.adopted import Adopted, Refusal, State, Verdict
from edge.ports import Unavailable

log = logging.getLogger(__name__)

JUDGED = 120.0
"""Seconds in which a document is judged; a Pi at work loads libraries slowly."""
AGAIN = 10.0
"""Seconds until a disk that refused is tried again."""
_SAID = 200
"""Characters of a reason that are told."""


class Remote:
    """`restart` has the daemon end cleanly and start anew. `ailing`: what is wrong now, and why, by its name."""

    def __init__(self, path: Path, config: settings.Settings, state: State, restart: Callable[[], None]) -> None:
        assert config.remote
        self.ailing: Callable[[], dict[str, str]] = dict
        self.state = state
        self._path = path
        self._data = config.store.data
        self._trial = float(config.remote.trial)
        self._restart = restart
        self._doubtful = state.refused
        self._seen = b""
        self._settled = asyncio.Event()

    async def run(self) -> None:
        """Judges what is on trial, once, by what is wrong that was not wrong before it."""
        if self.state.trial:
            await asyncio.sleep(self._trial)
            await self._end(self.state.trial)
        self._settled.set()

    async def offered(self, jws: bytes) -> None:
        """A document that the platform has for us; returns when it was judged. Raises Unavailable: later, perhaps."""
        await self._settled.wait()
        seen = hashlib.sha256(jws).digest()
        if seen == self._seen:
            return
        usable, refused = await self._judged(jws)
        self._seen = seen
        if usable:
            log.info("remote configuration %d comes on trial: a new start", usable.document.version)
            await self._keep(self.state.tried(usable, tuple(self.ailing())))
            self._restart()
        elif refused:
            log.error("a remote configuration is refused: %s", refused.reason)
            self._doubtful = refused
            if refused.version:
                await self._keep(self.state.refusing(refused))
            await asyncio.sleep(self._trial)  # whoever sends rubbish does not have us judge it all day
        else:  # what was rubbish on the way, say a guest network's page, is what we know by now
            self._doubtful = self.state.refused

    def told(self) -> str:
        """What the platform is told with each request: a dictionary after RFC 9651."""
        state, refused = self.state, self._doubtful
        parts = [f"applied={state.applied.document.version if state.applied else 0}"]
        parts += [f"trial={state.trial.document.version}"] if state.trial else []
        if refused:
            version = f";version={refused.version}" if refused.version else ""
            parts.append(f'refused{version};reason="{_quoted(refused.reason)}"')
        return ", ".join(parts)

    def report(self) -> dict[str, Any]:
        """Versions for `status --json`: the one that was kept, the one on trial, the last that is refused, and why."""
        state, refused = self.state, self._doubtful
        return {
            "version": state.applied.document.version if state.applied else None,
            "trial": state.trial.document.version if state.trial else None,
            "refused": {"version": refused.version, "reason": refused.reason} if refused else None,
        }

    async def _end(self, trial: Adopted) -> None:
        version = trial.document.version
        worse = [f"{name}: {why}" for name, why in self.ailing().items() if name not in self.state.ailing]
        if not worse:
            await self._keep(self.state.kept())
            self._doubtful = None
            log.info("remote configuration %d is kept", version)
            return
        log.error("remote configuration %d is put back: %s", version, "; ".join(worse))
        await self._keep(self.state.without(trial, "; ".join(worse)))
        self._restart()
        await asyncio.Event().wait()  # the end comes from there

    async def _judged(self, jws: bytes) -> tuple[Adopted | None, Refusal | None]:
        command = (sys.executable, "-P", "-m", "edge.candidate", str(self._path), str(self.state.newest))
        try:
            process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=PIPE)
        except OSError as error:  # no memory, no descriptors, or an upgrade has taken the program away
            raise Unavailable(f"a remote configuration could not be judged: {error.strerror}") from None
        try:
            async with asyncio.timeout(JUDGED):
                output, errors = await process.communicate(jws)
        except TimeoutError:
            raise Unavailable(f"a remote configuration could not be judged in {JUDGED:.0f} s") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            last = (errors.decode(errors="replace").strip().splitlines() or ["no reason given"])[-1]
            raise Unavailable(f"a remote configuration could not be judged: {last}")
        try:
            verdict = msgspec.json.decode(output, type=Verdict)
        except (msgspec.MsgspecError, UnicodeDecodeError):  # a library has something to say of its own
            raise Unavailable("a remote configuration could not be judged: the verdict cannot be read") from None
        return verdict.usable, verdict.refused

    async def _keep(self, state: State) -> None:
        """On the disk, as soon as it takes it."""
        said = False
        while True:
            try:
                await asyncio.to_thread(adopted.save, self._data, state)
                break
            except OSError as error:
                if not said:
                    log.error("%s cannot be written: %s", self._data / adopted.FILE, error.strerror)
                said = True
                await asyncio.sleep(AGAIN)
        self.state = state


def _quoted(text: str) -> str:
    """Inside a string of a structured field: printable ASCII, `\\` and `"` escaped."""
    ascii = "".join(sign if " " <= sign <= "~" else "?" for sign in text[:_SAID])
    return ascii.replace("\\", r"\\").replace('"', r"\"")
