"""Which configuration is in force: the machine's own file, and over it the remote one that is on trial or was kept.

What cannot be used any more steps back to the one before it, in the end to the file alone. If not even that is sound,
what lies over it is not to blame: nothing is written down then.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from edge import adopted, plan, settings
from edge.adopted import Adopted, State
from edge.document import Document, Refused
from edge.plan import CannotStart, Plan
from edge.settings import Settings, SettingsError

log = logging.getLogger(__name__)

STARTS = 3
"""How often one on trial is started: a power cut or two are no fault of it."""


@contextmanager
def started(path: Path) -> Iterator[tuple[Plan, State]]:
    """What a daemon is to run, in a data folder that is its own meanwhile; a start on trial is counted.

    Raises CannotStart.
    """
    config = _own(path)
    if config.remote is None:
        made = plan.make(path)
        with plan.locked(path, config.store.data):
            yield made, State()
        return
    with plan.locked(path, config.store.data):
        yield _counted(path, config)


def looked_at(path: Path) -> tuple[Plan, State]:
    """The same for who only looks. Raises CannotStart."""
    config = _own(path)
    return _chosen(path, config, _state(path, config)) if config.remote else (plan.make(path), State())


def fits(document: Document, config: Settings) -> None:
    """Whether it is for this gateway. Raises Refused."""
    whose, ours = (document.store, document.gateway), (config.store.id, config.store.gateway)
    if whose != ours:
        raise Refused(f"is for {'/'.join(whose)}, and this is {'/'.join(ours)}")


def _counted(path: Path, config: Settings) -> tuple[Plan, State]:
    known = state = _state(path, config)
    if state.trial and state.starts >= STARTS:
        state = _without(state, state.trial, f"the daemon ended {STARTS} times while it was on trial")
    made, state = _chosen(path, config, state)
    if trial := state.trial:
        state = msgspec.structs.replace(state, starts=state.starts + 1)
        log.info("remote configuration %d is on trial", trial.document.version)
    if state != known:
        try:
            adopted.save(config.store.data, state)
        except OSError as error:
            log.error("%s cannot be written: %s", config.store.data / adopted.FILE, error.strerror)
            if trial:  # without a count it could be started for ever
                return _chosen(path, config, msgspec.structs.replace(state, trial=None))
    return made, state


def _chosen(path: Path, config: Settings, state: State) -> tuple[Plan, State]:
    while candidate := state.in_force:
        try:
            _believed(candidate, config)
            return plan.make(path, candidate.document), state
        except (CannotStart, Refused) as error:
            state = _without(state, candidate, str(error).removeprefix(f"{path}: "))
    return plan.make(path), state


def _believed(candidate: Adopted, config: Settings) -> None:
    assert config.remote
    fits(candidate.document, config)
    if candidate.key not in map(adopted.fingerprint, config.remote.keys):
        raise Refused("the key that has signed it is not in key_file any more")


def _without(state: State, candidate: Adopted, reason: str) -> State:
    log.error("remote configuration %d is not used: %s", candidate.document.version, reason)
    return state.without(candidate, reason)


def _own(path: Path) -> Settings:
    try:
        return settings.load(path)
    except SettingsError as error:
        raise CannotStart(str(error)) from None


def _state(path: Path, config: Settings) -> State:
    try:
        return adopted.load(config.store.data)
    except OSError as error:
        where = f"{path}: [store] data: {config.store.data / adopted.FILE}"
        raise CannotStart(f"{where} cannot be read ({error.strerror}); use the daemon's user") from None
