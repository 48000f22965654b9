"""The credentials of tasks' roles on a control socket: with the payload, on asking, and anew before they end.

One for each control session, which belongs to one container instance: sessions are made for tasks that are placed there and go
nowhere else. What an agent has not acknowledged is sent again (protocol: the agent protocol §2.4, IAMRoleCredentialsMessage).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from longshore.kit.clock import Clock
from longshore.kit.ids import Ids
from longshore.kit.sealing import Keys, era_of
from longshore.services.ecs.model import TASK_DEFINITIONS, TASKS, Task, TaskDefinition, revision_key
from longshore.services.ecs.task_roles import KINDS, RENEWED_WITH_S, Given, sessions
from longshore.services.sts.model import Began
from longshore.services.sts.revocations import has_ended
from longshore.services.sts.service_roles import RoleUnusable
from longshore.store.base import Store

log = logging.getLogger("longshore.gateway.agents")

#: how often it is looked whether something is due, or was not acknowledged
LOOK_S = 60.0
_MEMBERS = {"TaskApplication": "roleCredentials", "TaskExecution": "executionRoleCredentials"}


class RoleCredentials:
    """`send` takes the type of a message and its content."""

    def __init__(
        self, store: Store, secret: Keys, clock: Clock, ids: Ids, instance_arn: str, send: Callable[[str, dict[str, Any]], Awaitable[None]]
    ) -> None:
        self._store = store
        self._secret = secret
        self._clock = clock
        self._ids = ids
        self._instance_arn = instance_arn
        self._send = send
        #: task ARN -> kind of its role -> when those credentials end; 0 for a role that could not be taken on, which is tried again
        self._ends: dict[str, dict[str, float]] = {}
        self._era = era_of(secret)
        #: the same -> the session, which may be ended before its time
        self._sessions: dict[str, dict[str, Began]] = {}
        #: message id -> ARN of the task whose credentials are in it
        self._unacknowledged: dict[str, str] = {}

    def for_payload(self, task: Task, definition: TaskDefinition) -> dict[str, Any]:
        """The members of a payload's task that bring its credentials. Raises RoleUnusable for a task that has not begun: what runs, runs
        on without."""
        given, refused = self._new(task, definition, KINDS)
        if refused and task.status.last_status in ("PROVISIONING", "PENDING"):
            self._ends.pop(task.arn, None)
            self._sessions.pop(task.arn, None)
            raise RoleUnusable(next(iter(refused.values())))
        return {_MEMBERS[one.kind]: one.wire for one in given}

    async def send_all(self) -> None:
        """What an agent that has started anew lacks, of every task that has not stopped there: one that is stopping needs its role, too."""
        for task in self._store.list(TASKS, "active_on", self._instance_arn):
            await self._send_anew(task.arn, KINDS)

    async def renew(self) -> None:
        """For ever."""
        while True:
            await self._clock.sleep(LOOK_S)
            unheard, self._unacknowledged = set(self._unacknowledged.values()), {}
            now, era = self._clock.now(), era_of(self._secret)
            # What was sealed with another secret may be worth nothing any more.
            is_other, self._era = era != self._era, era
            for arn, ends in list(self._ends.items()):
                all_of_them = is_other or arn in unheard
                due = [kind for kind, end in ends.items() if all_of_them or end - now < RENEWED_WITH_S or self._is_over(arn, kind)]
                if due:
                    await self._send_anew(arn, due)

    def _is_over(self, arn: str, kind: str) -> bool:
        session = self._sessions.get(arn, {}).get(kind)
        return session is not None and has_ended(self._store, (session,))

    def acknowledged(self, message_id: str) -> None:
        self._unacknowledged.pop(message_id, None)

    async def _send_anew(self, arn: str, kinds: Iterable[str]) -> None:
        task = self._store.get(TASKS, arn)
        definition = _definition(self._store, task) if task is not None else None
        if task is None or definition is None or task.is_stopped or task.container_instance_arn != self._instance_arn:
            self._ends.pop(arn, None)
            self._sessions.pop(arn, None)
            return
        for one in self._new(task, definition, kinds)[0]:
            message_id = self._ids.uuid()
            self._unacknowledged[message_id] = arn
            await self._send(
                "IAMRoleCredentialsMessage",
                {
                    "messageId": message_id,
                    "taskArn": arn,
                    "taskClusterArn": task.cluster_arn,
                    "roleType": one.kind,
                    "roleCredentials": one.wire,
                },
            )

    def _new(self, task: Task, definition: TaskDefinition, kinds: Iterable[str]) -> tuple[list[Given], dict[str, str]]:
        """(sessions, what is said of the roles that cannot be taken on)."""
        given, refused = sessions(self._store, self._secret, self._ids, task, definition, self._clock.now(), kinds)
        if given or refused:
            ends = self._ends.setdefault(task.arn, {})
            for kind, words in refused.items():
                if ends.get(kind) != 0.0:
                    log.warning("%s: gets no credentials until its role can be taken on: %s", task.arn, words)
                ends[kind] = 0.0
            ends.update({one.kind: one.expires_at for one in given})
            self._sessions.setdefault(task.arn, {}).update({one.kind: one.link for one in given})
        return given, refused


def _definition(store: Store, task: Task) -> TaskDefinition | None:
    family, _, revision = task.spec.task_definition_arn.rsplit("/", 1)[-1].rpartition(":")
    return store.get(TASK_DEFINITIONS, revision_key(task.arn, family, int(revision)))
