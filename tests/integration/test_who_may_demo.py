"""Two accounts and a repository, a deployer's least privilege and the end of its sessions, as a user would watch them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "examples" / "05-who-may" / "demo.sh"

pytestmark = [pytest.mark.engine("docker", "haproxy", "aws"), pytest.mark.timeout(200)]


def test_who_may_do_what_and_who_did(tmp_path: Path, free_port: Callable[..., int], docker_url: str) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "LONGSHORE_"))}
    own = kept | {
        "PORT": str(free_port()),
        "HOME": str(tmp_path),
        "DOCKER_HOST": docker_url,
        "AWS_EC2_METADATA_DISABLED": "true",
        "COLUMNS": "160",
    }
    done = subprocess.run(
        [DEMO], env=own, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=180
    )
    said = done.stdout
    assert done.returncode == 0, said
    assert "ALLOWED  root of 222222222222 may ecr:BatchGetImage" in said
    assert "DENIED  root of 222222222222 may not ecr:PutImage" in said
    assert "nothing would have been denied (3 calls of role/deployer" in said, "the least policy is enough"
    assert "would have been denied (3 calls" in said and "ecs:DescribeServices  service/default/web" in said, "and less is not"
    assert said.rstrip().endswith("whole"), said
