"""`longshore lb trust`: which files it takes, and what it says to do next."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from longshore.cli.client import Platform
from longshore.cli.outcome import Failure
from longshore.cli.trust_files import content_of, put
from tests.services.acm.making import Made
from tests.sweeps.certificates import revocations

NOW = 1_700_000_000.0
CLIENTS = Made("Clients", NOW, authority=True)


class Asked:
    """A platform that notes what it is asked."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, Mapping[str, object]]] = []

    def elbv2(self, operation: str, request: Mapping[str, object], answer: type[Any]) -> Any:
        self.requests.append((operation, request))
        return answer()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (CLIENTS.pem + CLIENTS.key, "private key"),
        (b"nothing", "neither"),
        (b"\x30\x82\xff", "PEM"),
        (None, "cannot be read"),
    ],
)
def test_what_trust_stores_cannot_be_made_of_is_refused_here(tmp_path: Path, content: bytes | None, words: str) -> None:
    file = tmp_path / "clients.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(Failure, match=words):
        content_of(file)


@pytest.mark.parametrize(
    ("content", "next_command"),
    [(CLIENTS.pem, "create-trust-store --name clients "), (revocations(CLIENTS, NOW, 1), "S3Bucket=trust,S3Key=clients.pem")],
)
def test_a_file_is_put_and_the_next_step_told(tmp_path: Path, content: bytes, next_command: str) -> None:
    file = tmp_path / "clients.pem"
    file.write_bytes(content)
    platform = Asked()
    assert next_command in put(cast(Platform, platform), file, "trust", "clients.pem")
    asked = {"Bucket": "trust", "Key": "clients.pem", "Content": content.decode()}
    assert platform.requests == [("LongshorePutTrustStoreFile", asked)]
