"""What network load balancers have that others have not: groups for TLS and by weight, and load balancers as targets."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from longshore.aws.errors import AwsError
from longshore.services.elbv2.model import LOAD_BALANCERS, LoadBalancer, LoadBalancerStatus
from tests.services.ec2.wire import Cloud


@pytest.fixture
async def cloud() -> Cloud:
    return Cloud()


async def refused(cloud: Cloud, operation: str, **parameters: Any) -> tuple[str, str]:
    """(code, message)"""
    with pytest.raises(AwsError) as raised:
        await cloud.elb(operation, **parameters)
    return raised.value.wire("query")[0], raised.value.message


def forward(*groups: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    tuples = [{"TargetGroupArn": group["TargetGroupArn"], "Weight": weight} for weight, group in enumerate(groups, 1)]
    return [{"Type": "forward", "ForwardConfig": {"TargetGroups": tuples, **more}}]


async def test_bytes_go_to_groups_for_bytes_and_what_was_tls_to_tls_again_if_wanted(cloud: Cloud) -> None:
    lb = await cloud.load_balancer("net", Type="network")
    tls = await cloud.target_group("tls", Protocol="TLS", Port=443)
    assert (tls["HealthCheckProtocol"], tls["HealthCheckTimeoutSeconds"]) == ("TCP", 10) and "ProtocolVersion" not in tls
    asked = {"LoadBalancerArn": lb["LoadBalancerArn"], "Port": 443, "DefaultActions": forward(tls)}
    assert (await refused(cloud, "CreateListener", Protocol="TCP", **asked))[0] == "IncompatibleProtocols"


async def test_several_groups_share_a_listener_by_weight_and_nobody_is_kept_with_his(cloud: Cloud) -> None:
    lb = await cloud.load_balancer("net", Type="network")
    groups = [await cloud.target_group(name, Protocol="TCP") for name in ("one", "two")]
    asked = {"LoadBalancerArn": lb["LoadBalancerArn"], "Protocol": "TCP", "Port": 80}
    made = (await cloud.elb("CreateListener", **asked, DefaultActions=forward(*groups)))["Listeners"][0]
    assert [group["Weight"] for group in made["DefaultActions"][0]["ForwardConfig"]["TargetGroups"]] == [1, 2]
    sticky = forward(*groups, TargetGroupStickinessConfig={"Enabled": True, "DurationSeconds": 60})
    assert (await refused(cloud, "CreateListener", **(asked | {"Port": 81}), DefaultActions=sticky))[0] == "InvalidLoadBalancerAction"


# ── a load balancer behind another ──


class Chain:
    """An Application Load Balancer with a listener, and a group that it may be the target of."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud

    async def make(self) -> Chain:
        self.web = await self.cloud.target_group("web")
        self.alb = await self.cloud.load_balancer("inner")
        self.listener = await self.cloud.listener(self.alb, self.web, 80)
        self.arn = self.alb["LoadBalancerArn"]
        self.group = await self.cloud.target_group("chain", Protocol="TCP", Port=80, TargetType="alb")
        await self.active()
        return self

    async def active(self, address: str = "127.0.2.1") -> None:
        def change(lb: LoadBalancer) -> LoadBalancer:
            return replace(lb, status=LoadBalancerStatus(state="active", address=address))

        row = self.cloud.store.get(LOAD_BALANCERS, self.arn)
        assert row is not None
        await self.cloud.write(lambda tx: tx.put(LOAD_BALANCERS, change(row)))

    async def register(self, arn: str = "", **more: Any) -> None:
        targets = [{"Id": arn or self.arn, **more}]
        await self.cloud.elb("RegisterTargets", TargetGroupArn=self.group["TargetGroupArn"], Targets=targets)

    async def refused(self, arn: str = "", **more: Any) -> tuple[str, str]:
        targets = [{"Id": arn or self.arn, **more}]
        return await refused(self.cloud, "RegisterTargets", TargetGroupArn=self.group["TargetGroupArn"], Targets=targets)


