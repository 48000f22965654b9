"""How a service may be deployed: its deployment configuration, and what its load balancers must bring for traffic to be shifted.

Everything here is decided from values and from what the store says of rules and target groups; nothing is written.
"""

from __future__ import annotations

from msgspec.structs import replace

from longshore.aws.shapes import ecs as shapes
from longshore.services.call import Call
from longshore.services.ecs.errors import InvalidParameterException, UnsupportedFeatureException
from longshore.services.ecs.rollout.model import DEPLOYMENTS, SERVICES, Service, ServiceSpec, shifting_rules
from longshore.services.elbv2.model import LISTENERS, LOAD_BALANCERS, RULES, TARGET_GROUPS, Listener, TargetGroup
from longshore.services.elbv2.shifting import actions_at, listener_at, weights_at
from longshore.store.base import Reader

SHIFTING = ("BLUE_GREEN", "CANARY", "LINEAR")
MOST_MINUTES = 1440
#: a pause may last for two weeks
MOST_PAUSE_MINUTES = 14 * 1440
#: stages at which ECS lets functions run, and nothing pause
_ONLY = "the deployment strategies BLUE_GREEN, CANARY and LINEAR"
_NO_PAUSE = ("TEST_TRAFFIC_SHIFT", "PRODUCTION_TRAFFIC_SHIFT")


# ── the deployment configuration ────────────────────────────────────────────────────────────────────────────────────


def with_configuration(spec: ServiceSpec, given: shapes.DeploymentConfiguration | None) -> ServiceSpec:
    """`spec` with what `given` says about deployments; what it leaves out stays. Raises InvalidParameterException or
    UnsupportedFeatureException."""
    if given is None:
        return spec
    _check_offered(given)
    minimum = spec.minimum_healthy_percent if given.minimum_healthy_percent is None else given.minimum_healthy_percent
    maximum = spec.maximum_percent if given.maximum_percent is None else given.maximum_percent
    _check_percentages(minimum, maximum)
    changed = replace(
        spec,
        minimum_healthy_percent=minimum,
        maximum_percent=maximum,
        circuit_breaker=given.deployment_circuit_breaker or spec.circuit_breaker,
    )
    return _with_strategy(changed, given)


def _check_percentages(minimum: int, maximum: int) -> None:
    if not 0 <= minimum <= 100:
        raise InvalidParameterException("minimumHealthyPercent must be between 0 and 100.")
    if not 100 <= maximum <= 1000:
        raise InvalidParameterException("maximumPercent must be between 100 and 1000.")
    if minimum == 100 and maximum == 100:
        raise InvalidParameterException("Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments.")


def _check_offered(given: shapes.DeploymentConfiguration) -> None:
    if given.alarms is not None and given.alarms.enable:
        raise UnsupportedFeatureException("Deployment alarms are not offered by this installation.")
    if given.early_success_criteria is not None and given.early_success_criteria.enable:
        raise UnsupportedFeatureException("Early success criteria are not offered by this installation.")
    breaker = given.deployment_circuit_breaker
    if breaker is not None and breaker.rollback and not breaker.enable:
        raise InvalidParameterException("Deployment circuit breaker rollback cannot be enabled without enabling the circuit breaker.")


def _with_strategy(spec: ServiceSpec, given: shapes.DeploymentConfiguration) -> ServiceSpec:
    """What belongs to one strategy does not outlive it."""
    strategy = given.strategy or spec.strategy
    if strategy != spec.strategy:
        spec = replace(spec, strategy=strategy, bake_time_min=0, canary=None, linear=None, lifecycle_hooks=())
    if given.canary_configuration is not None and strategy != "CANARY":
        raise InvalidParameterException("canaryConfiguration is only valid for the deployment strategy CANARY.")
    if given.linear_configuration is not None and strategy != "LINEAR":
        raise InvalidParameterException("linearConfiguration is only valid for the deployment strategy LINEAR.")
    if strategy == "ROLLING":
        if given.bake_time_in_minutes:
            raise UnsupportedFeatureException(f"bakeTimeInMinutes is offered for {_ONLY} only.")
        if given.lifecycle_hooks:
            raise UnsupportedFeatureException(
                "Lifecycle hooks are offered for the deployment strategies BLUE_GREEN, CANARY and LINEAR only."
            )
        return spec
    if spec.scheduling_strategy == "DAEMON":
        raise InvalidParameterException(f"The deployment strategy {strategy} is not supported for the scheduling strategy DAEMON.")
    bake = spec.bake_time_min if given.bake_time_in_minutes is None else given.bake_time_in_minutes
    return replace(
        spec,
        bake_time_min=_minutes("bakeTimeInMinutes", bake),
        canary=_checked_canary(given.canary_configuration) or spec.canary,
        linear=_checked_linear(given.linear_configuration) or spec.linear,
        lifecycle_hooks=spec.lifecycle_hooks if given.lifecycle_hooks is None else tuple(map(_checked_hook, given.lifecycle_hooks)),
    )


