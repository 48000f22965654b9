"""Account settings, and principals whose pulls are not noted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from longshore.services.call import Principal
from longshore.services.ecr.settings.model import identity_of
from tests.registry.contents import CONFIG, LAYER, manifest
from tests.services.ecr.conftest import ACCOUNT, ALICE, Ecr

ROLE = f"arn:aws:iam::{ACCOUNT}:role/ci/puller"


async def test_a_setting_has_its_default_until_it_is_put(ecr: Ecr) -> None:
    for name, default, other in (
        ("BASIC_SCAN_TYPE_VERSION", "AWS_NATIVE", "CLAIR"),
        ("REGISTRY_POLICY_SCOPE", "V2", "V1"),
        ("BLOB_MOUNTING", "ENABLED", "DISABLED"),
    ):
        assert await ecr("GetAccountSetting", name=name) == {"name": name, "value": default}
        assert await ecr("PutAccountSetting", name=name, value=other) == {"name": name, "value": other}
        assert (await ecr("GetAccountSetting", name=name))["value"] == other
        assert (await ecr.in_region("eu-west-1")("GetAccountSetting", name=name))["value"] == default


async def test_settings_and_values_that_do_not_exist_are_refused(ecr: Ecr) -> None:
    assert (await ecr.refused("GetAccountSetting", name="COLOUR"))[0] == "InvalidParameterException"
    assert (await ecr.refused("PutAccountSetting", name="COLOUR", value="RED"))[0] == "InvalidParameterException"
    code, message = await ecr.refused("PutAccountSetting", name="BLOB_MOUNTING", value="V1")
    assert code == "InvalidParameterException"
    assert "[DISABLED, ENABLED]" in message


async def test_exclusions_are_registered_listed_and_deregistered(ecr: Ecr) -> None:
    names = [f"arn:aws:iam::{ACCOUNT}:user/{name}" for name in ("a", "b", "c")]
    for name in names:
        answer = await ecr("RegisterPullTimeUpdateExclusion", principalArn=name)
        assert answer["principalArn"] == name
        assert answer["createdAt"].timestamp() == ecr.clock.now()
    assert (await ecr.refused("RegisterPullTimeUpdateExclusion", principalArn=names[0]))[0] == "ExclusionAlreadyExistsException"
    first = await ecr("ListPullTimeUpdateExclusions", maxResults=2)
    second = await ecr("ListPullTimeUpdateExclusions", nextToken=first["nextToken"])
    assert first["pullTimeUpdateExclusions"] + second["pullTimeUpdateExclusions"] == names
    assert (await ecr("DeregisterPullTimeUpdateExclusion", principalArn=names[0])) == {"principalArn": names[0]}
    assert (await ecr.refused("DeregisterPullTimeUpdateExclusion", principalArn=names[0]))[0] == "ExclusionNotFoundException"
    assert (await ecr("ListPullTimeUpdateExclusions"))["pullTimeUpdateExclusions"] == names[1:]


async def test_a_registry_excludes_a_hundred_principals_at_most(ecr: Ecr) -> None:
    for number in range(100):
        await ecr("RegisterPullTimeUpdateExclusion", principalArn=f"arn:aws:iam::{ACCOUNT}:user/u{number}")
    assert (await ecr.refused("RegisterPullTimeUpdateExclusion", principalArn=ROLE))[0] == "LimitExceededException"


@pytest.mark.parametrize(
    ("excluded", "principal", "noted"),
    [
        (None, ALICE.arn, True),
        (ALICE.arn, ALICE.arn, False),
        (f"arn:aws:iam::{ACCOUNT}:user/team/alice", ALICE.arn, False),  # a user's name is unique, whatever its path
        (f"arn:aws:iam::{ACCOUNT}:user/bob", ALICE.arn, True),
        (f"arn:aws:iam::{ACCOUNT}:role/alice", ALICE.arn, True),
        ("arn:aws:iam::999999999999:user/alice", ALICE.arn, True),
        (ROLE, f"arn:aws:sts::{ACCOUNT}:assumed-role/puller/session", False),
        (ROLE, f"arn:aws:sts::{ACCOUNT}:assumed-role/pusher/puller", True),
        (ROLE, f"arn:aws:iam::{ACCOUNT}:root", True),
    ],
)
async def test_a_pull_by_an_excluded_principal_leaves_no_trace(ecr: Ecr, excluded: str | None, principal: str, noted: bool) -> None:
    await ecr("CreateRepository", repositoryName="web")
    for content in (CONFIG, LAYER):
        await ecr.store_blob("web", content)
    await ecr("PutImage", repositoryName="web", imageManifest=manifest(LAYER).decode(), imageTag="1")
    if excluded:
        await ecr("RegisterPullTimeUpdateExclusion", principalArn=excluded)
    puller = Ecr(replace(ecr.call, principal=Principal(ACCOUNT, principal, "AIDA", "AKIA")), ecr.clock)
    await puller("BatchGetImage", repositoryName="web", imageIds=[{"imageTag": "1"}])
    (detail,) = (await ecr("DescribeImages", repositoryName="web"))["imageDetails"]
    assert ("lastRecordedPullTime" in detail) is noted


def test_a_session_is_its_role() -> None:
    assert identity_of(ROLE) == identity_of(f"arn:aws:sts::{ACCOUNT}:assumed-role/puller/any/session") == f"{ACCOUNT}:role:puller"
    assert identity_of(f"arn:aws:iam::{ACCOUNT}:root") is None
