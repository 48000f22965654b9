"""A service with two target groups, a production and a test rule: asked for over the real operations, on a stage without processes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from longshore.aws.shapes import elbv2 as elb_shapes
from longshore.services.call import Call, Principal
from longshore.services.ecs import kinds as ecs_kinds
from longshore.services.elbv2 import model as elbv2
from longshore.services.elbv2.names import rule_arn
from longshore.services.elbv2.shifting import weights_at
from longshore.store.base import Tx
from longshore.store.memory_blobs import MemoryBlobStore
from tests.scenarios.stage import ACCOUNT, REGION, Stage, staged
from tests.services.ecs.conftest import Ecs

_ELB = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}"
BLUE, GREEN = (f"{_ELB}:targetgroup/{name}/0123456789abcdef" for name in ("blue", "green"))
#: a second pair: the same tasks behind another rule
BLUE_TOO, GREEN_TOO = (f"{_ELB}:targetgroup/{name}/0123456789abcdef" for name in ("blue-too", "green-too"))
BALANCER = f"{_ELB}:loadbalancer/app/web/0123456789abcdef"
LISTENER = f"{_ELB}:listener/app/web/0123456789abcdef/0123456789abcdef"
#: FOREIGN forwards to a target group that is somebody else's
PRODUCTION, TEST, FOREIGN, PRODUCTION_TOO = (rule_arn(LISTENER, f"{number:016x}") for number in (1, 2, 3, 4))
ROLE = f"arn:aws:iam::{ACCOUNT}:role/ecsInfrastructureRole"


class Theatre:
    """A stage, and the operations that act on it."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        principal = Principal(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT, "AKIAROOT")
        call = Call(
            store=stage.store,
            blobs=MemoryBlobStore(),
            clock=stage.clock,
            ids=stage.ids,
            site=stage.site,
            principal=principal,
            account_id=ACCOUNT,
            region=REGION,
            request_id="request-1",
            source_ip="127.0.0.1",
            base_url="http://127.0.0.1:4566",
            secret_for_signing=b"s" * 32,
        )
        self.ecs = Ecs(call, stage.clock)

    async def furnish(self) -> None:
        await self.ecs("CreateCluster", clusterName="default")
        for number, zone in ((1, "a"), (2, "b"), (3, "a")):
            await self.stage.instance(number, zone)
        ports = [{"containerPort": 80}]
        for _ in range(3):
            await self.ecs.define("web", container={"name": "main", "memory": 64, "portMappings": ports})
        await self.stage.store.transact(self._rules)

    def _rules(self, tx: Tx) -> None:
        now = self.stage.clock.now()
        tx.put(elbv2.LOAD_BALANCERS, elbv2.LoadBalancer(BALANCER, "web", "application", "internal", "web", "Z1", now, "vpc-1"))
        for arn in (BLUE, GREEN, BLUE_TOO, GREEN_TOO):
            tx.put(elbv2.TARGET_GROUPS, elbv2.TargetGroup(arn, arn.split("/")[1], "HTTP", 80, "vpc-1", "instance", now))
        nothing = elb_shapes.Action(type="fixed-response", fixed_response_config=elb_shapes.FixedResponseActionConfig(status_code="404"))
        tx.put(elbv2.LISTENERS, elbv2.Listener(LISTENER, BALANCER, 80, "HTTP", (nothing,)))
        other = BLUE.replace("blue", "other")
        for priority, arn, group in ((1, PRODUCTION, BLUE), (2, TEST, BLUE), (3, FOREIGN, other), (4, PRODUCTION_TOO, BLUE_TOO)):
            forward = elb_shapes.Action(type="forward", target_group_arn=group)
            path = elb_shapes.RuleCondition(field="path-pattern", values=("/*",))
            tx.put(elbv2.RULES, elbv2.Rule(arn, LISTENER, priority, (path,), (forward,)))

    async def create(self, desired: int = 2, *, balanced: bool = True, pairs: int = 1, **configuration: Any) -> dict[str, Any]:
        made = await self.ecs(
            "CreateService",
            serviceName="web",
            taskDefinition="web:1",
            desiredCount=desired,
            loadBalancers=[load_balancer(), second_load_balancer()][:pairs] if balanced else [],
            deploymentConfiguration=configuration,
        )
        await self.stage.settle()
        return dict(made["service"])

    async def created(self, desired: int = 2, *, balanced: bool = True, pairs: int = 1, **configuration: Any) -> None:
        """A service that runs and has been deployed once."""
        await self.create(desired, balanced=balanced, pairs=pairs, **configuration)
        await self.work()
        assert (await self.latest())["status"] == "SUCCESSFUL"

    async def deploy(self, revision: int = 2, **members: Any) -> None:
        await self.stage.step(1)
        await self.ecs("UpdateService", service="web", taskDefinition=f"web:{revision}", **members)
        await self.stage.settle()

    async def work(self) -> None:
        """Agents and balancer do what they were told, until there is nothing to do for them."""
        for _ in range(12):
            await self.stage.run_pending()
            await self.stage.balance()
            await self.stage.step(1 if self.stage.store.count(elbv2.TARGETS) else 41)
            await self.stage.stop_stopping()

    async def deployments(self) -> list[dict[str, Any]]:
        """Newest first, described."""
        listed = (await self.ecs("ListServiceDeployments", service="web"))["serviceDeployments"]
        arns = [one["serviceDeploymentArn"] for one in listed]
        described = (await self.ecs("DescribeServiceDeployments", serviceDeploymentArns=arns))["serviceDeployments"]
        return sorted(described, key=lambda one: arns.index(one["serviceDeploymentArn"]))

    async def latest(self) -> dict[str, Any]:
        return (await self.deployments())[0]

    def weights(self, rule: str = PRODUCTION) -> tuple[int, int]:
        """(blue, green)"""
        found = weights_at(self.stage.store, rule)
        return found.get(BLUE, 0), found.get(GREEN, 0)

    def running(self) -> dict[str, int]:
        """Revision of the task definition -> how many run and are not asked to stop."""
        found: dict[str, int] = {}
        for task in self.stage.tasks("RUNNING"):
            found[task.spec.task_definition_arn[-1]] = found.get(task.spec.task_definition_arn[-1], 0) + 1
        return found