def _minutes(name: str, minutes: int) -> int:
    if not 0 <= minutes <= MOST_MINUTES:
        raise InvalidParameterException(f"{name} must be between 0 and {MOST_MINUTES}.")
    return minutes


def _percent(name: str, percent: float | None, least: float) -> None:
    if percent is not None and not (least <= percent <= 100 and abs(percent * 10 - round(percent * 10)) < 1e-6):
        raise InvalidParameterException(f"{name} must be a multiple of 0.1 between {least} and 100.0.")


def _checked_canary(given: shapes.CanaryConfiguration | None) -> shapes.CanaryConfiguration | None:
    if given is not None:
        _percent("canaryPercent", given.canary_percent, 0.1)
        _minutes("canaryBakeTimeInMinutes", given.canary_bake_time_in_minutes or 0)
    return given


def _checked_linear(given: shapes.LinearConfiguration | None) -> shapes.LinearConfiguration | None:
    if given is not None:
        _percent("stepPercent", given.step_percent, 3.0)
        _minutes("stepBakeTimeInMinutes", given.step_bake_time_in_minutes or 0)
    return given


def _checked_hook(hook: shapes.DeploymentLifecycleHook) -> shapes.DeploymentLifecycleHook:
    if hook.target_type != "PAUSE":
        raise UnsupportedFeatureException(
            "Lifecycle hooks that invoke Lambda functions are not offered by this installation. Use the target type PAUSE."
        )
    if hook.hook_target_arn or hook.role_arn or hook.hook_details is not None:
        raise InvalidParameterException("hookTargetArn, roleArn and hookDetails are not valid for PAUSE lifecycle hooks.")
    if not hook.lifecycle_stages:
        raise InvalidParameterException("lifecycleStages of a lifecycle hook must not be empty.")
    for stage in hook.lifecycle_stages:
        if stage in _NO_PAUSE:
            raise InvalidParameterException(f"PAUSE lifecycle hooks are not supported at the lifecycle stage {stage}.")
    timeout = hook.timeout_configuration
    minutes = timeout.timeout_in_minutes if timeout is not None else None
    if minutes is not None and not 1 <= minutes <= MOST_PAUSE_MINUTES:
        raise InvalidParameterException(f"timeoutInMinutes must be between 1 and {MOST_PAUSE_MINUTES}.")
    return hook


# ── load balancers that shift traffic ───────────────────────────────────────────────────────────────────────────────


def check_shifting(reader: Reader, call: Call, service_arn: str, spec: ServiceSpec, before: ServiceSpec | None) -> None:
    """What traffic is to be shifted by must be there: an alternate target group, and rules that forward; to nobody else, whose
    share would be lost, than to the service's target groups as they are wanted and as they were `before`; and no other service's."""
    own = _groups_of(spec) | (_groups_of(before) if before is not None else set())
    named: list[str] = []
    for lb in spec.load_balancers:
        if lb.advanced_configuration is not None:
            advanced = lb.advanced_configuration
            _check_advanced(reader, call, lb, advanced)
            named += [lb.target_group_arn or "", advanced.alternate_target_group_arn or ""]
        elif spec.strategy != "ROLLING":
            raise InvalidParameterException(
                f"advancedConfiguration is required for load balancers of services with the deployment strategy {spec.strategy}."
            )
    if len(set(named)) != len(named):
        raise InvalidParameterException("Target groups and alternate target groups of a service must differ from each other.")
    rules = shifting_rules(spec)
    if len(set(rules)) != len(rules):
        raise InvalidParameterException("The production and test listener rules of a service must differ from each other.")
    for rule in rules:
        if others := sorted(weights_at(reader, rule).keys() - own):
            raise InvalidParameterException(f"The listener rule {rule} forwards to other target groups, too: {', '.join(others)}")
        for other in reader.list(SERVICES, "shifting_rule", rule):
            if other.arn != service_arn:
                raise InvalidParameterException(f"The listener rule {rule} shifts the traffic of the service {other.name} already.")


