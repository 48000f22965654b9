"""The control session's part in commands: an open session of the instance's tasks is told to its agent.

The message is ours and not of the agent protocol: an agent that does not know it leaves it out, and none but ours is given any
(services/ecs/exec/rules.py). The agent answers by opening a socket at the address in it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from longshore.services.ecs.exec.model import EXEC_SESSIONS, ExecSession
from longshore.store.base import Store

#: the path that the agent's sockets of sessions are opened below
AGENT_ROUTE = "/_exec/"


async def announce_sessions(
    store: Store, instance_arn: str, gateway_url: str, send: Callable[[str, dict[str, Any]], Awaitable[None]]
) -> None:
    """For ever: each session once. One that no agent took up is given up by whoever waits for it."""
    watch = store.watch(EXEC_SESSIONS, index="open_on", value=instance_arn)
    told: set[str] = set()
    try:
        while True:
            sessions = store.list(EXEC_SESSIONS, "open_on", instance_arn)
            told &= {session.id for session in sessions}
            for session in sessions:
                if session.id not in told:
                    told.add(session.id)
                    await send("LongshoreExecMessage", _message(session, gateway_url))
            await watch.next()
    finally:
        watch.close()


def _message(session: ExecSession, gateway_url: str) -> dict[str, Any]:
    return {
        "sessionId": session.id,
        "endpoint": f"{gateway_url}{AGENT_ROUTE}",
        "taskArn": session.task_arn,
        "containerName": session.container_name,
        "purpose": session.purpose,
        "command": list(session.command),
        "interactive": session.interactive,
        "follow": session.follow,
        "tail": session.tail,
        "timestamps": session.timestamps,
    }
