"""A deployment from its image to its end: registered, rolled out, looked at until it serves, or taken back with the reason.

On a terminal the service is drawn as a tree that changes with it; elsewhere there is a line for whatever happens. At the end it
is said what the load balancers counted meanwhile; after a failure, what the failing containers themselves wrote last.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from longshore.cli.client import Platform, Unreachable
from longshore.cli.definitions import differences, own_image, with_digest, with_image
from longshore.cli.ecr_tables import printable
from longshore.cli.outcome import ExitCode, Failure
from longshore.cli.service import explain, find_service, in_cluster
from longshore.cli.service_answers import (
    Definition,
    Ended,
    EndedTasks,
    Explained,
    FlightRecord,
    One,
    Service,
    ServiceEvent,
    ServiceTraffic,
    Traffic,
)
from longshore.cli.service_tables import clock, event_line, short, tree_of

if TYPE_CHECKING:
    from rich.console import Console

_LOOK_EVERY_S = 0.5
#: an event may be written a moment before the deployment that it tells of
_EARLY_S = 1.0
#: tasks whose last words are shown, and how many lines of each container's
_MOST_TASKS, _MOST_LINES = 2, 20


@dataclass(frozen=True, slots=True)
class Wanted:
    image: str
    container: str | None
    timeout_s: float
    rollback: bool
    anyway: bool = False


class _Images(Struct, frozen=True, rename="camel"):
    image_details: tuple[dict[str, Any], ...] = ()


@dataclass
class Deploying:
    platform: Platform
    cluster: str | None
    name: str
    console: Console
    now: Callable[[], float] = time.time
    pause: Callable[[float], None] = time.sleep
    seen: set[str] = field(default_factory=set)

    def run(self, wanted: Wanted) -> ExitCode:
        service = find_service(self.platform, self.cluster, self.name)
        before = self._definition(service.task_definition)
        image = self._by_digest(wanted.image)
        request = with_image(before.task_definition, image, wanted.container, before.tags)
        changes = differences(before.task_definition, request)
        if not changes and not wanted.anyway:
            self._say(f"{short(service.task_definition)} runs {image} already; --yes deploys it anew")
            return ExitCode.OK
        after = self.platform.ecs("RegisterTaskDefinition", request, Definition)
        registered = str(after.task_definition["taskDefinitionArn"])
        self._say(f"registered {short(registered)}, which is {short(service.task_definition)} with")
        for where, old, new in changes:
            self._say(f"  {where}", style="bold")
            self._say(f"  - {old}", style="red")
            self._say(f"  + {new}", style="green")
        return self._roll_out(service, registered, wanted)

    def go_to(self, definition: str, timeout_s: float) -> ExitCode:
        """Back to a version that was here before."""
        service = find_service(self.platform, self.cluster, self.name)
        self._say(f"from {short(service.task_definition)} back to {short(definition)}")
        return self._roll_out(service, definition, Wanted("", None, timeout_s, rollback=False))

    def follow_back(self, timeout_s: float) -> ExitCode:
        """Looks on while a deployment is taken back that somebody stopped."""
        began = self.now()
        self._note_events(find_service(self.platform, self.cluster, self.name), began)
        return self._wait_for_rollback(began, timeout_s)

    # ── the image ──

    def _by_digest(self, image: str) -> str:
        """What a tag means now, where the platform's own registry can say it: the revision runs that, whatever the tag means later."""
        own = own_image(image, self.platform.endpoint)
        if own is None:
            return image
        home = self.platform.home()
        request: dict[str, object] = {
            "registryId": own.account_id or home.account,
            "repositoryName": own.repository,
            "imageIds": [{"imageTag": own.tag}],
        }
        found = self.platform.in_region(own.region or home.region).ecr("DescribeImages", request, _Images)
        digest = str(found.image_details[0]["imageDigest"])
        self._say(f"{image} is {digest}")
        return with_digest(image, digest)

    def _definition(self, arn: str) -> Definition:
        return self.platform.ecs("DescribeTaskDefinition", {"taskDefinition": arn, "include": ["TAGS"]}, Definition)

    # ── rolling out ──

    def _roll_out(self, service: Service, definition: str, wanted: Wanted) -> ExitCode:
        began, counted = self.now(), self._traffic()
        self._note_events(service, began)
        members = in_cluster(self.cluster, service=self.name, taskDefinition=definition, forceNewDeployment=True)
        primary = self.platform.ecs("UpdateService", members, One).service.primary
        deployment_id = primary.id if primary is not None else ""
        state = self._follow(began, wanted.timeout_s, lambda told: _state_of(told, deployment_id), deployment_id)
        self._say_traffic(counted)
        if state == "COMPLETED":
            self._say(f"{self.name} runs {short(definition)} after {self.now() - began:.0f} s", style="bold green")
            return ExitCode.OK
        why = {"FAILED": "failed", "REPLACED": "was replaced"}.get(state, f"was not done after {wanted.timeout_s:.0f} s")
        self._say(f"the deployment of {short(definition)} {why}", style="bold red")
        self._say_last_words(definition, began)
        if self._is_rolling_back(deployment_id):
            self._say("the circuit breaker takes it back")
            self._wait_for_rollback(self.now(), wanted.timeout_s)
        elif wanted.rollback and state != "REPLACED":
            self._take_back(service.task_definition, wanted.timeout_s)
        return ExitCode.FAILED

    def _is_rolling_back(self, deployment_id: str) -> bool:
        return any(one.rolls_back == deployment_id for one in explain(self.platform, self.cluster, self.name).deployments)

    def _take_back(self, definition: str, timeout_s: float) -> None:
        self._say(f"taking it back: {short(definition)} again")
        members = in_cluster(self.cluster, service=self.name, taskDefinition=definition)
        self.platform.ecs("UpdateService", members, One)
        self._wait_for_rollback(self.now(), timeout_s)

    def _wait_for_rollback(self, began: float, timeout_s: float) -> ExitCode:
        state = self._follow(began, timeout_s, _state_of_lead)
        lead = find_service(self.platform, self.cluster, self.name).task_definition
        if state == "COMPLETED":
            self._say(f"{self.name} runs {short(lead)} again", style="bold")
            return ExitCode.OK
        self._say(f"{self.name} is not back at {short(lead)} yet; `longshore explain service {self.name}` says why", style="bold red")
        return ExitCode.FAILED

    def _follow(self, began: float, timeout_s: float, state_of: Callable[[Explained], str], deployment_id: str = "") -> str:
        """Draws until the state is none that goes on, or the time is over; the last state. A platform that restarts is waited for."""
        with ExitStack() as stack:
            live = None
            if self.console.is_terminal:
                from rich.live import Live

                live = stack.enter_context(Live(console=self.console, auto_refresh=False, transient=False))
            told = ""
            while True:
                try:
                    service = find_service(self.platform, self.cluster, self.name)
                    explained = explain(self.platform, self.cluster, self.name, deployment_id)
                except Unreachable:
                    self.pause(_LOOK_EVERY_S)
                    if self.now() - began > timeout_s:
                        raise
                    continue
                for event in self._news(service):
                    self._say(event_line(event), style="dim")
                if live is not None:
                    live.update(tree_of(service, explained, since_s=self.now() - began), refresh=True)
                elif (line := _line_of(explained)) != told:
                    told = line
                    self._say(f"{clock(self.now())}  {line}")
                state = state_of(explained)
                if state != "IN_PROGRESS" or self.now() - began > timeout_s:
                    return state
                self.pause(_LOOK_EVERY_S)

    # ── what is said ──

    def _say(self, line: str, style: str = "") -> None:
        from rich.text import Text

        self.console.print(Text(printable(line), style=style), soft_wrap=True)

    def _note_events(self, service: Service, began: float) -> None:
        self.seen = {event.id for event in service.events if event.created_at < began - _EARLY_S} | {one.id for one in service.events}

    def _news(self, service: Service) -> list[ServiceEvent]:
        fresh = [event for event in reversed(service.events) if event.id not in self.seen]
        self.seen |= {event.id for event in fresh}
        return fresh

    def _traffic(self) -> Traffic | None:
        """None where the load balancers do not answer, or the caller may not ask."""
        try:
            return self.platform.ecs("LongshoreGetServiceTraffic", in_cluster(self.cluster, service=self.name), ServiceTraffic).traffic
        except Unreachable:
            raise
        except Failure:
            return None

    def _say_traffic(self, before: Traffic | None) -> None:
        after = self._traffic()
        line = traffic_line(before, after)
        if line:
            self._say(line)

    def _say_last_words(self, definition: str, began: float) -> None:
        request = in_cluster(self.cluster, serviceName=self.name, failedOnly=True, since=began)
        try:
            ended = self.platform.ecs("LongshoreListTaskHistory", request, EndedTasks).tasks
        except Failure as failure:
            self._say(failure.cause)
            return
        mine = [one for one in ended if one.task_definition_arn == definition]
        for one in mine[:_MOST_TASKS]:
            self._say_last_words_of(one)
        if len(mine) > _MOST_TASKS:
            self._say(f"… and {len(mine) - _MOST_TASKS} more tasks failed; `longshore task list --failed` shows them")

    def _say_last_words_of(self, ended: Ended) -> None:
        self._say(f"task {ended.task_arn.rpartition('/')[2]} at {clock(ended.stopped_at)}: {ended.stopped_reason}", style="red")
        try:
            record = self.platform.ecs("LongshoreGetTaskRecord", in_cluster(self.cluster, task=ended.task_arn), FlightRecord)
        except Failure as failure:
            self._say(f"  {failure.cause}")
            return
        for container in record.containers:
            how = [f"exited with {container.exit_code}" if container.exit_code is not None else "", container.signal]
            how += ["out of memory" if container.oom_killed else "", container.error, container.reason]
            self._say(f"  {container.name}: {', '.join(word for word in how if word) or 'no exit code'}; its last lines:")
            for line in container.log_tail.splitlines()[-_MOST_LINES:] or ["(none)"]:
                self._say(f"  | {line}")


