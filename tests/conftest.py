"""What every test may ask for: engines (real parts), free ports and names of its own.

`@pytest.mark.engine("docker")` says that a test needs a real part. Without it the test is skipped with the reason on
a laptop, and fails where CI=true, so that nothing is left out there unseen.
"""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Callable

import pytest

from tests import engines

_DOCKER_URL = os.environ.get("DOCKER_HOST") or engines.DOCKER_URL
_IN_CI = os.environ.get("CI", "").lower() in ("1", "true", "yes")
_missing: dict[str, str | None] = {}
_numbers = itertools.count(1)


def _reason_missing(name: str) -> str | None:
    if name not in _missing:
        try:
            engines.require(name, _DOCKER_URL)
            _missing[name] = None
        except engines.EngineMissing as error:
            _missing[name] = str(error)
    return _missing[name]


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("engine"):
        for name in marker.args:
            reason = _reason_missing(name)
            if reason is None:
                continue
            if _IN_CI:
                pytest.fail(f"needs {name}, which CI must have: {reason}", pytrace=False)
            pytest.skip(f"needs {name}: {reason}")


@pytest.fixture(scope="session")
def docker_url() -> str:
    """Where Docker Engine answers: unix:///… or tcp://…"""
    return _DOCKER_URL


@pytest.fixture(scope="session")
def base_image(docker_url: str) -> str:
    """A small image with a shell, httpd, wget, nc, env and sleep, built once per engine. For tests marked engine("docker")."""
    return engines.base_image(docker_url)


@pytest.fixture(scope="session")
def free_port() -> Callable[..., int]:
    """`free_port()` or `free_port("127.0.1.1")`: a TCP port nobody listens on, never the same twice in a run."""
    given: set[int] = set()

    def find(address: str = "127.0.0.1") -> int:
        while True:
            with socket.socket() as probe:
                probe.bind((address, 0))
                port: int = probe.getsockname()[1]
            if port not in given:
                given.add(port)
                return port

    return find


@pytest.fixture
def unique_name() -> Callable[[str], str]:
    """`unique_name("web")` -> web-4711-1: a name no other test, run or process on this machine uses at the same time."""

    def make(prefix: str = "test") -> str:
        return f"{prefix}-{os.getpid()}-{next(_numbers)}"

    return make
