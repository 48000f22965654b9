"""What `doctor` finds on machines that lack something."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from longshore.cli.doctor import Finding, examine
from longshore.cli.machine import Unusable, haproxy_version
from longshore.cli.outcome import ExitCode
from tests.cli.conftest import Home


def _found(home: Home) -> dict[str, Finding]:
    return {finding.name: finding for finding in examine(home.environment, home.data, "127.0.0.1", home.port)}


def test_whatever_is_missing_comes_with_its_remedy(home: Home) -> None:
    home.variables["LONGSHORE_DOCKER_URL"] = f"unix://{home.path}/nothing.sock"
    home.variables["LONGSHORE_HAPROXY"] = "haproxy-that-is-not-there"
    with socket.create_server(("127.0.0.1", home.port)):
        found = _found(home)
    for name in ("Docker Engine", "HAProxy", "gateway port"):
        assert found[name].verdict == "missing", found[name]
        assert found[name].fix
    assert all(finding.fix for finding in found.values() if finding.verdict != "ok")


def test_an_engine_that_is_no_engine_is_not_taken_for_one(home: Home) -> None:
    home.variables["LONGSHORE_DOCKER_URL"] = "ssh://elsewhere"
    assert _found(home)["Docker Engine"].verdict == "missing"


@pytest.mark.parametrize(
    ("said", "version"),
    [("HAProxy version 2.6.12-1+deb12u4 2026/01/01", "2.6.12"), ("HA-Proxy version 2.2.9-2 2021/01/01", None), ("sh: no", None)],
)
def test_an_haproxy_too_old_is_refused(tmp_path: Path, said: str, version: str | None) -> None:
    program = tmp_path / "haproxy"
    program.write_text(f"#!/bin/sh\necho '{said}'\n")
    program.chmod(0o755)
    if version is None:
        with pytest.raises(Unusable):
            haproxy_version(str(program))
    else:
        assert haproxy_version(str(program)) == version


def test_the_command_ends_with_the_code_for_a_missing_part(home: Home) -> None:
    home.variables["LONGSHORE_HAPROXY"] = "haproxy-that-is-not-there"
    done = home.longshore("doctor", "-o", "json", "--port", str(home.port))
    assert done.returncode == ExitCode.MISSING_PART
    assert {finding["name"]: finding["verdict"] for finding in json.loads(done.stdout)}["HAProxy"] == "missing"
    assert "✗ HAProxy" in home.longshore("doctor", "--port", str(home.port)).stdout
