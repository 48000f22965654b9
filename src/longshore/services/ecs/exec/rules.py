"""Who may come into a container, and how: what is checked before a session is offered, and what opening it takes."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import shlex

from msgspec.structs import replace

from longshore.services.ecs.errors import ClientException, InvalidParameterException, TargetNotConnectedException
from longshore.services.ecs.exec.model import EXEC_SESSIONS, MOST_SESSIONS, ExecSession
from longshore.services.ecs.model import CONTAINER_INSTANCES, Container, ContainerInstance, Task
from longshore.services.sts.revocations import has_ended
from longshore.store.base import Reader, Tx

#: what our agent calls itself when it connects; the stock agent names the revision it was built from
OWN_AGENT = "longshore"
NOT_ENABLED = (
    "The execute command failed because execute command was not enabled when the task was run or the execute command agent "
    "isn’t running. Wait and try again or run a new task with execute command enabled and try again."
)
NOT_CONNECTED = "The execute command failed because the agent of the task's container instance {why}. Try again later."
MOST_COMMAND = 8192


def serves_sessions(instance: ContainerInstance | None) -> bool:
    """Its agent can open sessions into containers: ours can, the stock one would need AWS Systems Manager."""
    return instance is not None and instance.agent_hash == OWN_AGENT


def chosen_container(task: Task, name: str | None) -> Container:
    """The one named, or the only one. Raises InvalidParameterException."""
    containers = task.status.containers
    if name:
        found = next((container for container in containers if container.name == name), None)
        if found is None:
            raise InvalidParameterException(f"The container {name} does not exist in the task.")
        return found
    if len(containers) != 1:
        raise InvalidParameterException("A container name must be specified when the task has more than one container.")
    return containers[0]


def parsed_command(text: str) -> tuple[str, ...]:
    """Program and arguments, split as a shell would and run without one. Raises InvalidParameterException."""
    if not text.strip() or len(text) > MOST_COMMAND or "\0" in text:
        raise InvalidParameterException(f"The command must have between 1 and {MOST_COMMAND} characters.")
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise InvalidParameterException(f"The command cannot be split into words: {error}.") from None
    if not words or not words[0]:
        raise InvalidParameterException("The command names no program.")
    return words


def check_agent(reader: Reader, task: Task) -> None:
    """Raises TargetNotConnectedException."""
    instance = reader.get(CONTAINER_INSTANCES, task.container_instance_arn)
    if instance is None or not instance.agent_connected:
        raise TargetNotConnectedException(NOT_CONNECTED.format(why="is not connected"))
    if not serves_sessions(instance):
        raise TargetNotConnectedException(NOT_CONNECTED.format(why="is Amazon's, which needs AWS Systems Manager for it"))


def offer(tx: Tx, session: ExecSession) -> None:
    """Raises ClientException when too many are offered or open."""
    if tx.count(EXEC_SESSIONS) >= MOST_SESSIONS:
        drop_expired(tx, session.created_at)
    if tx.count(EXEC_SESSIONS) >= MOST_SESSIONS:
        raise ClientException(f"There are {MOST_SESSIONS} sessions into containers already; end some and try again.")
    tx.create(EXEC_SESSIONS, session)


def open_session(tx: Tx, session_id: str, token: str, now: float) -> ExecSession | None:
    """For whoever brings the token, once and in time; None for everybody else, who does not learn why."""
    session = tx.get(EXEC_SESSIONS, session_id)
    known = session.token_digest if session is not None else digest_of("")
    if not hmac.compare_digest(known, digest_of(token)) or session is None:
        return None
    if session.status != "OFFERED" or now >= session.expires_at or has_ended(tx, session.asked_with):
        return None
    return tx.put(EXEC_SESSIONS, replace(session, status="OPEN", token_digest=""))


def drop_expired(tx: Tx, now: float) -> None:
    for session in tx.list(EXEC_SESSIONS):
        if session.status == "OFFERED" and now >= session.expires_at:
            tx.delete(EXEC_SESSIONS, session.id)


def forget_all(tx: Tx) -> None:
    """A server that starts holds no sockets: no session of an earlier one can go on."""
    for session in tx.list(EXEC_SESSIONS):
        tx.delete(EXEC_SESSIONS, session.id)


def new_token() -> str:
    """256 random bits."""
    return secrets.token_urlsafe(32)


def digest_of(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
