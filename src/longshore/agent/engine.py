"""All tasks of one container instance: taking them on, stopping them, and keeping up with what the engine says.

The engine's events wake tasks; nothing depends on seeing one. Whenever the event stream opens, at the start as after an
outage, everything that carries this instance's label is looked at anew: what ended meanwhile is reported, what vanished is
reported as stopped, and what no task of the journal explains is removed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec

from longshore.agent import messages
from longshore.agent.acceptance import Refused
from longshore.agent.api import AttachmentChange, ContainerChange, TaskChange
from longshore.agent.api import TaskRecord as FlightRecord
from longshore.agent.container_spec import INSTANCE_LABEL, NAME_LABEL, TASK_LABEL, Place, container_name
from longshore.agent.credentials import RoleCredentialsStore, without_keys
from longshore.agent.flight import record_of
from longshore.agent.images import Images
from longshore.agent.journal import Journal, TaskRecord
from longshore.agent.lifecycle import TaskStatus
from longshore.agent.making import Surroundings
from longshore.agent.ports import Ports, ports_of
from longshore.agent.reports import REASON_LENGTH, Reporter, Submits
from longshore.agent.secrets import SecretStores
from longshore.agent.sharing import is_internal
from longshore.agent.task import TaskJob
from longshore.agent.task_network import TaskNetwork
from longshore.kit.backoff import backoff_s
from longshore.kit.clock import Clock
from longshore.kit.ids import Ids
from longshore.runtime.base import ContainerState, NoSuchContainer, Runtime, RuntimeEvent, RuntimeFailure, RuntimeUnavailable

log = logging.getLogger("longshore.agent")


class Platform(Submits, SecretStores, Protocol):
    """What is asked and told on behalf of tasks."""


#: how long the platform has to hear of tasks that were stopped when the agent was told to stop them
LAST_WORDS_S = 5.0


class Engine:
    def __init__(
        self,
        instance_id: str,
        runtime: Runtime,
        images: Images,
        journal: Journal,
        api: Platform,
        clock: Clock,
        ids: Ids,
        network: TaskNetwork | None = None,
    ) -> None:
        self._runtime = runtime
        self._api = api
        self.network = network or TaskNetwork(runtime, instance_id)
        self._images = images
        self._journal = journal
        self._clock = clock
        self._ids = ids
        self.credentials = RoleCredentialsStore()
        self.reporter = Reporter(api, clock, ids, self._acknowledged, self._flight_record)
        #: called with a task when the health of one of its containers has changed
        self.health_listeners: list[Callable[[TaskJob], None]] = []
        self._place = Place(instance_id=instance_id, container_instance_arn="", address="", region="")
        self._cluster = ""
        self._ports = Ports()
        self.jobs: dict[str, TaskJob] = {}
        self._loops: dict[str, asyncio.Task[None]] = {}
        #: whether the engine answered when it was last asked, and since when that is so
        self.runtime_is_there = True
        self.runtime_changed_at = clock.now()

    def __repr__(self) -> str:
        return f"Engine({self._place.container_instance_arn}, {len(self.jobs)} tasks)"

    # ── life ──

    async def begin(self, place: Place, cluster: str) -> None:
        """Take up every task of the journal. Waits for the engine when it does not answer."""
        self._place, self._cluster = place, cluster
        for record in list(self._journal.tasks.values()):
            try:
                task = msgspec.json.decode(record.payload, type=messages.Task)
                self.jobs[record.arn] = TaskJob(task, record, self._surroundings())
            except (msgspec.MsgspecError, Refused) as error:
                log.error("%s: what the journal has of it cannot be used, so it is given up: %s", record.arn, error)
                self._journal.forget(record.arn)
                continue
            if record.status is TaskStatus.STOPPED:
                self._ports.rest(ports_of(record.host_ranges), record.stopped_at or self._clock.now())
            else:
                self._ports.take(ports_of(record.host_ranges))
        found = await self._look_until_answered()
        by_task: dict[str, dict[str, ContainerState]] = {}
        for state in found:
            if state.labels.get(TASK_LABEL, "") in self.jobs:
                by_task.setdefault(state.labels[TASK_LABEL], {})[state.labels.get(NAME_LABEL, "")] = state
        for arn, job in self.jobs.items():
            job.recover(by_task.get(arn, {}))
            if job.record.reported < TaskStatus.STOPPED:
                self._run(job)
        await self._remove_unknown(found)

    async def follow_events(self) -> None:
        """For ever."""
        failures = 0
        while True:
            try:
                async for event in self._runtime.events({INSTANCE_LABEL: self._place.instance_id}):
                    if event.action == "connected":
                        failures = 0
                        self._runtime_seen(there=True)
                        await self._resync()
                    else:
                        await self._on_event(event)
            except RuntimeFailure as error:
                failures = await self._wait_for_engine(failures, error)

    async def close(self) -> None:
        """Let go of the tasks; their containers run on."""
        await self.reporter.forget_all()
        loops = list(self._loops.values())
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        self._loops.clear()
        self.jobs.clear()

    async def stop_everything(self) -> None:
        """Stop every task, each in its own time, and return when all have stopped and the platform has heard so, if it answers."""
        log.info("stopping %d tasks", len(self.wanted_tasks()))
        for job in self.jobs.values():
            job.stop()
        loops = list(self._loops.values())
        await asyncio.gather(*loops, return_exceptions=True)
        await self.reporter.heard_all(LAST_WORDS_S)
        await self.network.remove()

    async def abandon_everything(self) -> None:
        """Remove every container of this instance: the platform knows nothing of them."""
        made = [job.making for job in self.jobs.values()]
        await self.close()
        found = await self._look_until_answered()
        await asyncio.gather(*(self._remove(state.id) for state in found))
        for making in made:
            try:
                await making.remove()
            except RuntimeFailure as error:
                log.warning("something of a task is left behind: %s", error)
        await self.network.remove()

    # ── what the platform wants ──

    def take_on(self, task: messages.Task, payload: bytes) -> None:
        """A task of a payload; one that is known already is only ever told to stop. Raises Refused."""
        job = self.jobs.get(task.arn)
        if job is not None and job.status is TaskStatus.STOPPED:
            self._report(job)  # whoever asks has not heard of it
        elif job is not None and task.desired_status == "STOPPED":
            job.stop()
        elif job is None and task.desired_status == "STOPPED":
            self._report_unknown(task)
        elif job is None:
            self._begin(task, payload)

    def _begin(self, task: messages.Task, payload: bytes) -> None:
        record = TaskRecord(arn=task.arn, payload=msgspec.Raw(without_keys(payload)))
        job = TaskJob(task, record, self._surroundings())
        log.info("%s: taken on: %s:%s, %s", task.arn, task.family, task.version, ", ".join(part.name for part in job.parts))
        self._journal.keep(record)
        self.jobs[task.arn] = job
        self._run(job)

    def refuse(self, refused: Refused) -> None:
        log.warning("%s: not started: %s", refused.arn, refused.reason)
        self.reporter.submit(TaskChange(cluster=self._cluster, task=refused.arn, status="STOPPED", reason=refused.reason[:REASON_LENGTH]))

    def stop(self, arn: str) -> None:
        if (job := self.jobs.get(arn)) is not None:
            job.stop()

    def wanted_tasks(self) -> list[TaskJob]:
        """Those that are to run, as far as this agent knows."""
        return [job for job in self.jobs.values() if job.is_wanted and job.status is not TaskStatus.STOPPED]

    def _acknowledged(self, arn: str, status: str, known: bool) -> None:
        """The platform has heard of a status of a task; what it does not know is cleared away without waiting."""
        job = self.jobs.get(arn)
        if job is not None and TaskStatus[status] > job.record.reported:
            stopped_at = job.record.stopped_at if known or job.record.stopped_at is None else 0.0
            job.record = msgspec.structs.replace(job.record, reported=int(TaskStatus[status]), stopped_at=stopped_at)
            self._journal.keep(job.record)

    async def _flight_record(self, arn: str) -> FlightRecord | None:
        """None for a task this agent has nothing of."""
        job = self.jobs.get(arn)
        return None if job is None else await record_of(job, self._runtime, self._cluster)

    # ── clearing away ──

    async def remove_stopped(self, ended_before: float) -> None:
        """The containers and volumes of tasks that ended before then (seconds since the epoch) and were heard of."""
        for job in list(self.jobs.values()):
            record = job.record
            done = record.status is TaskStatus.STOPPED and record.reported >= TaskStatus.STOPPED
            if done and (record.stopped_at or 0.0) <= ended_before and job.arn not in self._loops:
                try:
                    await self._clear_away(job)
                except RuntimeUnavailable:
                    raise
                except RuntimeFailure as error:  # what cannot go now must not keep all others here
                    log.warning("%s: cannot be cleared away yet: %s", job.arn, error)

    async def _clear_away(self, job: TaskJob) -> None:
        for container in reversed(job.containers):
            await self._remove(job.container_id(container.name) or container_name(job.task, container.name))
        await job.making.remove()
        self.jobs.pop(job.arn, None)
        self._journal.forget(job.arn)
        self.credentials.retain(other.task for other in self.jobs.values())
        log.info("%s: cleared away", job.arn)

    # ── inside ──

    def _surroundings(self) -> Surroundings:
        return Surroundings(
            runtime=self._runtime,
            images=self._images,
            credentials=self.credentials,
            stores=self._api,
            network=self.network,
            journal=self._journal,
            clock=self._clock,
            ids=self._ids,
            place=self._place,
            report=self._report,
            health_changed=self._health_changed,
            ports=self._ports,
        )

    def _health_changed(self, job: TaskJob) -> None:
        for listener in self.health_listeners:
            listener(job)

    def _run(self, job: TaskJob) -> None:
        loop = asyncio.create_task(job.run(), name=f"task:{job.arn}")
        self._loops[job.arn] = loop
        loop.add_done_callback(lambda done: self._loop_ended(job.arn, done))

    def _loop_ended(self, arn: str, loop: asyncio.Task[None]) -> None:
        if self._loops.get(arn) is loop:
            del self._loops[arn]
        if not loop.cancelled() and (error := loop.exception()) is not None:
            log.error("%s: its loop broke: %r", arn, error, exc_info=error)

    def _report(self, job: TaskJob) -> None:
        if change := task_change(job, self._cluster):
            self.reporter.submit(change)

    def _report_unknown(self, task: messages.Task) -> None:
        """A task this agent has nothing of has stopped."""
        containers = tuple(ContainerChange(container_name=container.name, status="STOPPED") for container in task.containers)
        self.reporter.submit(TaskChange(cluster=self._cluster, task=task.arn, status="STOPPED", reason="", containers=containers))

    async def _on_event(self, event: RuntimeEvent) -> None:
        job, name = self.jobs.get(event.labels.get(TASK_LABEL, "")), event.labels.get(NAME_LABEL, "")
        if job is None:
            return
        if event.action == "destroy":
            job.vanished(name)
        elif event.action in ("die", "health_status"):
            await self._look_at(job, name, event.container_id)

    async def _resync(self) -> None:
        self.network.engine_is_back()
        found = await self._runtime.containers({INSTANCE_LABEL: self._place.instance_id})
        there = {state.id: state for state in found}
        for job in list(self.jobs.values()):
            for name in job.seen:
                container_id = job.container_id(name)
                if container_id in there:
                    job.observe(there[container_id], name)
                elif container_id:
                    await self._look_at(job, name, container_id)  # it may be younger than the list
            job.engine_is_back()
        await self._remove_unknown(found)

    async def _look_at(self, job: TaskJob, name: str, container_id: str) -> None:
        try:
            job.observe(await self._runtime.inspect(container_id), name)
        except NoSuchContainer:
            job.vanished(name)
        except RuntimeUnavailable:
            raise
        except RuntimeFailure as error:
            log.warning("%s: the engine does not tell about container %s: %s", job.arn, name, error)

    async def _look_until_answered(self) -> list[ContainerState]:
        failures = 0
        while True:
            try:
                found = await self._runtime.containers({INSTANCE_LABEL: self._place.instance_id})
                self._runtime_seen(there=True)
                return found
            except RuntimeFailure as error:
                failures = await self._wait_for_engine(failures, error)

    async def _wait_for_engine(self, failures: int, error: RuntimeFailure) -> int:
        """Longer each time; returns how often it has failed by now."""
        self._runtime_seen(there=False)
        wait = backoff_s(failures, self._ids.fraction(), first_s=0.25, most_s=5.0)
        log.warning("the container engine is away: %s; looking again in %.1f s", error, wait)
        await self._clock.sleep(wait)
        return failures + 1

    async def _remove_unknown(self, found: Iterable[ContainerState]) -> None:
        """Containers of this instance that belong to no task it has, or are not the one their task has of that name."""
        for state in found:
            job, name = self.jobs.get(state.labels.get(TASK_LABEL, "")), state.labels.get(NAME_LABEL, "")
            if job is not None and (name in job.seen and job.container_id(name) in ("", state.id)):
                continue
            log.warning("container %s is no task's: removed", state.name)
            await self._remove(state.id)

    async def _remove(self, container: str) -> None:
        """What cannot be removed now is found again as nobody's when the event stream opens the next time."""
        try:
            await self._runtime.remove(container)
        except RuntimeFailure as error:
            log.warning("container %s is left behind: %s", container, error)

    def _runtime_seen(self, *, there: bool) -> None:
        if there is not self.runtime_is_there:
            self.runtime_is_there, self.runtime_changed_at = there, self._clock.now()


