"""One task under way: sees, asks the lifecycle what is next, begins it, writes down and reports what came of it.

The loop holds no plan. Whatever happens (an action ends, the engine says something, the platform wants it stopped, a time is
reached) wakes it, and it asks `lifecycle.step` anew. Every action is a job of its own, at most one for each container.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from longshore.agent import lifecycle, messages
from longshore.agent.acceptance import parts as parts_of
from longshore.agent.container_spec import (
    INSTANCE_LABEL,
    TASK_LABEL,
    container_name,
    network_bindings,
)
from longshore.agent.images import CannotPull, Ready
from longshore.agent.journal import ContainerRecord, TaskRecord
from longshore.agent.lifecycle import TRANSITIONS, Part, Phase, Seen, TaskStatus, Verb
from longshore.agent.making import Making, Surroundings
from longshore.agent.pause import pause
from longshore.agent.ports import NoFreePorts, ports_of
from longshore.agent.secrets import CannotFetch
from longshore.agent.sharing import PAUSE, all_containers, is_internal, joined, needs_pause
from longshore.agent.volumes import VolumeFailure
from longshore.kit.backoff import backoff_s
from longshore.runtime.base import ContainerState, NameTaken, NoSuchContainer, RuntimeFailure, RuntimeUnavailable

log = logging.getLogger("longshore.agent")

OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"
VANISHED = "ContainerVanishedError: the container was removed by somebody else"


class TaskJob:
    """A task this agent has taken on. Raises Refused when its containers can never all start."""

    def __init__(self, task: messages.Task, record: TaskRecord, around: Surroundings) -> None:
        self.task = task
        own = parts_of(task)
        self.parts: tuple[Part, ...] = joined(own) if needs_pause(task) else own
        #: those of the payload, and the agent's own
        self.containers = all_containers(task)
        self._around = around
        self._named = {container.name: container for container in self.containers}
        self._part = {part.name: part for part in self.parts}
        self.seen: dict[str, Seen] = {part.name: Seen() for part in self.parts}
        self.record = record
        self._ready: dict[str, Ready] = {}
        self._retries: dict[str, int] = {}
        #: containers of which the engine said something while they were being started
        self._hints: set[str] = set()
        #: what was reported last
        self._told: tuple[object, ...] = (record.status, [])
        self._actions: dict[str, asyncio.Task[None]] = {}
        self.making = Making(task, around)
        self._wake = asyncio.Event()
        #: container name → when its health last changed
        self.health_since: dict[str, float] = {}

    def __repr__(self) -> str:
        phases = " ".join(f"{name}:{seen.phase.name}" for name, seen in self.seen.items())
        return f"TaskJob({self.arn.rpartition('/')[2]} {self.status.name} {phases})"

    @property
    def arn(self) -> str:
        return self.task.arn

    @property
    def status(self) -> TaskStatus:
        return self.record.status

    @property
    def shares(self) -> bool:
        """What its containers share is there."""
        return PAUSE in self.seen and self.seen[PAUSE].phase >= Phase.RUNNING

    @property
    def is_wanted(self) -> bool:
        """It is to run, as far as the platform goes."""
        return not self.record.stopping

    def container_id(self, name: str) -> str:
        """ "" before it is created."""
        return self._record(name).id

    def container_status(self, name: str) -> str:
        """RUNNING, STOPPED, or "" before it runs; what is about to be started again counts as running."""
        known = self.seen[name]
        if known.phase < Phase.RUNNING:
            return ""
        if known.phase is Phase.RUNNING:
            return "RUNNING"
        comes_back = self.is_wanted and not lifecycle.has_ended(self._part[name], known) and not lifecycle.must_end(self.parts, self.seen)
        return "RUNNING" if comes_back else "STOPPED"

    # ── what happens to it ──

    def stop(self) -> None:
        """The platform wants it stopped."""
        if not self.record.stopping:
            log.info("%s: to be stopped", self.arn)
            self.record = replace(self.record, stopping=True)
            self._around.journal.keep(self.record)
            self._wake.set()

    def observe(self, state: ContainerState, name: str) -> None:
        """The engine's word on one of its containers."""
        known = self.seen.get(name)
        if known is None or (self.container_id(name) and self.container_id(name) != state.id):
            return
        if known.doing in (Verb.CREATE, Verb.START):
            self._hints.add(name)  # whoever is at it looks once more
            return
        self._apply(name, state)
        self._wake.set()

    def vanished(self, name: str) -> None:
        """The engine does not know the container any more."""
        known = self.seen.get(name)
        if known is not None and known.doing not in (Verb.CREATE, Verb.START) and known.phase in (Phase.CREATED, Phase.RUNNING):
            self._end(name, VANISHED)
            self._wake.set()

    def engine_is_back(self) -> None:
        """What failed because the engine was away is worth trying now."""
        self.seen = {name: replace(known, retry_at=None) for name, known in self.seen.items()}
        self._retries.clear()
        self._wake.set()

    def recover(self, states: Mapping[str, ContainerState]) -> None:
        """Take up where an earlier process left off: the engine's word, and the journal's where the engine has none."""
        for name in self.seen:
            kept, state = self._record(name), states.get(name)
            if state is not None:
                self._keep(name, id=state.id)
                self.seen[name] = Seen(phase=Phase.CREATED, restart_count=kept.restart_count)
                self._apply(name, state)
            if state is None or (state.status == "created" and kept.phase is Phase.STOPPED):
                if kept.phase in (Phase.CREATED, Phase.RUNNING):
                    self._end(name, VANISHED)
                elif kept.phase is Phase.STOPPED:
                    self.seen[name] = _stopped(kept)

    # ── the loop ──

    async def run(self) -> None:
        """Until every container has ended."""
        try:
            while True:
                self._wake.clear()
                now = self._around.clock.now()
                step = lifecycle.step(self.parts, self.seen, wanted=self.is_wanted, now=now)
                for name, reason in step.given_up.items():
                    self._end(name, reason)
                if step.given_up:
                    continue
                for action in step.actions:
                    self._begin(action.verb, action.container)
                self._settle()
                if self.status is TaskStatus.STOPPED and not self._actions:
                    return
                until = step.look_again_at
                await pause(self._around.clock, None if until is None else until - now, self._wake)
        finally:
            await self._drop_actions()

    def _begin(self, verb: Verb, name: str) -> None:
        if verb is Verb.ABANDON:
            self._actions[name].cancel()
            return
        log.debug("%s: %s %s", self.arn, verb, name)
        self.seen[name] = replace(self.seen[name], doing=verb, retry_at=None)
        job = asyncio.create_task(self._do(verb, name), name=f"{verb}:{name}:{self.arn}")
        self._actions[name] = job
        job.add_done_callback(lambda done: self._done(name, done))

    def _done(self, name: str, job: asyncio.Task[None]) -> None:
        if self._actions.get(name) is job:
            del self._actions[name]
        if not job.cancelled() and (error := job.exception()) is not None:
            log.error("%s: %s: unexpected: %r", self.arn, name, error, exc_info=error)
            self._end(name, f"AgentError: {error!r}")
        self._wake.set()

    async def _drop_actions(self) -> None:
        jobs = list(self._actions.values())
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)

    # ── the actions ──

    async def _do(self, verb: Verb, name: str) -> None:
        try:
            match verb:
                case Verb.PULL:
                    await self._pull(name)
                case Verb.CREATE:
                    await self._create(name)
                case Verb.START:
                    await self._start(name)
                case Verb.STOP:
                    await self._stop(name)
        except RuntimeUnavailable as error:
            self._try_later(name, verb, error)
        else:
            if self.seen[name].retry_at is None:
                self._retries.pop(name, None)
        finally:
            self.seen[name] = replace(self.seen[name], doing=None)

    def _try_later(self, name: str, verb: Verb, error: RuntimeFailure) -> None:
        attempt = self._retries.get(name, 0)
        self._retries[name] = attempt + 1
        wait = backoff_s(attempt, self._around.ids.fraction(), first_s=0.5)
        log.warning("%s: %s %s: %s; another try in %.1f s", self.arn, verb, name, error, wait)
        self.seen[name] = replace(self.seen[name], retry_at=self._around.clock.now() + wait)

    async def _pull(self, name: str) -> None:
        if is_internal(name):
            await self._load(name)
            return
        container = self._named[name]
        started = self._around.clock.now()
        if self.record.pull_started_at is None:
            self.record = replace(self.record, pull_started_at=started)
        try:
            ready = await self.making.image(container)
        except (CannotPull, CannotFetch) as error:
            self._end(name, error.reason)
            return
        finally:
            self.record = replace(self.record, pull_stopped_at=self._around.clock.now())
        self._ready[name] = ready
        self._keep(name, image_digest=ready.digest)
        self._advance(name, Phase.PULLED)

    async def _load(self, name: str) -> None:
        """The image of the container that holds what the others share."""
        try:
            self._ready[name] = await self.making.holder_image(self._named[name].image)
        except CannotPull as error:
            self._end(name, error.reason)
            return
        self._advance(name, Phase.PULLED)

    async def _create(self, name: str) -> None:
        runtime = self._around.runtime
        docker_name = container_name(self.task, name)
        try:
            body = await self.making.body(self._named[name], self._ready[name].reference, self._host_ranges)
            container_id = await runtime.create(docker_name, body)
        except NameTaken as error:
            container_id = await self._mine(docker_name)
            if not container_id:
                self._end(name, f"CannotCreateContainerError: Error response from daemon: {error}")
                return
        except NoFreePorts as error:
            self._end(name, f"CannotCreateContainerError: {error}")
            return
        except CannotFetch as error:
            self._end(name, error.reason)
            return
        except RuntimeUnavailable:
            raise
        except VolumeFailure as error:
            self._end(name, f"CannotCreateVolumeError: {error}")
            return
        except RuntimeFailure as error:
            self._end(name, f"CannotCreateContainerError: Error response from daemon: {error}")
            return
        self._keep(name, id=container_id)
        self._advance(name, Phase.CREATED)

    async def _mine(self, docker_name: str) -> str:
        """The container an earlier process created without getting to write it down; "" when it is somebody else's."""
        try:
            found = await self._around.runtime.inspect(docker_name)
        except NoSuchContainer:
            return ""
        labels = found.labels
        is_mine = labels.get(TASK_LABEL) == self.arn and labels.get(INSTANCE_LABEL) == self._around.place.instance_id
        return found.id if is_mine else ""

    async def _start(self, name: str) -> None:
        runtime, again = self._around.runtime, self.seen[name].phase is Phase.STOPPED
        container_id = self.container_id(name)
        try:
            await runtime.start(container_id)
            state = await self._look(name)
        except NoSuchContainer:
            self._end(name, VANISHED)
            return
        except RuntimeUnavailable:
            raise
        except RuntimeFailure as error:
            self._end(name, f"CannotStartContainerError: Error response from daemon: {error}")
            return
        count = self.seen[name].restart_count + int(again)
        if again:
            log.info("%s: container %s is started again, for the %d. time", self.arn, name, count)
        self.seen[name] = replace(self.seen[name], restart_count=count, exit_code=None, finished_at=None, reason="", health="")
        self._keep(name, restart_count=count, exit_code=None, finished_at=None, reason="")
        self._apply(name, state)

    async def _look(self, name: str) -> ContainerState:
        """Not older than the last thing the engine said of it."""
        while True:
            self._hints.discard(name)
            state = await self._around.runtime.inspect(self.container_id(name))
            if name not in self._hints:
                return state

    async def _stop(self, name: str) -> None:
        runtime, container_id = self._around.runtime, self.container_id(name)
        try:
            await runtime.stop(container_id, self._part[name].stop_timeout_s)
            state = await runtime.inspect(container_id)
            self._apply(name, state)
            if state.is_running:
                self._try_later(name, Verb.STOP, RuntimeFailure("it runs on"))
        except NoSuchContainer:
            if self.seen[name].phase is not Phase.STOPPED:
                self._end(name, VANISHED)
        except RuntimeUnavailable:
            raise
        except RuntimeFailure as error:
            self._try_later(name, Verb.STOP, error)

    def _host_ranges(self, container: messages.Container) -> Mapping[str, int]:
        """Chosen once, and kept with the task."""
        if not any(mapping.container_port_range for mapping in container.port_mappings or ()):
            return {}
        chosen = self.record.host_ranges.get(container.name)
        if chosen is None:
            chosen = self._around.ports.choose(container, self._around.place.address, self._around.clock.now())
            self.record = replace(self.record, host_ranges={**self.record.host_ranges, container.name: chosen})
            self._around.journal.keep(self.record)
        return chosen

    # ── what is known ──

    def _apply(self, name: str, state: ContainerState) -> None:
        """Bring what is known up to what the engine says; a container that ended was running before."""
        known = self.seen[name]
        if state.status == "created":
            return
        if known.phase in (Phase.CREATED, Phase.STOPPED) and (known.phase is Phase.CREATED or known.doing is Verb.START):
            self._advance(name, Phase.RUNNING)
        if self.seen[name].phase is not Phase.RUNNING:
            return
        bindings = network_bindings(self.task, self._named[name], state.ports, self._around.place.address)
        if bindings:
            self._keep(name, bindings=msgspec.Raw(msgspec.json.encode(bindings)))
        self.seen[name] = replace(self.seen[name], started_at=state.started_at)
        self._keep(name, started_at=state.started_at)
        if state.has_ended:
            self._settle()
            self._ended(name, state)
        else:
            self._apply_health(name, state.health)

    def _ended(self, name: str, state: ContainerState) -> None:
        reason = OUT_OF_MEMORY if state.oom_killed else ""
        finished = state.finished_at if state.finished_at is not None else self._around.clock.now()
        self.seen[name] = replace(self.seen[name], exit_code=state.exit_code, finished_at=finished)
        self._keep(name, exit_code=state.exit_code, finished_at=finished)
        self._end(name, reason)

    def _apply_health(self, name: str, health: str) -> None:
        if self._part[name].has_health_check and health and health != self.seen[name].health:
            self.seen[name] = replace(self.seen[name], health=health)
            self.health_since[name] = self._around.clock.now()
            self._around.health_changed(self)

    def _end(self, name: str, reason: str) -> None:
        """STOPPED, for this reason if there is one."""
        if self.seen[name].phase is Phase.STOPPED and self.seen[name].doing is not Verb.START:
            return
        if reason:
            log.info("%s: container %s: %s", self.arn, name, reason)
        self.seen[name] = replace(self.seen[name], reason=reason, phase=Phase.STOPPED)
        self._keep(name, reason=reason, phase=Phase.STOPPED)

    def _advance(self, name: str, phase: Phase) -> None:
        known = self.seen[name]
        if phase not in TRANSITIONS[known.phase]:
            raise AssertionError(f"{name} cannot go from {known.phase.name} to {phase.name}")
        self.seen[name] = replace(known, phase=phase)
        self._keep(name, phase=phase)

    def _record(self, name: str) -> ContainerRecord:
        return self.record.containers.get(name) or ContainerRecord()

    def _keep(self, name: str, **changes: object) -> None:
        kept = replace(self._record(name), **changes)
        if kept != self.record.containers.get(name):
            self.record = replace(self.record, containers={**self.record.containers, name: kept})

    def _settle(self) -> None:
        """Write down what has changed since the last time, and have it reported."""
        status = max(self.record.status, lifecycle.task_status(self.parts, self.seen, wanted=self.is_wanted))
        if status is not self.record.status:
            log.info("%s: %s", self.arn, status.name)
            if status is TaskStatus.STOPPED:
                self._around.ports.rest(ports_of(self.record.host_ranges), self._around.clock.now())
        stopped_at = self.record.stopped_at
        if stopped_at is None and (status is TaskStatus.STOPPED or lifecycle.must_end(self.parts, self.seen)):
            stopped_at = self._stopped_at()
        self.record = replace(self.record, status=status, stopped_at=stopped_at)
        telling = self._telling()
        if telling != self._told:
            self._told = telling
            self._around.journal.keep(self.record)
            self._around.report(self)

    def _telling(self) -> tuple[object, ...]:
        """What of all that is known makes a report worth sending."""
        told = []
        for name in self.seen:
            kept, word = self._record(name), self.container_status(name)
            if word:
                told.append((name, word, kept.exit_code, kept.reason, kept.restart_count))
        return self.status, told

    def _stopped_at(self) -> float:
        """When the first essential container ended."""
        ends = [self.seen[part.name].finished_at for part in self.parts if part.essential]
        return min((end for end in ends if end is not None), default=self._around.clock.now())


def _stopped(kept: ContainerRecord) -> Seen:
    return Seen(
        phase=Phase.STOPPED,
        exit_code=kept.exit_code,
        reason=kept.reason,
        restart_count=kept.restart_count,
        started_at=kept.started_at,
        finished_at=kept.finished_at,
    )
