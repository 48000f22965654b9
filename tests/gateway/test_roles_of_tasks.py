"""Roles that ECS may not take on are told to whoever runs a task, before anything is placed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from longshore.services.iam.identities import ensure_root
from longshore.store.memory_blobs import MemoryBlobStore
from tests.sweeps.installation import OWNER, ROOT, TRUST_OF_TASKS, Installation


@pytest.fixture
async def there() -> AsyncIterator[Installation]:
    async with Installation.restored({}, MemoryBlobStore()) as made:
        await made.store.transact(lambda tx: ensure_root(tx, OWNER, ROOT.access_key_id, ROOT.secret, made.clock.now()))
        await made.done("ecs", "CreateCluster", clusterName="main")
        yield made


async def refusal(there: Installation, **roles: Any) -> str:
    container = {"name": "app", "image": "busybox", "memory": 64}
    await there.done("ecs", "RegisterTaskDefinition", family="web", containerDefinitions=[container], **roles)
    answer = await there.ask("ecs", "RunTask", {"cluster": "main", "taskDefinition": "web"})
    return f"{answer.code}: {answer.message}"


@pytest.mark.parametrize("member", ["taskRoleArn", "executionRoleArn"])
async def test_a_role_that_is_not_there_or_trusts_somebody_else_is_refused_by_name(there: Installation, member: str) -> None:
    arn = f"arn:aws:iam::{OWNER}:role/worker"
    expected = f"ClientException: ECS was unable to assume the role '{arn}'"
    assert (await refusal(there, **{member: arn})).startswith(expected)
    trust = json.dumps({"Statement": {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}})
    await there.done("iam", "CreateRole", RoleName="worker", AssumeRolePolicyDocument=trust)
    assert (await refusal(there, **{member: arn})).startswith(expected)
    await there.done("iam", "UpdateAssumeRolePolicy", RoleName="worker", PolicyDocument=TRUST_OF_TASKS)
    assert "unable to assume" not in await refusal(there, **{member: arn})
    denied = json.loads(TRUST_OF_TASKS)["Statement"]
    both = json.dumps({"Statement": [denied, {**denied, "Effect": "Deny"}]})
    await there.done("iam", "UpdateAssumeRolePolicy", RoleName="worker", PolicyDocument=both)
    assert (await refusal(there, **{member: arn})).startswith(expected)


async def test_another_accounts_role_is_none_for_a_task(there: Installation) -> None:
    container = {"name": "app", "image": "busybox", "memory": 64}
    asked = {"family": "web", "containerDefinitions": [container], "taskRoleArn": "arn:aws:iam::999999999999:role/worker"}
    assert (await there.ask("ecs", "RegisterTaskDefinition", asked)).denied
