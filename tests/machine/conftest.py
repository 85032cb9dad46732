"""One bare machine, installed once; each story begins where it was ready for the first time."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from machine.image import package
from machine.progress import step
from machine.shop import Shop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


LEFT = r"ignore:Exception ignored in. <ssl\.SSLSocket:pytest.PytestUnraisableExceptionWarning"
"""A handshake that fails, as each does while a broker inside is down, leaves a socket that paho does not close."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let an app try again and again."""
    for item in items:
        item.add_marker(pytest.mark.filterwarnings(LEFT))


@pytest.fixture(scope="session")
def deb() -> Path:
    """The package that is installed."""
    return package()


@pytest.fixture(scope="session")
def installed(deb: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A machine that was set up as docs/install.md says, kept as it was when all was well."""
    with ExitStack() as ended:
        shop = Shop(tmp_path_factory.mktemp("shop"), deb, ended)
        with step("the machine boots"):
            shop.boot()
        with step("a technician sets it up"):
            shop.furnish()
            shop.ready()
            shop.on_time()
            shop.keep()
        yield shop


@pytest.fixture
def shop(installed: Shop, request: pytest.FixtureRequest) -> Iterator[Shop]:
    """The machine as it was then, running."""
    with step(f"{request.node.name}: the machine goes on from when all was well"):
        installed.resume()
        installed.ready()
    yield installed
    installed.leave()


@pytest.fixture
def dark(installed: Shop) -> Iterator[Shop]:
    """The machine with the disks that it had then, switched off."""
    installed.reset()
    yield installed
    installed.leave()
