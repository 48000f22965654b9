"""The credentials of the roles of this agent's tasks: what the platform has sent, the newest under each id.

They are held in memory alone. What the journal keeps of a payload has lost its keys (`without_keys`), so that they are nowhere on the
disk; the platform sends them again whenever an agent has started anew.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from longshore.agent import messages

_MEMBERS = ("roleCredentials", "executionRoleCredentials")
#: what of credentials may be kept: containers have the id in their environment
_KEPT = ("credentialsId", "roleArn")


class RoleCredentialsStore:
    """By credentials id. A renewal comes under the id that was in the task's payload."""

    def __init__(self) -> None:
        self._kept: dict[str, messages.RoleCredentials] = {}

    def __repr__(self) -> str:
        return f"RoleCredentialsStore({len(self._kept)})"

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, given: messages.RoleCredentials) -> None:
        if given.credentials_id and given.access_key_id:
            self._kept[given.credentials_id] = given

    def get(self, credentials_id: str) -> messages.RoleCredentials | None:
        return self._kept.get(credentials_id)

    def for_task(self, task: messages.Task) -> messages.RoleCredentials | None:
        """Of the task role: what the task's containers act with. None: it has none, or none have come yet."""
        return self._of(task.role_credentials)

    def for_execution(self, task: messages.Task) -> messages.RoleCredentials | None:
        """Of the execution role: what this agent acts with for the task (pulls, secrets, logs)."""
        return self._of(task.execution_role_credentials)

    def retain(self, tasks: Iterable[messages.Task]) -> None:
        """Forget what belongs to none of these tasks."""
        wanted = {
            given.credentials_id
            for task in tasks
            for given in (task.role_credentials, task.execution_role_credentials)
            if given is not None
        }
        self._kept = {identifier: given for identifier, given in self._kept.items() if identifier in wanted}

    def _of(self, named: messages.RoleCredentials | None) -> messages.RoleCredentials | None:
        return self._kept.get(named.credentials_id) if named is not None else None


def without_keys(payload: bytes) -> bytes:
    """A task of a payload as it may lie on the disk. Raises msgspec.MsgspecError for what is no task."""
    task = msgspec.json.decode(payload, type=dict[str, msgspec.Raw])
    found = [member for member in _MEMBERS if member in task]
    if not found:
        return payload
    for member in found:
        given = msgspec.json.decode(task[member], type=dict[str, msgspec.Raw] | None) or {}
        task[member] = msgspec.Raw(msgspec.json.encode({name: given[name] for name in _KEPT if name in given}))
    return msgspec.json.encode(task)
