"""May these actions forward to the groups they name? Checked inside the transaction that stores them."""

from __future__ import annotations

from longshore.aws.shapes import elbv2 as shapes
from longshore.services.call import Call
from longshore.services.elbv2.errors import (
    IncompatibleProtocols,
    InvalidConfigurationRequest,
    TargetGroupAssociationLimit,
    TooManyUniqueTargetGroupsPerLoadBalancer,
)
from longshore.services.elbv2.lookup import find_target_group, load_balancers_using
from longshore.services.elbv2.model import LISTENERS, RULES, LoadBalancer, target_groups_of
from longshore.services.elbv2.quotas import TARGET_GROUPS_PER_LOAD_BALANCER
from longshore.store.base import Reader

#: listener protocol -> protocols of the target groups it may forward to
_COMPATIBLE = {"HTTP": ("HTTP", "HTTPS"), "HTTPS": ("HTTP", "HTTPS"), "TCP": ("TCP",), "TLS": ("TCP", "TLS")}


def check_forwarding(
    reader: Reader, call: Call, load_balancer: LoadBalancer, listener_protocol: str, actions: tuple[shapes.Action, ...]
) -> None:
    """Raises TargetGroupNotFound, IncompatibleProtocols, InvalidConfigurationRequest or one of the limits."""
    asked = target_groups_of(actions)
    for arn in asked:
        group = find_target_group(reader, call, arn)
        if group.protocol not in _COMPATIBLE[listener_protocol]:
            raise IncompatibleProtocols(
                f"Listener protocol '{listener_protocol}' is not supported with a target group with the protocol '{group.protocol}'"
            )
        if group.vpc_id != load_balancer.vpc_id:
            raise InvalidConfigurationRequest(
                f"The following target groups are in a different VPC than load balancer '{load_balancer.arn}': {arn}"
            )
        if any(other != load_balancer.arn for other in load_balancers_using(reader, arn)):
            raise TargetGroupAssociationLimit(f"The following target groups cannot be associated with more than one load balancer: {arn}")
    if len(target_groups_behind(reader, load_balancer.arn) | set(asked)) > TARGET_GROUPS_PER_LOAD_BALANCER:
        raise TooManyUniqueTargetGroupsPerLoadBalancer


def target_groups_behind(reader: Reader, load_balancer_arn: str) -> set[str]:
    """ARNs of every group that the load balancer's listeners and rules forward to."""
    found: set[str] = set()
    for listener in reader.list(LISTENERS, "load_balancer", load_balancer_arn):
        found.update(target_groups_of(listener.default_actions))
        for rule in reader.list(RULES, "listener", listener.arn):
            found.update(target_groups_of(rule.actions))
    return found
