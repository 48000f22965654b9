"""An account asked through the wire: requests go through botocore's serialiser and our parser, answers back through both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar, cast

import botocore.session
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

import longshore.services.acm.operations
import longshore.services.ec2.operations
import longshore.services.elb.operations
import longshore.services.elbv2.operations
import longshore.services.iam.operations  # noqa: F401
from longshore.aws.protocol import ec2, json, query
from longshore.aws.shapes import acm as acm_shapes
from longshore.aws.shapes import ec2 as ec2_shapes
from longshore.aws.shapes import elb as elb_shapes
from longshore.aws.shapes import elbv2 as elbv2_shapes
from longshore.aws.shapes import iam as iam_shapes
from longshore.kit.clock import SteppedClock
from longshore.kit.ids import SeededIds
from longshore.services.acm.api import api as acm_api
from longshore.services.acm.model import KINDS as ACM_KINDS
from longshore.services.call import Call, Principal, Site
from longshore.services.ec2.api import api as ec2_api
from longshore.services.ec2.model import KINDS as EC2_KINDS
from longshore.services.ecs.model import CONTAINER_INSTANCES, TASKS, Attribute, Capacity, ContainerInstance
from longshore.services.elb.api import api as elb_api
from longshore.services.elb.model import KINDS as ELB_KINDS
from longshore.services.elbv2.api import api as elbv2_api
from longshore.services.elbv2.model import KINDS as ELBV2_KINDS
from longshore.services.iam.api import api as iam_api
from longshore.services.iam.kinds import KINDS as IAM_KINDS
from longshore.store.base import Tx
from longshore.store.blobs import BlobStore
from longshore.store.memory import memory_store

ACCOUNT = "123456789012"
REGION = "us-east-1"
ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")
SECRET = b"s" * 32

_session = botocore.session.get_session()
_SHAPES: dict[str, Any] = {"elbv2": elbv2_shapes, "elb": elb_shapes, "ec2": ec2_shapes, "acm": acm_shapes, "iam": iam_shapes}
_PROTOCOLS: dict[str, Any] = {"elbv2": query, "elb": query, "ec2": ec2, "acm": json, "iam": query}
_NAMES = {"elbv2": "query", "elb": "query", "ec2": "ec2", "acm": "json", "iam": "query"}
_APIS = {"elbv2": elbv2_api, "elb": elb_api, "ec2": ec2_api, "acm": acm_api, "iam": iam_api}
_MODELS = {name: _session.get_service_model(name) for name in _APIS}

KINDS = (*EC2_KINDS, *ELBV2_KINDS, *ELB_KINDS, *ACM_KINDS, *IAM_KINDS, CONTAINER_INSTANCES, TASKS)

T = TypeVar("T")


class Cloud:
    """One account in one region, over a store that several may share."""

    def __init__(self, other: Cloud | None = None, *, account_id: str = ACCOUNT, region: str = REGION) -> None:
        self.store = other.store if other else memory_store(KINDS)
        self.clock = other.clock if other else SteppedClock()
        self.region = region
        self.account_id = account_id
        self.call = Call(
            store=self.store,
            blobs=cast(BlobStore, None),  # nothing here stores bytes
            clock=self.clock,
            ids=other.call.ids if other else SeededIds(7),
            site=Site(ACCOUNT, REGION, ZONES, "http://127.0.0.1:4566", 4566),
            principal=Principal(account_id, f"arn:aws:iam::{account_id}:root", account_id, "AKIAROOTROOTROOTROOT"),
            account_id=account_id,
            region=region,
            request_id="5a3b",
            source_ip="127.0.0.1",
            base_url="http://127.0.0.1:4566",
            secret_for_signing=SECRET,
        )

    def elsewhere(self, *, account_id: str = ACCOUNT, region: str = REGION) -> Cloud:
        return Cloud(self, account_id=account_id, region=region)

    def with_zones(self, *zones: str) -> Cloud:
        cloud = Cloud(self)
        cloud.call = replace(self.call, site=replace(self.call.site, zones=zones))
        return cloud

    def request(self, api: str, operation: str, parameters: dict[str, Any]) -> Any:
        """`parameters` as our shape."""
        model = _MODELS[api].operation_model(operation)
        sent = create_serializer(_NAMES[api]).serialize_to_request(parameters, model)["body"]
        shapes = _SHAPES[api]
        body = sent if isinstance(sent, bytes) else botocore.compat.urlencode(sent).encode()
        return _PROTOCOLS[api].parse(shapes.MODEL, shapes.OPERATIONS[operation], body)

    async def ask(self, api: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """The answer as an SDK shows it. Raises the AwsError that would be rendered."""
        declared = _APIS[api].operations[operation]
        request = self.request(api, operation, parameters)
        list(declared.resource(self.call, request))
        response = await declared.handle(self.call, request)
        shapes = _SHAPES[api]
        body, _ = _PROTOCOLS[api].render(shapes.MODEL, shapes.OPERATIONS[operation], response, "5a3b")
        output = _MODELS[api].operation_model(operation).output_shape
        answer = create_parser(_NAMES[api]).parse({"status_code": 200, "headers": {}, "body": body}, output)
        answer.pop("ResponseMetadata", None)
        return cast(dict[str, Any], answer)

    async def elb(self, operation: str, **parameters: Any) -> dict[str, Any]:
        return await self.ask("elbv2", operation, **parameters)

    async def classic(self, operation: str, **parameters: Any) -> dict[str, Any]:
        return await self.ask("elb", operation, **parameters)

    async def iam(self, operation: str, **parameters: Any) -> dict[str, Any]:
        return await self.ask("iam", operation, **parameters)

    async def acm(self, operation: str, **parameters: Any) -> dict[str, Any]:
        return await self.ask("acm", operation, **parameters)

    async def ec2(self, operation: str, **parameters: Any) -> dict[str, Any]:
        return await self.ask("ec2", operation, **parameters)

    def resources(self, api: str, operation: str, **parameters: Any) -> list[str]:
        """What the operation's permission is checked against."""
        return list(_APIS[api].operations[operation].resource(self.call, self.request(api, operation, parameters)))

    async def write(self, fn: Callable[[Tx], T]) -> T:
        """What other parts of the platform write."""
        return await self.store.transact(fn)

    # ── what most tests start from ──────────────────────────────────────────────────────────────────────────────────────

    async def default_subnets(self) -> list[dict[str, Any]]:
        found = (await self.ec2("DescribeSubnets", Filters=[{"Name": "default-for-az", "Values": ["true"]}]))["Subnets"]
        return sorted(found, key=lambda subnet: str(subnet["AvailabilityZone"]))

    async def default_vpc(self) -> dict[str, Any]:
        found = (await self.ec2("DescribeVpcs", Filters=[{"Name": "is-default", "Values": ["true"]}]))["Vpcs"]
        return cast(dict[str, Any], found[0])

    async def load_balancer(self, name: str = "web", **parameters: Any) -> dict[str, Any]:
        if "Subnets" not in parameters and "SubnetMappings" not in parameters:
            parameters["Subnets"] = [subnet["SubnetId"] for subnet in (await self.default_subnets())[:2]]
        return cast(dict[str, Any], (await self.elb("CreateLoadBalancer", Name=name, **parameters))["LoadBalancers"][0])

    async def target_group(self, name: str = "web", **parameters: Any) -> dict[str, Any]:
        settings: dict[str, Any] = {"Protocol": "HTTP", "Port": 80, "VpcId": (await self.default_vpc())["VpcId"], **parameters}
        return cast(dict[str, Any], (await self.elb("CreateTargetGroup", Name=name, **settings))["TargetGroups"][0])

    async def listener(self, load_balancer: dict[str, Any], target_group: dict[str, Any], port: int = 80, **more: Any) -> dict[str, Any]:
        asked: dict[str, Any] = {
            "LoadBalancerArn": load_balancer["LoadBalancerArn"],
            "Protocol": "HTTP",
            "Port": port,
            "DefaultActions": [{"Type": "forward", "TargetGroupArn": target_group["TargetGroupArn"]}],
            **more,
        }
        return cast(dict[str, Any], (await self.elb("CreateListener", **asked))["Listeners"][0])

    async def instance(self, instance_id: str = "i-0123456789abcdef0", *, address: str = "127.0.1.1", **more: Any) -> ContainerInstance:
        """A container instance registers."""
        values: dict[str, Any] = {
            "arn": f"arn:aws:ecs:{self.region}:{self.account_id}:container-instance/default/{instance_id[-8:]}",
            "cluster_arn": f"arn:aws:ecs:{self.region}:{self.account_id}:cluster/default",
            "ec2_instance_id": instance_id,
            "registered_at": self.clock.now(),
            "capacity": Capacity(cpu=2048, memory_mib=4096),
            "attributes": (Attribute("ecs.instance-type", "t3.medium"),),
            "address": address,
            "availability_zone": "us-east-1a",
            **more,
        }
        instance = ContainerInstance(**values)
        return await self.write(lambda tx: tx.put(CONTAINER_INSTANCES, instance))
