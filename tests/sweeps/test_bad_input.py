"""Every served operation with values nobody should send: an answer in AWS's words, always, and nothing of anybody else's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.sweeps.installation import OPERATIONS, OWNER, STRANGER, Answer, House, Installation
from tests.sweeps.junk import requests
from tests.sweeps.samples import sample

EXAMPLES = 25
PATIENCE_S = 5.0
#: what is asked of an API after something bad was accepted: whatever it was, it can be shown
SHOWN: Mapping[str, tuple[str, ...]] = {
    "ecs": ("DescribeClusters", "DescribeServices", "DescribeTasks", "DescribeContainerInstances", "ListAttributes", "ListTaskDefinitions"),
    "ecr": ("DescribeRepositories", "DescribeImages", "ListTagsForResource"),
    "elbv2": (
        "DescribeLoadBalancers",
        "DescribeListeners",
        "DescribeRules",
        "DescribeTargetGroups",
        "DescribeTargetHealth",
        "DescribeTags",
    ),
    "elb": (
        *("DescribeLoadBalancers", "DescribeInstanceHealth", "DescribeLoadBalancerAttributes"),
        *("DescribeLoadBalancerPolicies", "DescribeTags"),
    ),
    "ec2": ("DescribeVpcs", "DescribeSubnets", "DescribeSecurityGroups", "DescribeSecurityGroupRules", "DescribeTags", "DescribeInstances"),
    "iam": (
        *("ListUsers", "ListPolicies", "ListAccessKeys", "ListUserPolicies", "ListGroups", "ListRoles", "ListInstanceProfiles"),
        *("ListMFADevices", "ListVirtualMFADevices", "ListOpenIDConnectProviders", "ListAccountAliases"),
    ),
}

_ARNS = ("arn", "service_arn", "target_group_arn", "owner_arn", "user_arn", "policy_arn")


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as made:
        yield made


@pytest.mark.parametrize(("api", "operation"), OPERATIONS, ids=[f"{api}:{operation}" for api, operation in OPERATIONS])
def test_bad_input_is_refused_or_taken_but_never_breaks_anything(runner: asyncio.Runner, house: House, api: str, operation: str) -> None:
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(request=requests(house, api, operation))
    def holds(request: tuple[bytes, dict[str, str]]) -> None:
        runner.run(asyncio.wait_for(standing.answered(house, api, operation, *request), PATIENCE_S))

    standing = Standing()
    try:
        holds()
    finally:
        runner.run(standing.close())


class Standing:
    """The house as long as nothing in it has been changed; a new one after that."""

    def __init__(self) -> None:
        self._inside: AsyncExitStack | None = None
        self._there: Installation
        self._before = 0

    async def close(self) -> None:
        if self._inside is not None:
            await self._inside.aclose()
        self._inside = None

    async def answered(self, house: House, api: str, operation: str, body: bytes, headers: Mapping[str, str]) -> None:
        if self._inside is None:
            self._inside = AsyncExitStack()
            self._there = await self._inside.enter_async_context(Installation.restored(house.rows, house.blobs))
            self._before = self._there.store.revision
        there = self._there
        check(await there.send(api, operation, body, headers))
        if there.store.revision > self._before + 1:  # more than the note of the key's use
            check_rows(there)
            for shown in SHOWN.get(api, ()):
                check(await there.ask(api, shown, {} if shown.startswith("List") else sample(house, api, shown)))
            await self.close()


def check(answer: Answer) -> None:
    assert answer.status == 200 or 400 <= answer.status < 500, f"{answer.status} {answer.code}: {answer.message}"
    if answer.status != 200:
        assert answer.code
        assert answer.message


def check_rows(there: Installation) -> None:
    """Whatever was written, nobody else owns it."""
    for kind, rows in there.rows().items():
        for row in rows:
            assert owner_of(row) in (None, OWNER, STRANGER), (kind, row)


def owner_of(row: Any) -> str | None:
    if hasattr(row, "account_id"):
        return str(row.account_id)
    arn = next(
        (
            str(getattr(row, name))
            for name in ("arn", "service_arn", "target_group_arn", "owner_arn", "user_arn", "policy_arn")
            if hasattr(row, name)
        ),
        "",
    )
    return arn.split(":")[4] if arn else None
