"""How a container reaches its agent and the platform, and what it is told of that in its environment. Pure.

Every container finds its agent at 169.254.170.2, an address that AWS's SDKs know: credentials of the task's role, metadata and task
protection there, and the platform itself behind another port of it, since the gateway of one machine listens on the machine's own
loopback, which is not the container's (docs/decisions). Port 80 is where SDKs look by themselves; an agent that may not listen there
says its port in the variables, which the SDKs take for this address alone. What a task definition sets itself wins.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from hashlib import sha256

import msgspec

from longshore.agent import messages

#: where every SDK looks for credentials of a task
ADDRESS = "169.254.170.2"
USUAL_PORT = 80
#: where an agent listens that may not use the usual one, and where containers find the platform
OTHER_PORT = 51679
PLATFORM_PORT = 51680
EXECUTION_ENVIRONMENT = "AWS_ECS_EC2"


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """What this agent's containers are told."""

    #: of the entrance; 0: this agent has none (the log says why), and containers are told of none
    port: int = 0
    #: of the platform, for containers that share the machine's network, and where no agent need pass anything on
    endpoint: str
    #: containers reach the platform through their agent
    passes_on: bool = True
    #: containers ask for names there
    resolves: bool = False
    #: ids of containers are worked out from it
    key: bytes = b""

    def __repr__(self) -> str:
        return f"Link({ADDRESS}:{self.port}, {self.endpoint})"

    @property
    def base(self) -> str:
        return f"http://{ADDRESS}" if self.port == USUAL_PORT else f"http://{ADDRESS}:{self.port}"


def endpoint_id(key: bytes, task_arn: str, container: str) -> str:
    """What a container's metadata is found by: a UUID to look at, the same after a restart, and not to be guessed."""
    drawn = hmac.new(key, f"{task_arn}|{container}".encode(), sha256).hexdigest()
    return f"{drawn[:8]}-{drawn[8:12]}-4{drawn[13:16]}-b{drawn[17:20]}-{drawn[20:32]}"


def told(task: messages.Task, container: messages.Container, link: Link, *, network_mode: str) -> dict[str, str]:
    """The variables a container gets beside its own."""
    given: dict[str, str] = {"AWS_EXECUTION_ENV": EXECUTION_ENVIRONMENT}
    through_agent = link.passes_on and (network_mode != "host" or link.endpoint.startswith("https:"))
    if not through_agent:
        given["AWS_ENDPOINT_URL"] = link.endpoint
    elif link.port:
        given["AWS_ENDPOINT_URL"] = f"http://{ADDRESS}:{PLATFORM_PORT}"
    if not link.port:
        return given
    identifier = endpoint_id(link.key, task.arn, container.name)
    given["ECS_CONTAINER_METADATA_URI"] = f"{link.base}/v3/{identifier}"
    given["ECS_CONTAINER_METADATA_URI_V4"] = f"{link.base}/v4/{identifier}"
    given["ECS_AGENT_URI"] = f"{link.base}/api/{identifier}"
    if task.role_credentials is not None:
        path = f"/v2/credentials/{task.role_credentials.credentials_id}"
        if link.port == USUAL_PORT:
            given["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] = path
        else:
            given["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = f"{link.base}{path}"
    return given


#: a container that says where its credentials are, or has keys of its own, is not told of others
_CREDENTIALS = frozenset({"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"})


def laid_under(own: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """`own` with what of `given` it does not say itself."""
    names = given.keys() - (_CREDENTIALS if own.keys() & _CREDENTIALS else frozenset())
    return {**{name: given[name] for name in given if name in names}, **own}
