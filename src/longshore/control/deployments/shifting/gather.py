"""Reads from the store where a deployment that shifts traffic is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from longshore.aws.shapes import ecs as shapes
from longshore.control.deployments.shifting.stages import Hook, Shift
from longshore.services.ecs.model import Task
from longshore.services.ecs.rollout.model import SERVICE_DEPLOYMENTS, Service, ServiceDeployment, ServiceSpec
from longshore.services.ecs.rollout.revisions import settings_of
from longshore.services.ecs.rollout.traffic import LoadBalancers, has_test_rule, has_two_sides
from longshore.services.elbv2.following import is_followed
from longshore.services.elbv2.shifting import listener_at
from longshore.store.base import Reader

#: what ECS takes where nothing is said
CANARY_PERCENT, CANARY_BAKE_MIN = 5.0, 10
LINEAR_PERCENT, LINEAR_BAKE_MIN = 10.0, 6
HOOK_MIN = 1440


def shift_of(reader: Reader, service: Service, tasks: Sequence[Task]) -> Shift | None:
    """None unless a deployment of the service is under way that shifts traffic."""
    for one in reader.list(SERVICE_DEPLOYMENTS, "open", service.arn):
        if one.spec is not None and one.spec.strategy != "ROLLING":
            return _shift(reader, service, one, one.spec, tasks)
    return None


def _shift(reader: Reader, service: Service, one: ServiceDeployment, spec: ServiceSpec, tasks: Sequence[Task]) -> Shift:
    load_balancers = settings_of(reader, service, one.deployment_id).load_balancers
    # where nothing runs yet there is nothing to go easy on
    percents, between_min = steps_of(spec) if one.source_deployment_id else ((100.0,), 0)
    leaving = Counter(task.spec.deployment_id for task in tasks if task.stop is not None)
    return Shift(
        service_deployment_arn=one.arn,
        blue=one.source_deployment_id,
        green=one.deployment_id,
        stage=one.stage,
        stage_at=one.stage_at,
        step=one.step,
        percents=percents,
        step_bake_s=between_min * 60.0,
        bake_s=spec.bake_time_min * 60.0,
        production_percent=one.production_percent,
        shifted_at=one.shifted_at,
        followed=all(is_followed(reader, arn) for arn in _load_balancers(reader, load_balancers)),
        balanced=has_two_sides(load_balancers),
        tested=has_test_rule(load_balancers),
        hooks=tuple(_hook(hook) for hook in spec.lifecycle_hooks),
        pauses=one.pauses,
        wish=one.status_reason if one.status == "ROLLBACK_REQUESTED" else "",
        rolling_back=one.rollback_reason if one.rollback_at is not None else "",
        leaving=tuple(sorted(leaving.items())),
    )


def _load_balancers(reader: Reader, load_balancers: LoadBalancers) -> set[str]:
    """ARNs of those whose rules are rewritten; "" for a rule that is there no more."""
    configurations = [lb.advanced_configuration for lb in load_balancers if lb.advanced_configuration is not None]
    rules = [arn for one in configurations for arn in (one.production_listener_rule, one.test_listener_rule) if arn]
    listeners = [listener_at(reader, arn) for arn in rules]
    return {listener.load_balancer_arn if listener is not None else "" for listener in listeners}


def steps_of(spec: ServiceSpec) -> tuple[tuple[float, ...], int]:
    """(percent of production traffic after each step, minutes between steps)."""
    if spec.strategy == "CANARY":
        canary = spec.canary or shapes.CanaryConfiguration()
        percent = CANARY_PERCENT if canary.canary_percent is None else canary.canary_percent
        bake = CANARY_BAKE_MIN if canary.canary_bake_time_in_minutes is None else canary.canary_bake_time_in_minutes
        return ((percent, 100.0) if percent < 100 else (100.0,)), bake
    if spec.strategy == "LINEAR":
        linear = spec.linear or shapes.LinearConfiguration()
        percent = LINEAR_PERCENT if linear.step_percent is None else linear.step_percent
        bake = LINEAR_BAKE_MIN if linear.step_bake_time_in_minutes is None else linear.step_bake_time_in_minutes
        return _stairs(percent), bake
    return (100.0,), 0


def _stairs(percent: float) -> tuple[float, ...]:
    """Multiples of `percent`, in tenths so that they are exact, and 100 in the end."""
    tenths = max(1, round(percent * 10))
    return (*(step / 10 for step in range(tenths, 1000, tenths)), 100.0)


def _hook(hook: shapes.DeploymentLifecycleHook) -> Hook:
    timeout = hook.timeout_configuration or shapes.DeploymentLifecycleHookTimeoutConfiguration()
    minutes = HOOK_MIN if timeout.timeout_in_minutes is None else timeout.timeout_in_minutes
    return Hook(frozenset(hook.lifecycle_stages or ()), minutes * 60.0, timeout.action or "ROLLBACK")
