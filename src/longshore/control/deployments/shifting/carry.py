"""Carries out one step of a deployment that shifts traffic: its stage, its rules and its pauses change together."""

from __future__ import annotations

import hashlib
import logging

from msgspec.structs import replace

from longshore.control.deployments.shifting.gather import shift_of
from longshore.control.deployments.shifting.stages import Shift, Step
from longshore.services.ecs.rollout.model import (
    DEPLOYMENTS,
    SERVICE_DEPLOYMENTS,
    SERVICE_REVISIONS,
    Pause,
    Service,
    ServiceDeployment,
    given_up,
)
from longshore.services.ecs.rollout.revisions import settings_of, with_deployed
from longshore.services.ecs.rollout.traffic import shift_production, shift_test
from longshore.store.base import Tx

log = logging.getLogger("longshore.control.deployments")


def take_step(tx: Tx, service: Service, step: Step, now: float) -> Service:
    """Returns the service as it is to be kept: a rollback gives it back what it ran before."""
    shift = shift_of(tx, service, ())
    return service if shift is None else _take(tx, service, shift, step, now)


def _take(tx: Tx, service: Service, shift: Shift, step: Step, now: float) -> Service:
    under_way = tx.get(SERVICE_DEPLOYMENTS, shift.service_deployment_arn)
    if under_way is None or under_way.is_over:
        return service
    if step.roll_back:
        return _roll_back(tx, service, shift, step, under_way, now)
    obstacle = _shift_traffic(tx, service, shift, step, now)
    if obstacle:
        why = f"Service deployment rolled back because {obstacle}."
        back = Step(roll_back=why) if shift.blue else Step(give_up=why)
        return _take(tx, service, shift, back, now)
    changed = replace(under_way, updated_at=now)
    if under_way.status == "PENDING":
        changed = replace(changed, status="IN_PROGRESS", started_at=now)
    if step.stage:
        changed = _entered(changed, shift, step, now)
    if step.timed_out:
        pauses = (replace(pause, status="TIMED_OUT") if pause.id in step.timed_out else pause for pause in changed.pauses)
        changed = replace(changed, pauses=tuple(pauses))
    if step.finish:
        changed = replace(changed, status=step.finish, finished_at=now)
    if step.give_up:
        changed = replace(changed, status="STOPPED", status_reason=step.give_up, stopped_at=now, finished_at=now, broken=step.broken)
        _fail(tx, shift.green, "PRIMARY", step.give_up, now)
    if changed.is_over:
        changed = replace(changed, pauses=given_up(changed.pauses))
    tx.put(SERVICE_DEPLOYMENTS, changed)
    log.info("(service %s) %s: %s %s", service.name, changed.arn.rsplit("/", 1)[-1], changed.status, changed.stage)
    return service


def _entered(under_way: ServiceDeployment, shift: Shift, step: Step, now: float) -> ServiceDeployment:
    pauses = tuple(_pause(shift, step, place, now) for place in step.pause)
    return replace(
        under_way,
        stage=step.stage,
        stage_at=now,
        step=step.step,
        production_percent=under_way.production_percent if step.production is None else step.production,
        test_percent=100.0 if step.test else under_way.test_percent,
        shifted_at=now if step.production is not None or step.test else under_way.shifted_at,
        pauses=(*under_way.pauses, *pauses),
    )


def _pause(shift: Shift, step: Step, place: int, now: float) -> Pause:
    hook = shift.hooks[place]
    spelled = f"{shift.service_deployment_arn}|{step.stage}|{step.step}|{place}"
    return Pause(
        id=hashlib.sha256(spelled.encode()).hexdigest()[:32],
        hook=place,
        stage=step.stage,
        step=step.step,
        expires_at=now + hook.timeout_s,
        timeout_action=hook.timeout_action,
    )


def _shift_traffic(tx: Tx, service: Service, shift: Shift, step: Step, now: float) -> str:
    """Rewrites the rules as the step says. Returns what is in the way, "" for nothing."""
    if step.production is None and not step.test:
        return ""
    green = settings_of(tx, service, shift.green).load_balancers
    blue = settings_of(tx, service, shift.blue).load_balancers if shift.blue else ()
    obstacle = "" if step.production is None else shift_production(tx, green, blue, step.production, now)
    return obstacle or (shift_test(tx, green, blue, 100.0, now) if step.test else "")


def _roll_back(tx: Tx, service: Service, shift: Shift, step: Step, under_way: ServiceDeployment, now: float) -> Service:
    """All traffic to blue, which is the primary deployment again; green's tasks are stopped from now on."""
    blue = tx.get(DEPLOYMENTS, shift.blue)
    if blue is None:
        return service
    green_side, blue_side = settings_of(tx, service, shift.green).load_balancers, settings_of(tx, service, shift.blue).load_balancers
    if under_way.stage:
        for obstacle in (shift_production(tx, green_side, blue_side, 0.0, now), shift_test(tx, green_side, blue_side, 0.0, now)):
            if obstacle:
                log.warning("(service %s) rolls back although %s", service.name, obstacle)
    _fail(tx, shift.green, "ACTIVE", step.roll_back, now)
    tx.put(DEPLOYMENTS, replace(blue, status="PRIMARY", updated_at=now))
    tx.put(
        SERVICE_DEPLOYMENTS,
        replace(
            under_way,
            status="ROLLBACK_IN_PROGRESS",
            status_reason=step.roll_back,
            started_at=under_way.started_at or now,
            rollback_at=now,
            rollback_reason=step.roll_back,
            rollback_deployment_id=blue.id,
            shifted_at=now if under_way.production_percent or under_way.test_percent else 0.0,
            production_percent=0.0,
            test_percent=0.0,
            pauses=given_up(under_way.pauses),
            broken=step.broken,
            updated_at=now,
        ),
    )
    log.warning("(service %s) goes back from %s to %s: %s", service.name, shift.green, shift.blue, step.roll_back)
    revision = tx.get(SERVICE_REVISIONS, blue.revision_arn) if blue.revision_arn else None
    return service if revision is None else replace(service, spec=with_deployed(service.spec, revision.spec))


def _fail(tx: Tx, deployment_id: str, status: str, why: str, now: float) -> None:
    deployment = tx.get(DEPLOYMENTS, deployment_id)
    if deployment is not None:
        tx.put(DEPLOYMENTS, replace(deployment, status=status, rollout_state="FAILED", rollout_state_reason=why, updated_at=now))
