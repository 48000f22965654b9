"""One load balancer in front of two services and a server of one's own, as a user would watch it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "examples" / "04-load-balancing" / "demo.sh"

pytestmark = [pytest.mark.engine("docker", "haproxy", "aws", "curl"), pytest.mark.timeout(300)]


def test_one_load_balancer_serves_them_all(tmp_path: Path, free_port: Callable[..., int], docker_url: str) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "LONGSHORE_"))}
    ports = {name: str(free_port()) for name in ("PORT", "LISTENER_PORT", "PLAIN_PORT", "ECHO_PORT", "CLASSIC_PORT")}
    own = (
        kept
        | ports
        | {
            "HOME": str(tmp_path),
            "DOCKER_HOST": docker_url,
            "DOCKER_CONFIG": str(tmp_path / "docker"),
            "AWS_EC2_METADATA_DISABLED": "true",
            "COLUMNS": "120",
        }
    )
    done = subprocess.run(
        [DEMO], env=own, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=280
    )
    said = done.stdout
    assert done.returncode == 0, said
    for service in ("api", "mobile"):
        assert f'{{"service": "{service}"' in said, said
    assert "HTTP/2, status 200, certificate verified: 0" in said
    assert "you come from 127.0.0.1 by https" in said and "you said again" in said
    assert "path-pattern matches /mobile/*" in said, "why a request goes where it goes"
    assert "Health checks failed with these codes: [503]" in said
    assert "requests meanwhile, 0 of them failed" in said
    assert "0 in the way; nothing was created" in said, "what would become of a Classic load balancer"
