"""Sessions into containers: a command to run in one (ExecuteCommand), or what one writes (LongshoreOpenTaskLogs).

    OFFERED    whoever asked holds a token, good for a minute and for one use
    OPEN       somebody came with the token; the instance's agent is told to begin
    (gone)     it ended, or nobody came, or what it was asked for with was revoked

A session is only worth something while the server that holds its sockets runs, so a server that starts forgets them all.
"""

from __future__ import annotations

import msgspec

from longshore.kit.resource import Kind
from longshore.services.sts.model import Began

#: seconds for which a token is good
TOKEN_LIFE_S = 60.0
#: sessions at once in the whole installation
MOST_SESSIONS = 500


class ExecSession(msgspec.Struct, frozen=True, gc=False):
    """`token_digest` is the SHA-256 of the token: who reads the store can open nothing."""

    id: str
    task_arn: str
    cluster_arn: str
    container_instance_arn: str
    container_name: str
    #: ARN of whoever asked
    requester: str
    token_digest: str
    created_at: float
    #: until then the token is good
    expires_at: float
    purpose: str = "command"  # command | logs
    status: str = "OFFERED"  # OFFERED | OPEN
    #: program and arguments
    command: tuple[str, ...] = ()
    #: with a terminal
    interactive: bool = True
    #: of logs: go on as lines come; how many of the last ones (-1: all); with their times
    follow: bool = False
    tail: int = -1
    timestamps: bool = False
    #: what whoever asked came with: it ends when one of these is ended before its time
    asked_with: tuple[Began, ...] = ()


EXEC_SESSIONS: Kind[ExecSession] = Kind(
    name="ecs.exec_session",
    type=ExecSession,
    key=lambda session: session.id,
    indexes={
        "open_on": lambda session: (session.container_instance_arn,) if session.status == "OPEN" else (),
        "task": lambda session: (session.task_arn,),
    },
)
