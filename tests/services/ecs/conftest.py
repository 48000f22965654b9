"""ECS's operations called as the gateway calls them: requests parsed from JSON, answers rendered and read back by botocore."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import botocore.parsers
import botocore.session
import pytest
from botocore.model import ServiceModel
from msgspec.structs import replace as changed

from longshore.aws.errors import AwsError
from longshore.aws.protocol import json as codec
from longshore.aws.shapes import ecs as shapes
from longshore.kit.clock import SteppedClock
from longshore.kit.ids import SeededIds
from longshore.services.call import Call, Principal, Site
from longshore.services.ec2 import model as ec2_model
from longshore.services.ec2.defaults import ensure_default_network
from longshore.services.ecs import operations
from longshore.services.ecs.api import api
from longshore.services.ecs.kinds import KINDS
from longshore.services.ecs.model import CONTAINER_INSTANCES
from longshore.services.elb import model as elb_model
from longshore.services.elbv2 import model as elbv2_model
from longshore.services.sts import model as sts_model
from longshore.store.memory import memory_store
from longshore.store.memory_blobs import MemoryBlobStore

assert operations  # importing it registers them

ACCOUNT, REGION = "000000000000", "us-east-1"
ZONES = ("us-east-1a", "us-east-1b")
SITE = Site(account_id=ACCOUNT, region=REGION, zones=ZONES, endpoint="http://127.0.0.1:4566", port=4566)
ROOT = Principal(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT, "AKIAROOT")


@cache
def botocore_model() -> ServiceModel:
    return botocore.session.get_session().get_service_model("ecs")


@dataclass
class Ecs:
    """`await ecs("CreateCluster", clusterName="web")` gives what boto3 would give, or raises the AwsError."""

    call: Call
    clock: SteppedClock

    async def __call__(self, operation: str, **members: Any) -> dict[str, Any]:
        shape = shapes.OPERATIONS.get(operation) or api.extensions[operation]
        request = codec.parse(shapes.MODEL, shape, json.dumps(members).encode())
        declared = api.operations[operation]
        assert list(declared.resource(self.call, request))
        if declared.conditions is not None:
            declared.conditions(self.call, request)
        if declared.also is not None:
            list(declared.also(self.call, request))
        response = await declared.handle(self.call, request)
        body, _ = codec.render(shapes.MODEL, shape, response, "request-1")
        if operation in api.extensions:
            return dict(json.loads(body))
        output = botocore_model().operation_model(operation).output_shape
        parsed = botocore.parsers.create_parser("json").parse({"body": body, "headers": {}, "status_code": 200}, output)
        parsed.pop("ResponseMetadata")
        return dict(parsed)

    async def refused(self, operation: str, **members: Any) -> tuple[str, str]:
        """(code, message) of the error."""
        with pytest.raises(AwsError) as caught:
            await self(operation, **members)
        return caught.value.wire("json")[0], caught.value.message

    def elsewhere(self, *, region: str = REGION, account: str = ACCOUNT) -> Ecs:
        return replace(self, call=replace(self.call, region=region, account_id=account))

    async def cluster(self, name: str = "default") -> str:
        arn: str = (await self("CreateCluster", clusterName=name))["cluster"]["clusterArn"]
        return arn

    async def instance(
        self,
        number: int = 1,
        *,
        cluster: str = "default",
        cpu: int = 2048,
        memory: int = 2048,
        zone: str = ZONES[0],
        attributes: tuple[tuple[str, str], ...] = (),
        connected: bool = True,
        more: tuple[dict[str, Any], ...] = (),
    ) -> str:
        """A registered container instance whose agent is connected; its ARN."""
        document = {
            "instanceId": f"i-{number:017x}",
            "privateIp": f"127.0.1.{number}",
            "availabilityZone": zone,
            "instanceType": "longshore.local",
            "architecture": "x86_64",
        }
        registered = await self(
            "RegisterContainerInstance",
            cluster=cluster,
            instanceIdentityDocument=json.dumps(document),
            instanceIdentityDocumentSignature="",
            totalResources=[*resources(cpu, memory), *more],
            attributes=[{"name": name, "value": value} for name, value in attributes],
        )
        arn: str = registered["containerInstance"]["containerInstanceArn"]
        if connected:
            await self.connect(arn)
        return arn

    async def connect(self, arn: str, *, connected: bool = True) -> None:
        def write(tx: Any) -> None:
            instance = tx.get(CONTAINER_INSTANCES, arn)
            tx.put(CONTAINER_INSTANCES, changed(instance, agent_connected=connected))

        await self.call.store.transact(write)

    async def define(self, family: str = "web", **members: Any) -> str:
        """A registered task definition of one small container; its ARN."""
        container = {"name": "app", "image": "busybox", "memory": 128, **members.pop("container", {})}
        members = {"containerDefinitions": [container], **members}
        arn: str = (await self("RegisterTaskDefinition", family=family, **members))["taskDefinition"]["taskDefinitionArn"]
        return arn

    async def report(self, task: str, status: str, **members: Any) -> None:
        await self("SubmitTaskStateChange", cluster=task.split("/")[1], task=task, status=status, reason="", **members)


def resources(cpu: int, memory: int, ports: tuple[str, ...] = ("22",)) -> list[dict[str, Any]]:
    return [
        {"name": "CPU", "type": "INTEGER", "integerValue": cpu},
        {"name": "MEMORY", "type": "INTEGER", "integerValue": memory},
        {"name": "PORTS", "type": "STRINGSET", "stringSetValue": list(ports)},
        {"name": "PORTS_UDP", "type": "STRINGSET", "stringSetValue": []},
    ]


@pytest.fixture
async def ecs() -> AsyncIterator[Ecs]:
    clock = SteppedClock()
    store = memory_store((*KINDS, *elbv2_model.KINDS, *elb_model.KINDS, *ec2_model.KINDS, *sts_model.KINDS))
    await store.transact(lambda tx: ensure_default_network(tx, ACCOUNT, REGION, ZONES, clock.now()))
    call = Call(
        store=store,
        blobs=MemoryBlobStore(),
        clock=clock,
        ids=SeededIds(1),
        site=SITE,
        principal=ROOT,
        account_id=ACCOUNT,
        region=REGION,
        request_id="request-1",
        source_ip="127.0.0.1",
        base_url="http://127.0.0.1:4566",
        secret_for_signing=b"s" * 32,
    )
    yield Ecs(call, clock)
    await store.close()
