"""The roles of a task: which they are, whether Amazon ECS may take them on, and the sessions its containers and its agent get.

A task has up to two: the task role, for its containers, and the execution role, for what its agent does on its behalf (pulls,
secrets, logs). A session is named after the task, is good for six hours, is renewed long before, and ends with the task: once that
is STOPPED its credentials are refused, whoever has them. The id under which an agent keeps a task's credentials is worked out from
the installation's secret: it stays the same over renewals and restarts, as the environment of containers needs it, and cannot be
guessed (protocol: the agent protocol §2.4, §5.2).
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, NamedTuple

from longshore.kit.ids import Ids
from longshore.kit.sealing import Keys, lasting_key
from longshore.services.ecs.event_words import ROLE_REFUSED
from longshore.services.ecs.model import TASKS, Task, TaskDefinition
from longshore.services.iam.evaluator import resource_account
from longshore.services.sts.model import Began
from longshore.services.sts.service_roles import ECS_TASKS, Issued, RoleUnusable, issue, usable_role
from longshore.services.sts.sessions import Claims
from longshore.store.base import Reader, Store

#: how long the credentials of a task are good, and with how much of that left they are renewed
LASTING_S = 6 * 3600.0
RENEWED_WITH_S = 3 * 3600.0
#: Task.stop.code of a task whose role cannot be taken on
FAILED = "TaskFailedToStart"


#: what a role is for: the task's containers, or its agent
KINDS = ("TaskApplication", "TaskExecution")


class TaskRoles(NamedTuple):
    """ARNs; empty where there is none."""

    task: str
    execution: str


class Given(NamedTuple):
    """What one role's session is on the wire, and when it ends."""

    #: one of KINDS
    kind: str
    wire: dict[str, Any]
    expires_at: float
    #: as others look it up that may have been ended
    link: Began


def roles_of(task: Task, definition: TaskDefinition) -> TaskRoles:
    """Of the task's overrides where they say so, of its definition otherwise."""
    wanted, overrides = definition.definition, task.spec.overrides
    account_id = resource_account(task.arn)
    return TaskRoles(
        _role_arn((overrides.task_role_arn if overrides else None) or wanted.task_role_arn, account_id),
        _role_arn((overrides.execution_role_arn if overrides else None) or wanted.execution_role_arn, account_id),
    )


def cannot_be_assumed(role_arn: str) -> str:
    """What ECS says when it may not take a role on, in AWS's words."""
    return (
        f"{ROLE_REFUSED} '{role_arn}' that was provided for this task. Please verify that the role being passed has "
        "the proper trust relationship and permissions and that your IAM user has permissions to pass this role."
    )


def refused_role(reader: Reader, task: Task, definition: TaskDefinition) -> str:
    """Why a task cannot have its roles; empty when it can."""
    for role_arn in roles_of(task, definition):
        if role_arn and not _is_usable(reader, role_arn, task.arn):
            return cannot_be_assumed(role_arn)
    return ""


class Sessions(NamedTuple):
    """What came of taking on the roles of a task."""

    given: list[Given]
    #: kind of a role that ECS may not take on -> what ECS says of it
    refused: dict[str, str]


def sessions(
    store: Store, secret: Keys, ids: Ids, task: Task, definition: TaskDefinition, now: float, kinds: Iterable[str] = KINDS
) -> Sessions:
    """New sessions of the task's roles of these `kinds`."""
    roles = dict(zip(KINDS, roles_of(task, definition), strict=True))
    found = Sessions([], {})
    for kind in kinds:
        role_arn = roles[kind]
        if not role_arn:
            continue
        try:
            issued = _issue(store, secret, ids, task, role_arn, now)
        except RoleUnusable:
            found.refused[kind] = cannot_be_assumed(role_arn)
            continue
        wire = _wire(credentials_id(secret, task.arn, kind, task.spec.created_at), issued)
        found.given.append(Given(kind, wire, issued.claims.expires_at, issued.claims.links[-1]))
    return found


def credentials_id(secret: Keys, task_arn: str, kind: str, begun_at: float = 0.0) -> str:
    """A UUID to look at. `begun_at`: when the task was created."""
    drawn = hmac.new(lasting_key(secret, "ecs-credentials-id", begun_at), f"{kind}|{task_arn}".encode(), sha256).hexdigest()
    return f"{drawn[:8]}-{drawn[8:12]}-4{drawn[13:16]}-a{drawn[17:20]}-{drawn[20:32]}"


def task_lives(reader: Reader, claims: Claims) -> bool:
    """Whether the task that a session is bound to has not stopped yet."""
    task = reader.get(TASKS, claims.bound_to)
    return task is not None and not task.is_stopped


def _issue(store: Store, secret: Keys, ids: Ids, task: Task, role_arn: str, now: float) -> Issued:
    if resource_account(role_arn) != resource_account(task.arn):
        raise RoleUnusable("the role is another account's")
    return issue(
        store,
        secret,
        ids,
        role_arn=role_arn,
        service=ECS_TASKS,
        source_arn=task.arn,
        session_name=task.arn.rpartition("/")[2],
        bound_to=task.arn,
        now=now,
        lasting_s=LASTING_S,
    )


def _is_usable(reader: Reader, role_arn: str, task_arn: str) -> bool:
    try:
        usable_role(reader, role_arn, ECS_TASKS, task_arn)
    except RoleUnusable:
        return False
    return resource_account(role_arn) == resource_account(task_arn)


def _role_arn(role: str | None, account_id: str) -> str:
    """Definitions may name a role of their own account by its name alone."""
    return "" if not role else role if role.startswith("arn:") else f"arn:aws:iam::{account_id}:role/{role}"


def _wire(identifier: str, issued: Issued) -> dict[str, Any]:
    claims = issued.claims
    return {
        "credentialsId": identifier,
        "roleArn": claims.role_arn,
        "accessKeyId": claims.access_key_id,
        "secretAccessKey": claims.secret_access_key,
        "sessionToken": issued.token,
        "expiration": datetime.fromtimestamp(claims.expires_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
