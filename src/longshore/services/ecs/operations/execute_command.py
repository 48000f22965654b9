"""Into a container: ExecuteCommand, and LongshoreOpenTaskLogs for what it writes.

Both answer with a session: the address of a websocket and a token that opens it once within a minute. Whoever may call is
decided here and now; the token stands for that decision. Nothing runs before somebody came with it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from msgspec.structs import replace

from longshore.aws.shapes import ecs as shapes
from longshore.services.call import Call
from longshore.services.ecs.api import api
from longshore.services.ecs.errors import InvalidParameterException
from longshore.services.ecs.exec import rules
from longshore.services.ecs.exec.model import TOKEN_LIFE_S, ExecSession
from longshore.services.ecs.exec.shapes import OPEN_LOGS, OpenTaskLogsRequest, OpenTaskLogsResponse
from longshore.services.ecs.lookup import child_arn, cluster_arn, find_cluster, find_task
from longshore.services.ecs.model import TASKS, Container, Task
from longshore.services.sts.revocations import links_of
from longshore.store.base import Reader, Tx

log = logging.getLogger("longshore.ecs")

Asked = shapes.ExecuteCommandRequest | OpenTaskLogsRequest
_UNKNOWN_TASK = "The specified task was not found. Specify a valid task and try again."


def _resources(call: Call, request: Asked) -> Iterable[str]:
    """AWS asks for both: the cluster and the task."""
    return (cluster_arn(call, request.cluster), child_arn(call, request.cluster, "task", request.task))


def _task_resource(call: Call, request: Asked) -> Iterable[str]:
    return (child_arn(call, request.cluster, "task", request.task),)


def _conditions(call: Call, request: Asked) -> dict[str, list[str]]:
    """A container that is not named is the task's only one, and a policy that speaks of it is asked about it."""
    name, arn = request.container, child_arn(call, request.cluster, "task", request.task)
    if not name:
        task = call.store.get(TASKS, arn)
        name = task.status.containers[0].name if task is not None and len(task.status.containers) == 1 else None
    return {"ecs:cluster": [cluster_arn(call, request.cluster)], "ecs:task": [arn], **({"ecs:container-name": [name]} if name else {})}


@api.operation("ExecuteCommand", resource=_resources, conditions=_conditions)
async def execute_command(call: Call, request: shapes.ExecuteCommandRequest) -> shapes.ExecuteCommandResponse:
    """Without `interactive` (which AWS refuses) there is no terminal, and standard input and output are passed on byte for byte."""
    command, token = rules.parsed_command(request.command), rules.new_token()
    session_id, now = f"ecs-execute-command-{call.ids.hex(17)}", call.clock.now()

    def offer(tx: Tx) -> tuple[Task, Container]:
        task = _found(tx, call, request)
        if not task.spec.enable_execute_command or task.last_status != "RUNNING" or task.stop is not None:
            raise InvalidParameterException(rules.NOT_ENABLED)
        container = rules.chosen_container(task, request.container)
        if container.last_status != "RUNNING":
            raise InvalidParameterException(rules.NOT_ENABLED)
        rules.check_agent(tx, task)
        session = _session(call, session_id, task, container, token, now)
        rules.offer(tx, replace(session, command=command, interactive=request.interactive))
        return task, container

    task, container = await call.store.transact(offer)
    # not the command itself: it may hold secrets
    log.info("%s: offered to %s, for %s of %s", session_id, call.principal.arn, container.name, task.arn)
    return shapes.ExecuteCommandResponse(
        cluster_arn=task.cluster_arn,
        container_arn=container.arn,
        container_name=container.name,
        interactive=request.interactive,
        session=_shown(call, session_id, token),
        task_arn=task.arn,
    )


@api.operation("LongshoreOpenTaskLogs", resource=_task_resource, conditions=_conditions, shape=OPEN_LOGS)
async def open_task_logs(call: Call, request: OpenTaskLogsRequest) -> OpenTaskLogsResponse:
    """Of any task whose container is still there, enableExecuteCommand or not: reading is less than running."""
    token, session_id, now = rules.new_token(), f"longshore-logs-{call.ids.hex(17)}", call.clock.now()

    def offer(tx: Tx) -> tuple[Task, Container]:
        task = _found(tx, call, request)
        container = rules.chosen_container(task, request.container)
        if not task.container_instance_arn or not container.runtime_id:
            raise InvalidParameterException(f"The container {container.name} has not been started.")
        rules.check_agent(tx, task)
        session = _session(call, session_id, task, container, token, now)
        tail = -1 if request.tail is None else request.tail
        logs = replace(session, purpose="logs", interactive=False, follow=request.follow, tail=tail, timestamps=request.timestamps)
        rules.offer(tx, logs)
        return task, container

    task, container = await call.store.transact(offer)
    return OpenTaskLogsResponse(
        cluster_arn=task.cluster_arn,
        task_arn=task.arn,
        container_arn=container.arn,
        container_name=container.name,
        session=_shown(call, session_id, token),
    )


def _found(reader: Reader, call: Call, request: Asked) -> Task:
    task = find_task(reader, call, find_cluster(reader, call, request.cluster), request.task)
    if task is None:
        raise InvalidParameterException(_UNKNOWN_TASK)
    return task


def _session(call: Call, session_id: str, task: Task, container: Container, token: str, now: float) -> ExecSession:
    return ExecSession(
        id=session_id,
        task_arn=task.arn,
        cluster_arn=task.cluster_arn,
        container_instance_arn=task.container_instance_arn,
        container_name=container.name,
        requester=call.principal.arn,
        token_digest=rules.digest_of(token),
        created_at=now,
        expires_at=now + TOKEN_LIFE_S,
        asked_with=links_of(call.principal, now, call.store.revision),
    )


def _shown(call: Call, session_id: str, token: str) -> shapes.Session:
    """On the address the caller used."""
    scheme, _, where = call.base_url.partition("://")
    address = f"{'wss' if scheme == 'https' else 'ws'}://{where}/v1/data-channel/{session_id}?role=publish_subscribe"
    return shapes.Session(session_id=session_id, stream_url=address, token_value=token)