def task_change(job: TaskJob, cluster: str) -> TaskChange | None:
    """All that is known of a task, as it is reported; None while there is nothing to say."""
    record = job.record
    containers = []
    for name, kept in record.containers.items():
        if is_internal(name):
            continue
        status = job.container_status(name)
        if not status:
            continue
        containers.append(
            ContainerChange(
                container_name=name,
                status=status,
                runtime_id=kept.id or None,
                exit_code=kept.exit_code if status == "STOPPED" else None,
                reason=kept.reason[:REASON_LENGTH] or None,
                image_digest=kept.image_digest or None,
                network_bindings=kept.bindings if bytes(kept.bindings) else None,
            )
        )
    if record.status is TaskStatus.PENDING and not containers:
        return None
    return TaskChange(
        cluster=cluster,
        task=job.arn,
        status=record.status.name,
        reason=record.reason[:REASON_LENGTH],
        containers=tuple(containers),
        attachments=_attachments(job),
        pull_started_at=record.pull_started_at,
        pull_stopped_at=record.pull_stopped_at,
        execution_stopped_at=record.stopped_at if record.status is TaskStatus.STOPPED else None,
    )


def _attachments(job: TaskJob) -> tuple[AttachmentChange, ...] | None:
    """The interfaces that are there."""
    if not job.shares:
        return None
    return tuple(AttachmentChange(interface.attachment_arn, "ATTACHED") for interface in job.task.elastic_network_interfaces or ()) or None
