"""Task protection as a task asks for it: through its agent, with the rights of its own role.

GET and PUT of $ECS_AGENT_URI/task-protection/v1/state
(https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-scale-in-protection-endpoint.html). The answer has exactly one of
`protection`, `failure` (the platform did not do it) and `error` (it was not asked, or refused).
"""

from __future__ import annotations

from typing import Any

import msgspec

from longshore.agent.api import Api, CallRefused, PlatformUnreachable, Protection
from longshore.agent.metadata.views import moment_of


class _Wanted(msgspec.Struct, frozen=True, rename="pascal"):
    protection_enabled: bool | None = None
    expires_in_minutes: int | None = None


async def show_protection(api: Api | None, cluster: str, task_arn: str) -> tuple[int, dict[str, Any]]:
    """(status, content). `api` acts in the task's role; None: it has none."""
    if api is None:
        return _no_role(task_arn)
    try:
        return _shown(task_arn, await api.task_protection(cluster, task_arn))
    except (CallRefused, PlatformUnreachable) as error:
        return _refused(task_arn, error)


async def change_protection(api: Api | None, cluster: str, task_arn: str, body: bytes) -> tuple[int, dict[str, Any]]:
    try:
        wanted = msgspec.json.decode(body, type=_Wanted)
    except (msgspec.MsgspecError, RecursionError) as error:
        return 400, _error(task_arn, "InvalidParameterException", f"UpdateTaskProtection: failed to decode request: {error}")
    if wanted.protection_enabled is None:
        return 400, _error(task_arn, "InvalidParameterException", "Invalid request: does not contain 'ProtectionEnabled' field")
    if api is None:
        return _no_role(task_arn)
    try:
        changed = await api.protect_task(cluster, task_arn, enabled=wanted.protection_enabled, minutes=wanted.expires_in_minutes)
    except (CallRefused, PlatformUnreachable) as error:
        return _refused(task_arn, error)
    return _shown(task_arn, changed)


def _shown(task_arn: str, found: Protection) -> tuple[int, dict[str, Any]]:
    if found.failures:
        failure = found.failures[0]
        return 200, {"failure": {"Arn": failure.arn or task_arn, "Detail": failure.detail, "Reason": failure.reason}}
    if not found.protected_tasks:
        return 500, _error(task_arn, "ServerException", "The platform said nothing of the task.")
    task = found.protected_tasks[0]
    ends = moment_of(task.expiration_date) if task.expiration_date is not None else None
    return 200, {"protection": {"ExpirationDate": ends, "ProtectionEnabled": task.protection_enabled, "TaskArn": task.task_arn}}


def _no_role(task_arn: str) -> tuple[int, dict[str, Any]]:
    return 403, _error(task_arn, "AccessDeniedException", "Invalid Request: no task IAM role credentials available for task")


def _refused(task_arn: str, error: CallRefused | PlatformUnreachable) -> tuple[int, dict[str, Any]]:
    if isinstance(error, CallRefused):
        return error.status, _error(task_arn, error.code, error.message)
    return 500, _error(task_arn, "ServerException", str(error))


def _error(task_arn: str, code: str, message: str) -> dict[str, Any]:
    return {"error": {"Arn": task_arn, "Code": code, "Message": message}}
