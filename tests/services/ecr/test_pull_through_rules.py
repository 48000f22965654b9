"""Pull-through cache rules over the API."""

from __future__ import annotations

import pytest

from longshore.services.ecr.names import RepositoryId
from longshore.services.ecr.pull_through.rules import rule_for, upstream_name
from tests.services.ecr.conftest import ACCOUNT, REGION, Ecr


async def _made(ecr: Ecr, prefix: str, url: str = "quay.io", **members: str) -> None:
    await ecr("CreatePullThroughCacheRule", ecrRepositoryPrefix=prefix, upstreamRegistryUrl=url, **members)


async def test_a_rule_is_created_described_and_deleted(ecr: Ecr) -> None:
    made = await ecr(
        "CreatePullThroughCacheRule", ecrRepositoryPrefix="quay", upstreamRegistryUrl="quay.io", upstreamRepositoryPrefix="team"
    )
    assert (made["upstreamRegistry"], made["upstreamRepositoryPrefix"], made["registryId"]) == ("quay", "team", ACCOUNT)
    (shown,) = (await ecr("DescribePullThroughCacheRules"))["pullThroughCacheRules"]
    assert (shown["ecrRepositoryPrefix"], shown["upstreamRegistryUrl"]) == ("quay", "quay.io")
    assert (await ecr.in_region("eu-west-1")("DescribePullThroughCacheRules"))["pullThroughCacheRules"] == []
    await ecr("DeletePullThroughCacheRule", ecrRepositoryPrefix="quay/")
    for operation in ("DeletePullThroughCacheRule", "ValidatePullThroughCacheRule"):
        assert (await ecr.refused(operation, ecrRepositoryPrefix="quay"))[0] == "PullThroughCacheRuleNotFoundException"
    assert (await ecr.refused("DescribePullThroughCacheRules", ecrRepositoryPrefixes=["quay"]))[
        0
    ] == "PullThroughCacheRuleNotFoundException"


async def test_rules_are_described_in_pages(ecr: Ecr) -> None:
    for prefix in ("aa", "bb", "cc"):
        await _made(ecr, prefix)
    first = await ecr("DescribePullThroughCacheRules", maxResults=2)
    rest = await ecr("DescribePullThroughCacheRules", maxResults=2, nextToken=first["nextToken"])
    prefixes = [rule["ecrRepositoryPrefix"] for rule in first["pullThroughCacheRules"] + rest["pullThroughCacheRules"]]
    assert prefixes == ["aa", "bb", "cc"]
    assert "nextToken" not in rest


async def test_a_prefix_has_one_rule_however_it_is_written(ecr: Ecr) -> None:
    await _made(ecr, "quay")
    code, _ = await ecr.refused("CreatePullThroughCacheRule", ecrRepositoryPrefix="quay/", upstreamRegistryUrl="ghcr.io")
    assert code == "PullThroughCacheRuleAlreadyExistsException"


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"upstreamRegistryUrl": "http://registry.example"}, "InvalidParameterException"),
        ({"upstreamRegistryUrl": "169.254.169.254"}, "InvalidParameterException"),
        ({"upstreamRegistryUrl": "no host"}, "InvalidParameterException"),
        ({"upstreamRegistryUrl": "ghcr.io", "upstreamRegistry": "quay"}, "UnsupportedUpstreamRegistryException"),
        ({"upstreamRegistryUrl": "registry.example", "upstreamRegistry": "docker-hub"}, "UnsupportedUpstreamRegistryException"),
        ({"upstreamRegistryUrl": "1.dkr.ecr.us-east-1.amazonaws.com", "upstreamRegistry": "ecr"}, "UnsupportedUpstreamRegistryException"),
        ({"upstreamRegistryUrl": "quay.io", "customRoleArn": "arn:aws:iam::1:role/x"}, "UnsupportedUpstreamRegistryException"),
    ],
)
async def test_an_upstream_that_cannot_be_meant_is_refused(ecr: Ecr, members: dict[str, str], code: str) -> None:
    assert (await ecr.refused("CreatePullThroughCacheRule", ecrRepositoryPrefix="hub", **members))[0] == code


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("registry-1.docker.io", "docker-hub"),
        ("https://ghcr.io", "github-container-registry"),
        ("public.ecr.aws", "ecr-public"),
        ("mine.azurecr.io", "azure-container-registry"),
        ("registry.example", None),
    ],
)
async def test_upstreams_that_aws_names_are_known_by_their_address(ecr: Ecr, url: str, name: str | None) -> None:
    made = await ecr("CreatePullThroughCacheRule", ecrRepositoryPrefix="hub", upstreamRegistryUrl=url)
    assert made.get("upstreamRegistry") == name


async def test_the_longest_prefix_speaks_and_the_root_for_the_rest(ecr: Ecr) -> None:
    await _made(ecr, "ROOT", "registry.example")
    await _made(ecr, "hub", "registry-1.docker.io")
    await _made(ecr, "hub/team/", "ghcr.io", upstreamRepositoryPrefix="owner")

    def asked(name: str) -> tuple[str, str]:
        rule = rule_for(ecr.call.store, RepositoryId(REGION, ACCOUNT, name))
        assert rule is not None
        return rule.upstream_url, upstream_name(rule, name)

    assert asked("hub/team/app") == ("ghcr.io", "owner/app")
    assert asked("hub/app") == ("registry-1.docker.io", "library/app")
    assert asked("hub/owner/app") == ("registry-1.docker.io", "owner/app")
    assert asked("hub") == ("registry.example", "hub")
    assert asked("hubert/app") == ("registry.example", "hubert/app")
    assert rule_for(ecr.call.store, RepositoryId("eu-west-1", ACCOUNT, "hub/app")) is None
