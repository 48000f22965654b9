"""How often images are scanned: rules of the registry, filters, and the repository's own flag."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.services.ecr.model import Repository
from longshore.services.ecr.scanning.configuration import applies, frequency_of
from longshore.services.ecr.scanning.model import RegistryScanning, ScanningRule
from tests.services.ecr.conftest import Ecr


def rule(frequency: str, *filters: str) -> dict[str, Any]:
    return {"scanFrequency": frequency, "repositoryFilters": [{"filter": each, "filterType": "WILDCARD"} for each in filters]}


@pytest.mark.parametrize(
    ("pattern", "name", "matched"),
    [
        ("*", "anything/at-all", True),
        ("prod", "prod", True),
        ("prod", "my/production", True),
        ("prod", "test", False),
        ("prod*", "prod/web", True),
        ("prod*", "my/prod", False),
        ("*prod", "my/prod", True),
        ("a*b*c", "axxbyyc", True),
        ("a*b*c", "axxc", False),
    ],
)
def test_filters(pattern: str, name: str, matched: bool) -> None:
    assert applies(pattern, name) is matched


@given(st.text("ab*", min_size=1, max_size=6), st.text("ab/", max_size=8))
def test_filters_are_wildcards_or_parts_of_names(pattern: str, name: str) -> None:
    expression = pattern.replace("*", ".*") if "*" in pattern else f".*{pattern}.*"
    assert applies(pattern, name) is bool(re.fullmatch(expression, name))


@pytest.mark.parametrize(
    ("scan_type", "rules", "flag", "frequency", "filters"),
    [
        ("BASIC", (), False, "MANUAL", ()),
        ("BASIC", (), True, "SCAN_ON_PUSH", ()),
        ("BASIC", (("SCAN_ON_PUSH", "other"),), True, "MANUAL", ()),
        ("BASIC", (("SCAN_ON_PUSH", "app", "*", "no"),), False, "SCAN_ON_PUSH", ("app", "*")),
        ("BASIC", (("MANUAL", "*"), ("SCAN_ON_PUSH", "app/*")), False, "SCAN_ON_PUSH", ("app/*",)),
        ("ENHANCED", (), True, "MANUAL", ()),
        ("ENHANCED", (("SCAN_ON_PUSH", "*"), ("CONTINUOUS_SCAN", "app")), False, "CONTINUOUS_SCAN", ("app",)),
        ("ENHANCED", (("SCAN_ON_PUSH", "*"), ("CONTINUOUS_SCAN", "other")), False, "SCAN_ON_PUSH", ("*",)),
    ],
)
def test_rules_beat_the_repositorys_flag(
    scan_type: str, rules: tuple[tuple[str, ...], ...], flag: bool, frequency: str, filters: tuple[str, ...]
) -> None:
    scanning = RegistryScanning("r", "a", scan_type, tuple(ScanningRule(name, patterns) for name, *patterns in rules))  # type: ignore[arg-type]
    repository = Repository(arn="", region="r", account_id="a", name="app/web", created_at=0.0, scan_on_push=flag)
    found = frequency_of(scanning, repository)
    assert (found.name, tuple(found.filters)) == (frequency, filters)


async def test_a_registry_without_configuration_is_basic_without_rules(ecr: Ecr) -> None:
    got = await ecr("GetRegistryScanningConfiguration")
    assert got == {"registryId": "000000000000", "scanningConfiguration": {"scanType": "BASIC", "rules": []}}


async def test_a_configuration_is_kept_as_it_was_put(ecr: Ecr) -> None:
    rules = [rule("CONTINUOUS_SCAN", "prod*"), rule("SCAN_ON_PUSH", "*")]
    put = await ecr("PutRegistryScanningConfiguration", scanType="ENHANCED", rules=rules)
    assert put["registryScanningConfiguration"] == {"scanType": "ENHANCED", "rules": rules}
    assert (await ecr("GetRegistryScanningConfiguration"))["scanningConfiguration"] == {"scanType": "ENHANCED", "rules": rules}
    assert (await ecr.in_region("eu-west-1")("GetRegistryScanningConfiguration"))["scanningConfiguration"]["rules"] == []
    await ecr("PutRegistryScanningConfiguration", scanType="BASIC")
    assert (await ecr("GetRegistryScanningConfiguration"))["scanningConfiguration"] == {"scanType": "BASIC", "rules": []}


@pytest.mark.parametrize(
    ("scan_type", "rules", "words"),
    [
        ("BASIC", [rule("CONTINUOUS_SCAN", "*")], "CONTINUOUS_SCAN is not supported for scan type BASIC"),
        ("ENHANCED", [rule("MANUAL", "*")], "MANUAL is not supported for scan type ENHANCED"),
        ("BASIC", [rule("SCAN_ON_PUSH", "a"), rule("SCAN_ON_PUSH", "b")], "one rule only"),
        ("BASIC", [rule("SCAN_ON_PUSH")], "at least one"),
        ("BASIC", [rule("SCAN_ON_PUSH", "a*b*c*d*e*f")], "maximum of 4 wildcards"),
    ],
)
async def test_rules_that_cannot_be(ecr: Ecr, scan_type: str, rules: list[dict[str, Any]], words: str) -> None:
    code, message = await ecr.refused("PutRegistryScanningConfiguration", scanType=scan_type, rules=rules)
    assert (code, words in message) == ("InvalidParameterException", True), message


async def test_how_each_repository_is_scanned(ecr: Ecr) -> None:
    for name in ("prod/web", "test/web"):
        await ecr("CreateRepository", repositoryName=name)
    await ecr("PutRegistryScanningConfiguration", scanType="BASIC", rules=[rule("SCAN_ON_PUSH", "prod*")])
    got = await ecr("BatchGetRepositoryScanningConfiguration", repositoryNames=["prod/web", "test/web", "none", "none"])
    first, second = got["scanningConfigurations"]
    assert first["repositoryArn"] == "arn:aws:ecr:us-east-1:000000000000:repository/prod/web"
    assert (first["scanOnPush"], first["scanFrequency"]) == (True, "SCAN_ON_PUSH")
    assert first["appliedScanFilters"] == [{"filter": "prod*", "filterType": "WILDCARD"}]
    assert (second["scanOnPush"], second["scanFrequency"], second["appliedScanFilters"]) == (False, "MANUAL", [])
    (failure,) = got["failures"]
    assert (failure["repositoryName"], failure["failureCode"]) == ("none", "REPOSITORY_NOT_FOUND")


async def test_the_repositorys_own_flag(ecr: Ecr) -> None:
    await ecr("CreateRepository", repositoryName="app")
    put = await ecr("PutImageScanningConfiguration", repositoryName="app", imageScanningConfiguration={"scanOnPush": True})
    assert (put["repositoryName"], put["imageScanningConfiguration"]) == ("app", {"scanOnPush": True})
    (described,) = (await ecr("DescribeRepositories", repositoryNames=["app"]))["repositories"]
    assert described["imageScanningConfiguration"] == {"scanOnPush": True}
    (got,) = (await ecr("BatchGetRepositoryScanningConfiguration", repositoryNames=["app"]))["scanningConfigurations"]
    assert (got["scanFrequency"], got["appliedScanFilters"]) == ("SCAN_ON_PUSH", [])
    code, _ = await ecr.refused("PutImageScanningConfiguration", repositoryName="none", imageScanningConfiguration={"scanOnPush": True})
    assert code == "RepositoryNotFoundException"
