"""LongshoreExplainService and LongshoreGetServiceTraffic: what the scheduler and the load balancers say of a service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pytest

from longshore.balancer.runtime import Counted, counts_in
from longshore.control.deployments.outlook import outlook
from longshore.services.ecs.errors import ClientException, ServiceNotFoundException, UnsupportedFeatureException
from longshore.services.ecs.operations.service_explanations import explain_service, get_service_traffic
from longshore.services.ecs.outlook.counts import GroupTraffic, Traffic
from longshore.services.ecs.outlook.shapes import ExplainServiceRequest, GetServiceTrafficRequest
from tests.services.ecs.conftest import Ecs


@pytest.fixture
async def site(ecs: Ecs) -> Ecs:
    """A service of two tasks that no instance has room for yet, and its scheduler."""
    await ecs.cluster()
    await ecs.define()
    await ecs("CreateService", serviceName="site", taskDefinition="web", desiredCount=2)
    return replace(ecs, call=replace(ecs.call, scheduler=partial(outlook, warm_up_s=40.0)))


async def test_the_scheduler_says_what_it_would_do(site: Ecs) -> None:
    told = await explain_service(site.call, ExplainServiceRequest(service="site"))
    assert (told.status, told.steady) == ("ACTIVE", False)
    assert (told.outlook.desired_count, told.outlook.least_healthy, told.outlook.most_tasks) == (2, 2, 4)
    assert [(step.action, step.count) for step in told.outlook.next] == [("START", 2)]
    assert [one.rollout_state for one in told.deployments] == ["IN_PROGRESS"]


async def test_looking_changes_nothing(site: Ecs) -> None:
    before = site.call.store.revision
    await explain_service(site.call, ExplainServiceRequest(service="site"))
    assert site.call.store.revision == before


async def test_who_is_not_there_is_not_explained(site: Ecs) -> None:
    with pytest.raises(ServiceNotFoundException):
        await explain_service(site.call, ExplainServiceRequest(service="nobody"))
    with pytest.raises(UnsupportedFeatureException):
        await explain_service(replace(site.call, scheduler=None), ExplainServiceRequest(service="site"))


async def test_a_service_without_load_balancers_has_no_traffic(site: Ecs) -> None:
    told = await get_service_traffic(site.call, GetServiceTrafficRequest(service="site"))
    assert told.traffic == Traffic()


async def test_load_balancers_are_asked_for_the_services_own_groups(site: Ecs) -> None:
    from msgspec.structs import replace as changed

    from longshore.aws.shapes import ecs as shapes
    from longshore.services.ecs.rollout.model import SERVICES

    (service,) = site.call.store.list(SERVICES)
    balanced = (shapes.LoadBalancer(target_group_arn="arn:group", container_name="app", container_port=80),)
    with_group = changed(service, spec=changed(service.spec, load_balancers=balanced))
    await site.call.store.transact(lambda tx: tx.put(SERVICES, with_group))
    asked: list[Sequence[str]] = []

    async def count(arns: Sequence[str]) -> Traffic | None:
        asked.append(arns)
        counted = GroupTraffic(target_group_arn=arns[0], requests=5, failed=1, connect_errors=0, retries=0)
        return Traffic(target_groups=(counted,), counter="7") if len(asked) == 1 else None

    call = replace(site.call, traffic=count)
    told = await get_service_traffic(call, GetServiceTrafficRequest(service="site"))
    assert told.traffic.target_groups[0].failed == 1
    assert asked == [("arn:group",)]
    with pytest.raises(ClientException):
        await get_service_traffic(call, GetServiceTrafficRequest(service="site"))


def test_counts_are_read_by_the_names_of_their_columns() -> None:
    answer = "# pxname,svname,stot,econ,hrsp_5xx,wretr,req_tot\ntg-a,BACKEND,9,1,2,3,8\ntcp,BACKEND,4,0,,0,\n"
    assert counts_in(answer) == {"tg-a": Counted(8, 2, 1, 3), "tcp": Counted(4, 0, 0, 0)}
