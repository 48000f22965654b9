"""The walk through a lifecycle policy, as a user would go it: forty images pushed, a preview, and what it named is gone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "examples" / "02-lifecycle" / "demo.sh"
LONGSHORE = Path(sys.executable).with_name("longshore")

pytestmark = [pytest.mark.engine("docker", "haproxy", "aws"), pytest.mark.timeout(300)]


def run(environment: dict[str, str], *command: str | Path) -> str:
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture
def environment(tmp_path: Path, free_port: Callable[..., int], docker_url: str) -> Iterator[dict[str, str]]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "LONGSHORE_"))}
    own = kept | {
        "HOME": str(tmp_path),
        "LONGSHORE_DATA_DIR": str(tmp_path / "data"),
        "LONGSHORE_PORT": str(free_port()),
        "DOCKER_HOST": docker_url,
        "DOCKER_CONFIG": str(tmp_path / "docker"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "COLUMNS": "120",
    }
    yield own
    instances = [path.read_text() for path in tmp_path.glob("data/agents/*/instance-id")]
    subprocess.run([LONGSHORE, "down"], env=own, check=False, capture_output=True)
    for each in instances:
        found = subprocess.run(
            ["docker", "ps", "-aq", "--filter", f"label=longshore.instance={each}"], env=own, check=False, capture_output=True, text=True
        )
        if left := found.stdout.split():
            subprocess.run(["docker", "rm", "--force", "--volumes", *left], env=own, check=False, capture_output=True)


def test_the_walk_ends_where_the_preview_said(environment: dict[str, str]) -> None:
    said = run(environment, DEMO)
    assert "40 images, 6 of them without a tag by now" in said
    assert "Goes now: 23 images" in said
    assert re.search(r"v02 .* task \w{8}, task-definition demo-lifecycle:1", said), "who uses what would go"
    assert "22 images are gone, 18 are left: v02 v09 v10" in said
    assert "they are exactly those that the preview named" in said
    assert re.search(r"image  DELETE  [0-9a-f]{12}( \S+)?  by rule [123]", said)
    assert "manifest unknown" in said

    left = json.loads(run(environment, LONGSHORE, "ecr", "preview", "demo/lifecycle", "--days", "30", "-o", "json"))
    assert (left["summary"]["expiringImageCount"], left["summary"]["keptImageCount"]) == (0, 18)
    (spared,) = [image for image in left["images"] if image["reason"] == "IN_USE"]
    assert spared["imageTags"] == ["v02"]
    assert left["forecast"]["pushRates"]
    events = [json.loads(line) for line in run(environment, LONGSHORE, "ecr", "events", "-n", "200", "-o", "json").splitlines()]
    deleted = [event for event in events if event["detail"]["action-type"] == "DELETE"]
    assert len(deleted) == 22
    assert {event["detail"]["lifecycle-rule-priority"] for event in deleted} == {1, 2, 3}
    assert run(environment, LONGSHORE, "ecr", "settings", "demo/lifecycle").startswith("images in use           are kept")
