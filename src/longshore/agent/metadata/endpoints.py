"""What containers may ask their agent: credentials, metadata, statistics, task protection.

Every answer is about the caller's own task. An id of another task is answered as one that does not exist, whoever has got hold of it;
there is no way to ask for anything but one's own. The one exception is the engine, which fetches an execution role's credentials for
log drivers: a process of the machine's root that is in no container (protocol: the agent protocol §5.2).
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, NamedTuple

from longshore.agent import messages
from longshore.agent.api import Api, CallRefused, PlatformUnreachable
from longshore.agent.container_spec import TASK_LABEL
from longshore.agent.engine import Engine
from longshore.agent.metadata.callers import Caller
from longshore.agent.metadata.link import endpoint_id
from longshore.agent.metadata.protection import change_protection, show_protection
from longshore.agent.metadata.views import Look, Where, container_view, credentials_view, task_view, with_rates
from longshore.agent.task import TaskJob
from longshore.runtime.base import NoSuchContainer, Runtime, RuntimeFailure

log = logging.getLogger("longshore.agent")


class Asked(NamedTuple):
    method: str
    #: without its query, decoded
    path: str
    query: dict[str, str]
    body: bytes = b""


class Answer(NamedTuple):
    status: int
    #: JSON
    content: Any


class Endpoints:
    def __init__(self, engine: Engine, runtime: Runtime, api: Api, where: Where, container_instance_arn: str, key: bytes) -> None:
        self._engine = engine
        self._runtime = runtime
        self._api = api
        self._where = where
        self._container_instance_arn = container_instance_arn
        self._key = key
        #: container id -> its statistics when they were last asked for
        self._samples: dict[str, dict[str, Any]] = {}

    async def answer(self, asked: Asked, caller: Caller) -> Answer:
        """Raises RuntimeFailure when the engine does not tell."""
        job = self._job_of(caller)
        parts = asked.path.strip("/").split("/")
        match parts:
            case ["v1", "credentials"]:
                return self._credentials("CredentialsV1Request", asked.query.get("id", ""), caller, job)
            case ["v2", "credentials"] | ["v2", "credentials", _]:
                return self._credentials("CredentialsV2Request", parts[2] if len(parts) == 3 else "", caller, job)
            case ["v2", *rest]:
                return await self._version_2(rest, job)
            case ["v3" | "v4" as version, identifier, *rest]:
                return await self._by_id(int(version[1:]), identifier, rest, job)
            case ["api", identifier, "task-protection", "v1", "state"]:
                return await self._protection(asked, identifier, job)
        return Answer(404, "404 page not found")

    def _job_of(self, caller: Caller) -> TaskJob | None:
        if caller.container is None:
            return None
        job = self._engine.jobs.get(caller.container.labels.get(TASK_LABEL, ""))
        # a label says where to look; that the container is the task's own is known from having made it
        is_its = job is not None and any(job.container_id(name) == caller.container.id for name in job.seen)
        return job if is_its else None

    # ── credentials ──

    def _credentials(self, request: str, identifier: str, caller: Caller, job: TaskJob | None) -> Answer:
        if not identifier:
            return _refused("NoIdInRequest", f"{request}: No ID in the request", 400)
        named = job.task.role_credentials if job is not None else self._for_engine(identifier, caller)
        if named is None or named.credentials_id != identifier:
            log.warning("credentials that are not the caller's were asked for: by %s", _who(caller))
            return _refused("InvalidIdInRequest", f"{request}: Credentials not found", 400)
        given = self._engine.credentials.get(identifier)
        if given is None:
            return _refused("CredentialsUninitialized", f"{request}: Credentials uninitialized for ID", 503)
        return Answer(200, credentials_view(given))

    def _for_engine(self, identifier: str, caller: Caller) -> messages.RoleCredentials | None:
        """Of an execution role, for a process of the machine's root."""
        if caller.container is not None or caller.user_id != 0:
            return None
        execution = (job.task.execution_role_credentials for job in self._engine.jobs.values())
        return next((named for named in execution if named is not None and named.credentials_id == identifier), None)

    # ── metadata ──

    async def _version_2(self, rest: list[str], job: TaskJob | None) -> Answer:
        if job is None:
            return Answer(400, "V2 task metadata handler: unable to get task arn from request: the caller is no container of a task")
        match rest:
            case ["metadata"]:
                return Answer(200, await self._task(job, 2))
            case ["metadataWithTags"]:
                return Answer(200, await self._with_tags(job, 2))
            case ["metadata", docker_id] if (container := _by_docker_id(job, docker_id)) is not None:
                return Answer(200, await self._container(job, container, 2))
            case ["stats"]:
                return Answer(200, await self._task_statistics(job, 2))
            case ["stats", docker_id] if (container := _by_docker_id(job, docker_id)) is not None:
                return Answer(200, await self._statistics(job.container_id(container.name), 2))
        return Answer(400, "V2 container metadata handler: unable to find container")

    async def _by_id(self, version: int, identifier: str, rest: list[str], job: TaskJob | None) -> Answer:
        container = self._container_of(job, identifier)
        if job is None or container is None:
            unknown = f"unable to get container ID from request: unable to get docker ID from v{version} endpoint ID: {identifier}"
            return Answer(404 if version >= 4 else 400, f"V{version} container metadata handler: {unknown}")
        match rest:
            case [] | [""]:
                return Answer(200, await self._container(job, container, version))
            case ["task"]:
                return Answer(200, await self._task(job, version))
            case ["taskWithTags"]:
                return Answer(200, await self._with_tags(job, version))
            case ["stats"]:
                return Answer(200, await self._statistics(job.container_id(container.name), version))
            case ["task", "stats"]:
                return Answer(200, await self._task_statistics(job, version))
            case ["associations", _]:
                return Answer(200, {"Associations": []})
        return Answer(404, "404 page not found")

    def _container_of(self, job: TaskJob | None, identifier: str) -> messages.Container | None:
        if job is None:
            return None
        return next((one for one in job.task.containers if endpoint_id(self._key, job.arn, one.name) == identifier), None)

    async def _container(self, job: TaskJob, container: messages.Container, version: int) -> dict[str, Any]:
        return container_view(job, container, await self._look(job.container_id(container.name)), version=version)

    async def _task(self, job: TaskJob, version: int) -> dict[str, Any]:
        names = [container.name for container in job.task.containers]
        looks = await asyncio.gather(*(self._look(job.container_id(name)) for name in names))
        return task_view(job, self._where, dict(zip(names, looks, strict=True)), version=version)

    async def _look(self, container_id: str) -> Look:
        if not container_id:
            return Look(None, None)
        try:
            return Look(await self._runtime.inspect(container_id), await self._runtime.anatomy(container_id))
        except NoSuchContainer:
            return Look(None, None)

    async def _with_tags(self, job: TaskJob, version: int) -> dict[str, Any]:
        """Tags are asked for with the instance's own rights; what it may not see is told as an error beside the rest."""
        shown = await self._task(job, version)
        errors = []
        for member, arn in (("ContainerInstanceTags", self._container_instance_arn), ("TaskTags", job.arn)):
            try:
                tags = await self._api.list_tags(arn)
            except CallRefused as error:
                errors.append({"ErrorField": member, "ErrorCode": error.code, "ErrorMessage": error.message, "StatusCode": error.status})
                errors[-1]["ResourceARN"] = arn
            except PlatformUnreachable as error:
                errors.append({"ErrorField": member, "ErrorCode": "", "ErrorMessage": str(error), "StatusCode": 500, "ResourceARN": arn})
            else:
                shown |= {member: tags} if tags else {}
        return shown | {"Errors": errors} if errors else shown

    # ── statistics ──

    async def _statistics(self, container_id: str, version: int) -> dict[str, Any]:
        if not container_id:
            return {}
        try:
            sample = await self._runtime.statistics(container_id)
        except NoSuchContainer:
            return {}
        if len(self._samples) > 1024:
            self._samples.clear()
        before, self._samples[container_id] = self._samples.get(container_id), sample
        shown = with_rates(sample, before)
        if version < 4:
            shown.pop("network_rate_stats", None)
        return shown

    async def _task_statistics(self, job: TaskJob, version: int) -> dict[str, Any]:
        found = [job.container_id(container.name) for container in job.task.containers if job.container_id(container.name)]
        samples = await asyncio.gather(*(self._statistics(container_id, version) for container_id in found))
        return dict(zip(found, samples, strict=True))

    # ── task protection ──

    async def _protection(self, asked: Asked, identifier: str, job: TaskJob | None) -> Answer:
        if job is None or self._container_of(job, identifier) is None:
            return Answer(404, f"unable to find task for endpoint ID: {identifier}")
        role = self._engine.credentials.for_task(job.task)
        api = None if role is None else self._api.acting_as(role)
        match asked.method:
            case "GET":
                status, content = await show_protection(api, self._where.cluster, job.arn)
            case "PUT":
                status, content = await change_protection(api, self._where.cluster, job.arn, asked.body)
            case _:
                return Answer(405, "")
        return Answer(status, content)


def _by_docker_id(job: TaskJob, docker_id: str) -> messages.Container | None:
    return next((one for one in job.task.containers if docker_id and job.container_id(one.name) == docker_id), None)


def _refused(code: str, message: str, status: int) -> Answer:
    return Answer(status, {"code": code, "message": message, "HTTPErrorCode": status})


def _who(caller: Caller) -> str:
    if caller.container is None:
        return "a process of this machine" if caller.user_id is not None else "somebody unknown"
    return f"container {caller.container.name}"


def unanswered(error: RuntimeFailure) -> Answer:
    log.warning("the engine does not tell who asks, or what of: %s", error)
    return Answer(503, {"code": "ServerException", "message": "The container engine does not answer.", "HTTPErrorCode": 503})
