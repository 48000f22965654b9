"""A platform beyond loopback, as an operator starts one: HTTPS, limits, logs and what it says of itself."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.integration.installation import Installation

pytestmark = pytest.mark.engine("haproxy")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[..., int]) -> Iterator[Installation]:
    made = Installation(tmp_path_factory.mktemp("house"), free_port(), host="0.0.0.0")
    made.up("--tls", "--rate-limits", "aws")
    try:
        yield made
    finally:
        made.down()


def test_plain_http_is_refused_before_anything_starts(tmp_path: Path, free_port: Callable[..., int]) -> None:
    made = Installation(tmp_path, free_port(), host="0.0.0.0")
    said = made.longshore("up", "--detach", "--host", "0.0.0.0", "--port", str(made.port), fails=True)
    assert "--insecure" in said and not (made.data / "run" / "state.json").exists()


def test_nothing_stands_open(house: Installation) -> None:
    told = json.loads(house.longshore("status", "-o", "json"))
    assert told["status"] == "running" and told["insecure"] == []
    assert "security          nothing stands open to others (HTTPS; rate limits: aws)" in house.longshore(
        "doctor", "--port", str(house.port)
    )


def test_what_aws_would_refuse_is_refused(house: Installation) -> None:
    ecs = house.client("ecs")
    refused: list[ClientError] = []
    begun = time.monotonic()
    for _ in range(120):
        try:
            ecs.list_clusters()
        except ClientError as error:
            refused.append(error)
    passed = 120 - len(refused)
    assert 50 <= passed <= 50 + 20 * (time.monotonic() - begun) + 1
    assert {error.response["Error"]["Code"] for error in refused} == {"ThrottlingException"}
    headers = refused[0].response["ResponseMetadata"]["HTTPHeaders"]
    assert headers["retry-after"] == "1" and 1 <= int(headers["x-amz-retry-after"]) <= 50


def test_what_is_kept_is_its_owners_alone(house: Installation) -> None:
    assert house.data.stat().st_mode & 0o077 == 0
    for file in (house.data / "logs").iterdir():
        assert file.stat().st_mode & 0o077 == 0, file
