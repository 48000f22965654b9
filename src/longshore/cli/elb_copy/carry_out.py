"""Creates what a plan says, in order; where one request is refused, what was created before it is deleted again."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from longshore.cli.client import Platform
from longshore.cli.elb_copy.plan import Destination, Plan, Subnet
from longshore.cli.outcome import Failure

SERVICE, VERSION = "elasticloadbalancing", "2015-12-01"
_EC2_VERSION = "2016-11-15"


class _Arn(msgspec.Struct, frozen=True, rename="pascal"):
    load_balancer_arn: str = ""
    target_group_arn: str = ""
    listener_arn: str = ""
    load_balancer_name: str = ""
    target_group_name: str = ""
    dns_name: str = msgspec.field(default="", name="DNSName")


class _LoadBalancers(msgspec.Struct, frozen=True, rename="pascal"):
    load_balancers: tuple[_Arn, ...] | None = None
    next_marker: str | None = None


class _TargetGroups(msgspec.Struct, frozen=True, rename="pascal"):
    target_groups: tuple[_Arn, ...] | None = None
    next_marker: str | None = None


class _Listeners(msgspec.Struct, frozen=True, rename="pascal"):
    listeners: tuple[_Arn, ...] | None = None


class _Done(msgspec.Struct, frozen=True):
    pass


class _Subnet(msgspec.Struct, frozen=True, rename="camel"):
    subnet_id: str
    availability_zone: str
    vpc_id: str
    default_for_az: bool = False


class _Subnets(msgspec.Struct, frozen=True, rename="camel"):
    subnet_set: tuple[_Subnet, ...] | None = None


class _SecurityGroup(msgspec.Struct, frozen=True, rename="camel"):
    group_id: str


class _SecurityGroups(msgspec.Struct, frozen=True, rename="camel"):
    security_group_info: tuple[_SecurityGroup, ...] | None = None


class Copied(msgspec.Struct, frozen=True, rename="camel"):
    load_balancer_arn: str
    dns_name: str
    target_group_arns: tuple[str, ...]


def look_around(platform: Platform) -> Destination:
    """What there is where the copy is to be made."""
    subnets = platform.query("ec2", _EC2_VERSION, "DescribeSubnets", {}, _Subnets, flat=True).subnet_set or ()
    groups = platform.query("ec2", _EC2_VERSION, "DescribeSecurityGroups", {}, _SecurityGroups, flat=True).security_group_info or ()
    return Destination(
        subnets=tuple(Subnet(one.subnet_id, one.availability_zone, one.vpc_id, one.default_for_az) for one in subnets),
        security_groups=tuple(one.group_id for one in groups),
        load_balancers=_names_of_load_balancers(platform),
        target_groups=_names_of_target_groups(platform),
    )


def _names_of_load_balancers(platform: Platform) -> tuple[str, ...]:
    names: list[str] = []
    marker = None
    while True:
        page = platform.query(SERVICE, VERSION, "DescribeLoadBalancers", {"Marker": marker}, _LoadBalancers)
        names += [one.load_balancer_name for one in page.load_balancers or ()]
        marker = page.next_marker
        if not marker:
            return tuple(names)


def _names_of_target_groups(platform: Platform) -> tuple[str, ...]:
    names: list[str] = []
    marker = None
    while True:
        page = platform.query(SERVICE, VERSION, "DescribeTargetGroups", {"Marker": marker}, _TargetGroups)
        names += [one.target_group_name for one in page.target_groups or ()]
        marker = page.next_marker
        if not marker:
            return tuple(names)


def carry_out(platform: Platform, plan: Plan) -> Copied:
    """Raises Failure with what was refused; nothing of the plan is there then, or the failure says what could not be deleted."""
    undo: list[tuple[str, dict[str, object]]] = []
    try:
        return _create(platform, plan, undo)
    except BaseException as error:  # a user who interrupts leaves nothing half-made either
        left = _take_back(platform, undo)
        if not isinstance(error, Failure):
            raise
        fix = f"could not be deleted again: {', '.join(left)}" if left else "nothing was left behind"
        raise Failure(error.cause, fix, error.code) from error


def _create(platform: Platform, plan: Plan, undo: list[tuple[str, dict[str, object]]]) -> Copied:
    def ask(operation: str, parameters: Mapping[str, object]) -> None:
        platform.query(SERVICE, VERSION, operation, parameters, _Done)

    arns: dict[str, str] = {}
    for group in plan.groups:
        made = platform.query(SERVICE, VERSION, "CreateTargetGroup", group.request, _TargetGroups)
        arns[group.name] = arn = (made.target_groups or ())[0].target_group_arn
        undo.append(("DeleteTargetGroup", {"TargetGroupArn": arn}))
        ask("ModifyTargetGroupAttributes", {"TargetGroupArn": arn, "Attributes": _pairs(group.attributes)})
    created = (platform.query(SERVICE, VERSION, "CreateLoadBalancer", plan.load_balancer, _LoadBalancers).load_balancers or ())[0]
    undo.append(("DeleteLoadBalancer", {"LoadBalancerArn": created.load_balancer_arn}))
    if plan.attributes:
        ask("ModifyLoadBalancerAttributes", {"LoadBalancerArn": created.load_balancer_arn, "Attributes": _pairs(plan.attributes)})
    for group in plan.groups:
        if plan.targets:
            targets = [{"Id": instance_id} for instance_id in plan.targets]
            ask("RegisterTargets", {"TargetGroupArn": arns[group.name], "Targets": targets})
    for listener in plan.listeners:
        forward = [{"Type": "forward", "TargetGroupArn": arns[listener.group]}]
        asked: dict[str, object] = {"LoadBalancerArn": created.load_balancer_arn, **listener.request, "DefaultActions": forward}
        made_listener = (platform.query(SERVICE, VERSION, "CreateListener", asked, _Listeners).listeners or ())[0]
        if listener.attributes:
            ask("ModifyListenerAttributes", {"ListenerArn": made_listener.listener_arn, "Attributes": _pairs(listener.attributes)})
    return Copied(created.load_balancer_arn, created.dns_name, tuple(arns.values()))


def _pairs(attributes: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in attributes.items()]


def _take_back(platform: Platform, undo: list[tuple[str, dict[str, object]]]) -> list[str]:
    """In the opposite order; gives the ARNs of what would not go."""
    left: list[str] = []
    for operation, parameters in reversed(undo):
        try:
            platform.query(SERVICE, VERSION, operation, parameters, _Done)
        except Failure:
            left += [str(arn) for arn in parameters.values()]
    return left