@pytest.fixture
async def chain(cloud: Cloud) -> Chain:
    return await Chain(cloud).make()


async def test_a_group_for_load_balancers_is_checked_over_http(cloud: Cloud, chain: Chain) -> None:
    assert (chain.group["TargetType"], chain.group["HealthCheckProtocol"], chain.group["Matcher"]) == (
        "alb",
        "HTTP",
        {"HttpCode": "200-399"},
    )
    arn = chain.group["TargetGroupArn"]
    assert (await refused(cloud, "ModifyTargetGroup", TargetGroupArn=arn, HealthCheckProtocol="TCP"))[0] == "ValidationError"
    attributes = (await cloud.elb("DescribeTargetGroupAttributes", TargetGroupArn=arn))["Attributes"]
    assert {"Key": "preserve_client_ip.enabled", "Value": "true"} in attributes
    assert (
        await refused(
            cloud,
            "ModifyTargetGroupAttributes",
            TargetGroupArn=arn,
            Attributes=[{"Key": "proxy_protocol_v2.enabled", "Value": "true"}],
        )
    )[0] == "ValidationError"


async def test_a_load_balancer_is_registered_by_its_arn_where_it_listens(chain: Chain) -> None:
    await chain.register()
    (shown,) = (await chain.cloud.elb("DescribeTargetHealth", TargetGroupArn=chain.group["TargetGroupArn"]))["TargetHealthDescriptions"]
    assert (shown["Target"]["Id"], shown["Target"]["Port"]) == (chain.arn, 80)


async def test_only_an_active_load_balancer_that_listens_there_can_be_a_target(chain: Chain) -> None:
    cloud = chain.cloud
    assert (await chain.refused(Port=81))[0] == "InvalidTarget"
    assert (await chain.refused("10.0.0.1"))[0] == "InvalidTarget"
    assert (await chain.refused(AvailabilityZone="us-east-1a"))[0] == "ValidationError"
    network = await cloud.load_balancer("net", Type="network")
    assert (await chain.refused(network["LoadBalancerArn"]))[0] == "InvalidTarget"
    deaf = await cloud.load_balancer("deaf")
    assert "has no listener on port 80" in (await chain.refused(deaf["LoadBalancerArn"]))[1]
    foreign = cloud.elsewhere(account_id="210987654321")
    assert (await chain.refused((await foreign.load_balancer("web"))["LoadBalancerArn"]))[0] == "InvalidTarget"
    await chain.active("")
    assert "not in the active state" in (await chain.refused())[1]


async def test_there_is_one_target(chain: Chain) -> None:
    await chain.register()
    await chain.register()
    second = Chain(chain.cloud)
    second.alb = await chain.cloud.load_balancer("second")
    second.arn = second.alb["LoadBalancerArn"]
    await chain.cloud.listener(second.alb, await chain.cloud.target_group("other"), 80)
    await second.active("127.0.2.2")
    assert (await chain.refused(second.arn))[0] == "TooManyTargets"


async def test_what_is_a_target_cannot_be_deleted_nor_its_port_changed(chain: Chain) -> None:
    cloud = chain.cloud
    await chain.register()
    listener = chain.listener["ListenerArn"]
    assert (await refused(cloud, "DeleteLoadBalancer", LoadBalancerArn=chain.arn))[0] == "ResourceInUse"
    assert (await refused(cloud, "DeleteListener", ListenerArn=listener))[1] == (
        f"Listener port '80' is in use by registered target '{chain.arn}' and cannot be removed."
    )
    assert (await refused(cloud, "ModifyListener", ListenerArn=listener, Port=81))[0] == "ResourceInUse"
    await cloud.elb("DeregisterTargets", TargetGroupArn=chain.group["TargetGroupArn"], Targets=[{"Id": chain.arn}])
    await cloud.elb("DeleteListener", ListenerArn=listener)
    await cloud.elb("DeleteLoadBalancer", LoadBalancerArn=chain.arn)