def _groups_of(spec: ServiceSpec) -> set[str]:
    groups = {lb.target_group_arn or "" for lb in spec.load_balancers}
    return groups | {
        lb.advanced_configuration.alternate_target_group_arn or "" for lb in spec.load_balancers if lb.advanced_configuration is not None
    }


def check_reachable(reader: Reader, service: Service, after: ServiceSpec) -> None:
    """Who gives up shifting traffic names the target group that has it now: nobody moves it any more."""
    before = {(lb.container_name, lb.container_port): lb for lb in service.spec.load_balancers if lb.advanced_configuration is not None}
    primary = next((one for one in reader.list(DEPLOYMENTS, "service", service.arn) if one.status == "PRIMARY"), None)
    for lb in after.load_balancers:
        old = before.get((lb.container_name, lb.container_port))
        if primary is None or not primary.alternate or old is None or lb.advanced_configuration is not None:
            continue
        if lb.target_group_arn == old.target_group_arn and old.advanced_configuration is not None:
            raise InvalidParameterException(
                f"The target group {lb.target_group_arn} gets no production traffic: "
                f"it goes to {old.advanced_configuration.alternate_target_group_arn}. Name that one to give up advancedConfiguration."
            )


def _check_advanced(reader: Reader, call: Call, lb: shapes.LoadBalancer, advanced: shapes.AdvancedConfiguration) -> None:
    if not advanced.alternate_target_group_arn:
        raise InvalidParameterException("alternateTargetGroupArn of an advancedConfiguration must not be empty.")
    if not advanced.production_listener_rule:
        raise InvalidParameterException("productionListenerRule of an advancedConfiguration must not be empty.")
    if not advanced.role_arn:
        raise InvalidParameterException("roleArn of an advancedConfiguration must not be empty.")
    group = _group(reader, call, lb.target_group_arn or "")
    alternate = _group(reader, call, advanced.alternate_target_group_arn)
    if (alternate.target_type, alternate.protocol, alternate.vpc_id) != (group.target_type, group.protocol, group.vpc_id):
        raise InvalidParameterException("The alternate target group must have the target type, protocol and VPC of the target group.")
    production = _listener(reader, call, advanced.production_listener_rule, "production")
    if advanced.test_listener_rule:
        test = _listener(reader, call, advanced.test_listener_rule, "test")
        if test.load_balancer_arn != production.load_balancer_arn:
            raise InvalidParameterException("The production and the test listener rule must be of the same load balancer.")
    for one in (group, alternate):
        elsewhere = _used_by(reader, one.arn) - {production.load_balancer_arn}
        if elsewhere:
            raise InvalidParameterException(f"The target group {one.arn} is associated with another load balancer.")


def _group(reader: Reader, call: Call, arn: str) -> TargetGroup:
    group = reader.get(TARGET_GROUPS, arn) if arn.startswith(call.arn("elasticloadbalancing", "targetgroup/")) else None
    if group is None or group.classic:
        raise InvalidParameterException(f"The specified target group {arn[:300]} does not exist.")
    return group


def _listener(reader: Reader, call: Call, rule: str, what: str) -> Listener:
    """The one whose rule that is."""
    if rule.startswith(call.arn("elasticloadbalancing", "listener/net/")):
        raise UnsupportedFeatureException("Traffic is shifted by rules of Application Load Balancers only.")
    own = rule.startswith(call.arn("elasticloadbalancing", "listener-rule/"))
    listener = listener_at(reader, rule) if own else None
    if listener is None or reader.get(LOAD_BALANCERS, listener.load_balancer_arn) is None:
        raise InvalidParameterException(f"The specified {what} listener rule does not exist.")
    actions = actions_at(reader, rule)
    if not actions or actions[-1].type != "forward":
        raise InvalidParameterException(f"The specified {what} listener rule does not forward to target groups.")
    return listener


def _used_by(reader: Reader, group_arn: str) -> set[str]:
    found = {listener.load_balancer_arn for listener in reader.list(LISTENERS, "target_group", group_arn)}
    for rule in reader.list(RULES, "target_group", group_arn):
        listener = reader.get(LISTENERS, rule.listener_arn)
        if listener is not None:
            found.add(listener.load_balancer_arn)
    return found
