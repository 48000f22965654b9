"""`longshore iam revoke-sessions` and `revocations`, asked of a platform over its wire."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from longshore.cli.iam import app
from tests.gateway.place import ROLE, Place, furnished
from tests.sweeps.installation import OWNER, REGION, ROOT


@pytest.fixture
async def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Place]:
    async with furnished() as place, place.there.over_http():
        place.there.clock._now = time.time()
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{place.there.port}",
            "AWS_ACCESS_KEY_ID": ROOT.access_key_id,
            "AWS_SECRET_ACCESS_KEY": ROOT.secret,
            "AWS_REGION": REGION,
            "LONGSHORE_DATA_DIR": str(tmp_path),
        }.items():
            monkeypatch.setenv(name, value)
        yield place


async def said(*arguments: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, app, list(arguments))


async def test_sessions_of_a_role_are_ended_and_shown(place: Place) -> None:
    session = await place.assume()
    assert "No sessions have been ended." in (await said("revocations")).output
    done = await said("revoke-sessions", "--role", "deploy")
    assert done.exit_code == 0, done.output
    assert f"Sessions of {ROLE} that began before" in done.output and "within a minute" in done.output
    assert (await place.ask("sts", "GetCallerIdentity", session)).code == "ExpiredToken"
    listed = json.loads((await said("revocations", "-o", "json")).output)
    assert [each["Subject"] for each in listed["Revocations"]] == [ROLE]
    assert "deploy" in (await said("revocations")).output


async def test_of_a_user_or_a_key_and_from_before_a_time_only(place: Place) -> None:
    done = await said("revoke-sessions", "--user", "ann", "--issued-before", "1h", "-o", "json")
    revocation = json.loads(done.output)["Revocation"]
    assert revocation["Subject"] == f"arn:aws:iam::{OWNER}:user/ann"
    assert 3590 < place.there.clock.now() - revocation["IssuedBefore"] < 3610
    assert (await said("revoke-sessions", "--key", place.ann.access_key_id)).exit_code == 0


@pytest.mark.parametrize(
    "arguments", [(), ("--role", "a", "--user", "b"), ("--role", "none"), ("--role", "deploy", "--issued-before", "soon")]
)
async def test_what_makes_no_sense_is_refused(place: Place, arguments: tuple[str, ...]) -> None:
    assert (await said("revoke-sessions", *arguments)).exit_code != 0
