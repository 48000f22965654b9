"""What `longshore balancer` wants to know before it asks the platform to be let in."""

from __future__ import annotations

from pathlib import Path

import pytest

from longshore.cli.balancer import host_config
from longshore.cli.outcome import ExitCode, Failure
from longshore.environment import environment

ENDPOINT = "http://127.0.0.1:4566"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}


@pytest.mark.parametrize("address", ["", "10.0.0.6", "fd00::6"])
def test_a_host_serves_at_an_address_or_nowhere(address: str, tmp_path: Path) -> None:
    config = host_config(environment(KEYS), tmp_path, ENDPOINT, address, "edge-1", None)
    assert (config.address, config.host_id) == (address, "edge-1")


@pytest.mark.parametrize(
    ("endpoint", "address", "name", "words"),
    [
        ("", "", "edge", "no platform is named"),
        ("somewhere", None, "edge", "is no endpoint"),
        (ENDPOINT, "edge.example", "edge", "is no address"),
        (ENDPOINT, "", "edge 1/2", "is no name of a balancer host"),
        (ENDPOINT, "", "e" * 65, "is no name of a balancer host"),
    ],
)
def test_what_the_platform_would_not_take_is_said_here(endpoint: str, address: str | None, name: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(Failure, match=words) as raised:
        host_config(environment(KEYS), tmp_path, endpoint, address, name, None)
    assert raised.value.code is ExitCode.USAGE


def test_nobody_is_let_in_without_a_key(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="nothing to be let in with"):
        host_config(environment({}), tmp_path, ENDPOINT, "", "edge", None)
