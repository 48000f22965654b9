"""Task definitions: numbered, shown, listed, taken back."""

from __future__ import annotations

from longshore.services.ecs.lookup import latest_active
from tests.services.ecs.conftest import Ecs

ARN = "arn:aws:ecs:us-east-1:000000000000:task-definition"


async def test_a_revision_number_is_never_used_again(ecs: Ecs) -> None:
    assert await ecs.define() == f"{ARN}/web:1"
    assert await ecs.define() == f"{ARN}/web:2"
    await ecs("DeregisterTaskDefinition", taskDefinition="web:2")
    await ecs("DeleteTaskDefinitions", taskDefinitions=["web:2"])
    assert await ecs.define() == f"{ARN}/web:3"


async def test_a_definition_is_shown_as_it_was_registered(ecs: Ecs) -> None:
    await ecs.define(tags=[{"key": "team", "value": "a"}])
    answer = await ecs("DescribeTaskDefinition", taskDefinition="web", include=["TAGS"])
    shown = answer["taskDefinition"]
    assert (shown["family"], shown["revision"], shown["status"]) == ("web", 1, "ACTIVE")
    assert shown["compatibilities"] == ["EXTERNAL", "EC2"]
    assert shown["registeredBy"] == "arn:aws:iam::000000000000:root"
    assert shown["registeredAt"].timestamp() == ecs.clock.now()
    assert answer["tags"] == [{"key": "team", "value": "a"}]
    for reference in ("web:1", f"{ARN}/web:1", f"{ARN}/web"):
        assert (await ecs("DescribeTaskDefinition", taskDefinition=reference))["taskDefinition"] == shown


async def test_what_is_not_there_cannot_be_described(ecs: Ecs) -> None:
    await ecs.define()
    elsewhere = f"{ARN}/web:1".replace("us-east-1", "eu-west-1")
    for reference in ("nobody", "web:2", "web:0", "web:x", "a b", elsewhere, "arn:nonsense", ""):
        assert await ecs.refused("DescribeTaskDefinition", taskDefinition=reference) == (
            "ClientException",
            "Unable to describe task definition.",
        )


async def test_a_family_alone_means_its_newest_active_revision(ecs: Ecs) -> None:
    for _ in range(25):
        await ecs.define()
    for revision in range(2, 26):
        await ecs("DeregisterTaskDefinition", taskDefinition=f"web:{revision}")
    found = latest_active(ecs.call.store, "us-east-1:000000000000", "web")
    assert found is not None
    assert found.revision == 1
    await ecs("DeregisterTaskDefinition", taskDefinition="web:1")
    assert (await ecs.refused("DescribeTaskDefinition", taskDefinition="web"))[0] == "ClientException"


async def test_a_deregistered_definition_is_inactive_and_runs_nothing_new(ecs: Ecs) -> None:
    await ecs.cluster()
    await ecs.instance()
    await ecs.define()
    gone = (await ecs("DeregisterTaskDefinition", taskDefinition="web:1"))["taskDefinition"]
    assert (gone["status"], gone["deregisteredAt"].timestamp()) == ("INACTIVE", ecs.clock.now())
    assert await ecs.refused("RunTask", taskDefinition="web:1") == ("ClientException", "TaskDefinition is inactive")
    assert await ecs.refused("RunTask", taskDefinition="web") == ("ClientException", "TaskDefinition not found.")
    assert (await ecs.refused("DeregisterTaskDefinition", taskDefinition="web"))[0] == "ClientException"


async def test_only_inactive_definitions_are_deleted(ecs: Ecs) -> None:
    await ecs.define()
    await ecs.define()
    await ecs("DeregisterTaskDefinition", taskDefinition="web:1")
    answer = await ecs("DeleteTaskDefinitions", taskDefinitions=["web:1", "web:2", "web:3"])
    assert [one["status"] for one in answer["taskDefinitions"]] == ["DELETE_IN_PROGRESS"]
    assert [failure["arn"][-1] for failure in answer["failures"]] == ["2", "3"]


async def test_definitions_are_listed_in_the_order_of_their_numbers_either_way(ecs: Ecs) -> None:
    for _ in range(12):
        await ecs.define()
    await ecs.define("api")
    up = (await ecs("ListTaskDefinitions"))["taskDefinitionArns"]
    assert up == [f"{ARN}/api:1", *(f"{ARN}/web:{number}" for number in range(1, 13))]
    assert (await ecs("ListTaskDefinitions", sort="DESC"))["taskDefinitionArns"] == up[::-1]
    first = await ecs("ListTaskDefinitions", familyPrefix="web", sort="DESC", maxResults=5)
    second = await ecs("ListTaskDefinitions", familyPrefix="web", sort="DESC", nextToken=first["nextToken"])
    assert first["taskDefinitionArns"] + second["taskDefinitionArns"] == up[:0:-1]
    assert (await ecs.refused("ListTaskDefinitions", familyPrefix="web", nextToken=first["nextToken"]))[0] == "InvalidParameterException"
    assert (await ecs("ListTaskDefinitions", status="INACTIVE"))["taskDefinitionArns"] == []


async def test_families_are_active_while_one_revision_is(ecs: Ecs) -> None:
    await ecs.define("web")
    await ecs.define("api")
    await ecs("DeregisterTaskDefinition", taskDefinition="api:1")
    assert (await ecs("ListTaskDefinitionFamilies"))["families"] == ["api", "web"]
    assert (await ecs("ListTaskDefinitionFamilies", status="ACTIVE"))["families"] == ["web"]
    assert (await ecs("ListTaskDefinitionFamilies", status="INACTIVE"))["families"] == ["api"]
    assert (await ecs("ListTaskDefinitionFamilies", familyPrefix="w"))["families"] == ["web"]
    assert (await ecs.elsewhere(region="eu-west-1")("ListTaskDefinitionFamilies"))["families"] == []


async def test_tags_are_checked(ecs: Ecs) -> None:
    twice = [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]
    container = [{"name": "app", "image": "busybox", "memory": 128}]
    for tags in (twice, [{"key": "aws:x", "value": "1"}]):
        code, _ = await ecs.refused("RegisterTaskDefinition", family="web", containerDefinitions=container, tags=tags)
        assert code == "InvalidParameterException"