def load_balancer(**advanced: Any) -> dict[str, Any]:
    return {
        "targetGroupArn": BLUE,
        "containerName": "main",
        "containerPort": 80,
        "advancedConfiguration": {
            "alternateTargetGroupArn": GREEN,
            "productionListenerRule": PRODUCTION,
            "testListenerRule": TEST,
            "roleArn": ROLE,
            **advanced,
        },
    }


def second_load_balancer() -> dict[str, Any]:
    made = load_balancer(alternateTargetGroupArn=GREEN_TOO, productionListenerRule=PRODUCTION_TOO)
    made["advancedConfiguration"].pop("testListenerRule")
    return made | {"targetGroupArn": BLUE_TOO}


def turned(lb: dict[str, Any]) -> dict[str, Any]:
    """The same pair of target groups the other way round."""
    advanced = lb["advancedConfiguration"]
    return lb | {
        "targetGroupArn": advanced["alternateTargetGroupArn"],
        "advancedConfiguration": advanced | {"alternateTargetGroupArn": lb["targetGroupArn"]},
    }


def pause(*stages: str, **timeout: Any) -> dict[str, Any]:
    return {"targetType": "PAUSE", "lifecycleStages": list(stages), **({"timeoutConfiguration": timeout} if timeout else {})}


@asynccontextmanager
async def theatre() -> AsyncIterator[Theatre]:
    async with staged() as stage:
        there = Theatre(stage)
        await there.furnish()
        yield there


@asynccontextmanager
async def reborn(before: Theatre) -> AsyncIterator[Theatre]:
    """Another platform that knows nothing but what was written down: every row as the database would give it back."""
    rows = {kind: before.stage.store.list(kind) for kind in (*ecs_kinds.KINDS, *elbv2.KINDS)}
    now = before.stage.clock.now()

    def put(tx: Tx) -> None:
        for kind, values in rows.items():
            for value in values:
                tx.put(kind, msgspec.msgpack.decode(msgspec.msgpack.encode(value), type=kind.type))

    async with staged() as stage:
        await stage.clock.step(now - stage.clock.now())
        await stage.store.transact(put)
        await stage.settle()
        yield Theatre(stage)
