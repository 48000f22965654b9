"""What the benchmarks with real containers share: an image in the platform's registry, and the docker command beside it."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path
from typing import Any

import boto3

from bench.installation import REGION, Running, scratch_environment
from tests import engines

#: listens to the stop signal, so that taking down is quick
COMMAND = ["sh", "-c", "trap 'exit 0' TERM; sleep 3600 & wait"]


def docker(*arguments: str, environment: dict[str, str] | None = None, given: str | None = None) -> str:
    """What the command printed; raises RuntimeError in its words."""
    done = subprocess.run(["docker", *arguments], env=environment, input=given, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"docker {arguments[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


def push_image(platform: Running, directory: Path) -> str:
    """The name of a small image, pushed to the platform's registry and present in Docker Engine."""
    ecr = boto3.client(
        "ecr",
        endpoint_url=platform.endpoint,
        region_name=REGION,
        aws_access_key_id=platform.credentials.access_key_id,
        aws_secret_access_key=platform.credentials.secret_access_key,
    )
    uri: str = ecr.create_repository(repositoryName="bench")["repository"]["repositoryUri"]
    environment = scratch_environment(directory / "client")
    user, _, password = _token(ecr).partition(":")
    docker("login", "--username", user, "--password-stdin", uri.partition("/")[0], environment=environment, given=password)
    docker("tag", engines.base_image(), f"{uri}:1")
    docker("push", "--quiet", f"{uri}:1", environment=environment)
    return f"{uri}:1"


def _token(ecr: Any) -> str:
    return base64.b64decode(ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]).decode()


def definition(family: str, image: str) -> dict[str, Any]:
    container = {"name": "work", "image": image, "cpu": 1, "memory": 16, "essential": True, "command": COMMAND, "stopTimeout": 5}
    return {"family": family, "containerDefinitions": [container]}