def _state_of(told: Explained, deployment_id: str) -> str:
    """IN_PROGRESS, COMPLETED, FAILED; REPLACED when somebody else deployed something."""
    mine = next((one for one in told.deployments if one.deployment_id == deployment_id), None)
    if mine is None:
        return "REPLACED"
    if mine.rollout_state == "IN_PROGRESS" and mine.status != "PRIMARY":
        undone = any(one.rolls_back == deployment_id for one in told.deployments)
        return "FAILED" if undone else "REPLACED"
    return mine.rollout_state or "IN_PROGRESS"


def _state_of_lead(told: Explained) -> str:
    lead = next((one for one in told.deployments if one.status == "PRIMARY"), None)
    return (lead.rollout_state if lead is not None else "") or "IN_PROGRESS"


def _line_of(told: Explained) -> str:
    """`web:4 2 of 3 serving, web:3 1 left; waiting: …`"""
    parts: list[str] = []
    for rollout in (one for one in told.deployments if one.status != "INACTIVE"):
        members = [one for one in told.outlook.members if one.deployment_id == rollout.deployment_id]
        serving = sum(1 for one in members if one.phase == "HEALTHY")
        left = sum(1 for one in members if one.phase is not None)
        said = f"{serving} of {told.outlook.desired_count} serving" if rollout.status == "PRIMARY" else f"{left} left"
        parts.append(f"{short(rollout.task_definition_arn)} {said}")
    failed = sum(rollout.failed_starts + rollout.failed_checks for rollout in told.deployments if rollout.status == "PRIMARY")
    waits = [told.refusal, f"{failed} tasks failed" if failed else ""]
    return "; ".join([", ".join(parts), *(word for word in waits if word)])


def traffic_line(before: Traffic | None, after: Traffic | None) -> str:
    """What the load balancers counted in between; "" where there are none, or nobody can say."""
    if before is None or after is None or not after.target_groups:
        return ""
    if before.counter != after.counter:
        return "the load balancers began to count anew meanwhile: nothing can be said of failed requests"
    was = {one.target_group_arn: one for one in before.target_groups}
    requests = failed = retried = 0
    for one in after.target_groups:
        then = was.get(one.target_group_arn)
        requests += one.requests - (then.requests if then else 0)
        failed += one.failed - (then.failed if then else 0)
        retried += one.retries - (then.retries if then else 0)
    unserved = after.unserved - before.unserved
    again = f", {retried} tried again on another target" if retried else ""
    nobody = f"; {unserved} to any load balancer found no target" if unserved else ""
    return f"{requests} requests meanwhile, {failed} of them failed{again}{nobody}"
