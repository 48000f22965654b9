"""A service broken in every way a demo can think of, as a user would watch it: no request fails, and everything says why."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "examples" / "03-staying-up" / "demo.sh"

pytestmark = [pytest.mark.engine("docker", "haproxy", "aws", "curl"), pytest.mark.timeout(300)]


def test_nobody_notices_what_goes_wrong(tmp_path: Path, free_port: Callable[..., int], docker_url: str) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "LONGSHORE_"))}
    own = kept | {
        "HOME": str(tmp_path),
        "PORT": str(free_port()),
        "LISTENER_PORT": str(free_port()),
        "DOCKER_HOST": docker_url,
        "DOCKER_CONFIG": str(tmp_path / "docker"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "COLUMNS": "120",
    }
    done = subprocess.run(
        [DEMO], env=own, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=280
    )
    said = done.stdout
    assert done.returncode == 0, said
    assert said.count("requests through the load balancer, 0 of them failed") == 3, said
    assert "has begun draining connections on 1 tasks" in said, "the drained instance's task leaves its load balancer first"
    assert "| cannot reach database db.internal:5432: no such host" in said, "the container's own last lines"
    assert "web runs web:1 again" in said
    assert "has insufficient memory available." in said
    assert ": index.cgi" in said, "a command in a container"
