"""Clusters, as boto3 sees them."""

from __future__ import annotations

from tests.services.ecs.conftest import Ecs

ARN = "arn:aws:ecs:us-east-1:000000000000:cluster/default"


async def test_a_cluster_without_a_name_is_the_default_one(ecs: Ecs) -> None:
    made = (await ecs("CreateCluster"))["cluster"]
    assert (made["clusterArn"], made["clusterName"], made["status"]) == (ARN, "default", "ACTIVE")
    assert made["registeredContainerInstancesCount"] == made["runningTasksCount"] == made["activeServicesCount"] == 0


async def test_making_a_cluster_again_changes_nothing(ecs: Ecs) -> None:
    first = await ecs("CreateCluster", clusterName="web", tags=[{"key": "a", "value": "1"}])
    assert await ecs("CreateCluster", clusterName="web") == first
    code, message = await ecs.refused("CreateCluster", clusterName="web", tags=[{"key": "a", "value": "2"}])
    assert code == "InvalidParameterException"
    assert "inconsistent" in message


async def test_bad_names_are_refused(ecs: Ecs) -> None:
    for name in ("a b", "a/b", "a:b", "é", "x" * 256):
        assert (await ecs.refused("CreateCluster", clusterName=name))[0] == "InvalidParameterException"


async def test_clusters_are_described_by_name_and_by_arn_and_missing_ones_are_failures(ecs: Ecs) -> None:
    await ecs.cluster()
    answer = await ecs("DescribeClusters", clusters=["default", ARN, "gone"], include=["TAGS", "STATISTICS", "SETTINGS"])
    assert [one["clusterName"] for one in answer["clusters"]] == ["default", "default"]
    assert answer["clusters"][0]["settings"] == [{"name": "containerInsights", "value": "disabled"}]
    assert {"name": "runningEC2TasksCount", "value": "0"} in answer["clusters"][0]["statistics"]
    assert answer["failures"] == [{"arn": ARN.replace("default", "gone"), "reason": "MISSING"}]


async def test_another_account_or_region_sees_nothing(ecs: Ecs) -> None:
    await ecs.cluster()
    for other in (ecs.elsewhere(region="eu-west-1"), ecs.elsewhere(account="111111111111")):
        assert (await other("ListClusters"))["clusterArns"] == []
        assert (await other("DescribeClusters", clusters=[ARN]))["failures"] == [{"arn": ARN, "reason": "MISSING"}]
        assert await other.refused("ListTasks", cluster=ARN) == ("ClusterNotFoundException", "Cluster not found.")
        assert (await other.refused("DeleteCluster", cluster=ARN))[0] == "ClusterNotFoundException"


async def test_listings_go_page_by_page(ecs: Ecs) -> None:
    for number in range(5):
        await ecs.cluster(f"c{number}")
    first = await ecs("ListClusters", maxResults=3)
    second = await ecs("ListClusters", maxResults=3, nextToken=first["nextToken"])
    assert [arn[-2:] for arn in first["clusterArns"] + second["clusterArns"]] == ["c0", "c1", "c2", "c3", "c4"]
    assert "nextToken" not in second
    assert (await ecs.refused("ListClusters", nextToken="bm9uc2Vuc2U"))[0] == "InvalidParameterException"
    assert (await ecs.refused("ListClusters", maxResults=101))[0] == "InvalidParameterException"


async def test_settings_can_be_changed(ecs: Ecs) -> None:
    await ecs.cluster()
    settings = [{"name": "containerInsights", "value": "enabled"}]
    assert (await ecs("UpdateClusterSettings", cluster="default", settings=settings))["cluster"]["settings"] == settings
    assert (await ecs("UpdateCluster", cluster="default"))["cluster"]["settings"] == settings
    bad = [{"name": "containerInsights", "value": "maybe"}]
    assert (await ecs.refused("UpdateClusterSettings", cluster="default", settings=bad))[0] == "InvalidParameterException"


async def test_a_cluster_goes_only_when_it_is_empty(ecs: Ecs) -> None:
    await ecs.cluster()
    arn = await ecs.instance()
    assert (await ecs.refused("DeleteCluster", cluster="default"))[0] == "ClusterContainsContainerInstancesException"
    await ecs("DeregisterContainerInstance", containerInstance=arn)
    await ecs.define()
    await ecs("CreateService", serviceName="web", taskDefinition="web", desiredCount=0)
    assert (await ecs.refused("DeleteCluster", cluster="default"))[0] == "ClusterContainsServicesException"


async def test_a_deleted_cluster_is_shown_but_cannot_be_used(ecs: Ecs) -> None:
    await ecs.cluster()
    assert (await ecs("DeleteCluster", cluster="default"))["cluster"]["status"] == "INACTIVE"
    assert (await ecs("DescribeClusters"))["clusters"][0]["status"] == "INACTIVE"
    assert (await ecs("ListClusters"))["clusterArns"] == []
    assert (await ecs.refused("ListTasks"))[0] == "ClusterNotFoundException"
    await ecs.cluster()
    assert (await ecs("DescribeClusters"))["clusters"][0]["status"] == "ACTIVE"
