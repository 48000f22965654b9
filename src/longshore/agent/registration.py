"""Becoming a container instance: what the agent says of its machine, and how it insists on being heard.

The instance identity document is the agent's own: on EC2 it would come signed from the instance's metadata. The platform must
give back every attribute as it was sent; an agent that finds others than its own has registered as somebody else
(agent protocol §1.1).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

import msgspec

from longshore.agent.api import Api, Attribute, CallRefused, PlatformUnreachable, Registered, Registration, Resource
from longshore.agent.capabilities import IDENTITY_ATTRIBUTE, RANGE_ATTRIBUTE, MachineFacts, capabilities
from longshore.config import AgentConfig
from longshore.kit.backoff import backoff_s
from longshore.kit.clock import Clock
from longshore.kit.ids import Ids
from longshore.runtime.base import EngineFacts

log = logging.getLogger("longshore.agent")

#: there is no catalogue of types for machines of one's own
INSTANCE_TYPE = "local"


class WrongAttributes(Exception):
    """The platform gave back other attributes than it was sent: starting again would not help."""


class RegistrationRefused(Exception):
    """The platform does not want this agent as it is: starting again would not help."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the agent has found out of its engine and its machine."""

    engine: EngineFacts = EngineFacts()
    machine: MachineFacts = MachineFacts()


def registration(config: AgentConfig, facts: Facts, *, client_token: str, container_instance_arn: str | None, machine: str) -> Registration:
    """`machine` is the kernel's word for the architecture. Custom attributes are only sent the first time."""
    return Registration(
        cluster=config.cluster,
        client_token=client_token,
        instance_identity_document=msgspec.json.encode(_identity_document(config, machine)).decode(),
        instance_identity_document_signature="",
        attributes=attributes({} if container_instance_arn else config.attributes, facts, machine),
        total_resources=(
            Resource("CPU", "INTEGER", integer_value=config.cpu_units),
            Resource("MEMORY", "INTEGER", integer_value=config.memory_mib),
            Resource("PORTS", "STRINGSET", string_set_value=tuple(str(port) for port in config.reserved_ports)),
            Resource("PORTS_UDP", "STRINGSET", string_set_value=()),
            *((Resource("GPU", "STRINGSET", string_set_value=facts.machine.gpus),) if facts.machine.gpus else ()),
            *((Resource("ENI", "INTEGER", integer_value=facts.machine.places),) if facts.machine.places else ()),
        ),
        container_instance_arn=container_instance_arn,
    )


def attributes(custom: Mapping[str, str], facts: Facts, machine: str) -> tuple[Attribute, ...]:
    """Custom ones, what this agent can do, and what the machine is."""
    return (
        *(Attribute(name, value) for name, value in custom.items()),
        *(Attribute(name) for name in capabilities(facts.engine, facts.machine)),
        *((Attribute(RANGE_ATTRIBUTE, facts.machine.task_range),) if facts.machine.task_range else ()),
        *((Attribute(IDENTITY_ATTRIBUTE, str(facts.machine.identity_port)),) if facts.machine.identity_port else ()),
        Attribute("ecs.os-type", "linux"),
        Attribute("ecs.os-family", "LINUX"),
        Attribute("ecs.os-type-detailed", "LINUX"),
        Attribute("ecs.cpu-architecture", architecture(machine)),
    )


def architecture(machine: str) -> str:
    return {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}.get(machine, machine)


def check_echo(sent: tuple[Attribute, ...], echoed: tuple[Attribute, ...]) -> None:
    """Raises WrongAttributes; no value and an empty one are the same, and there may be more than were sent."""
    found = {attribute.name: attribute.value or "" for attribute in echoed}
    wrong = [attribute.name for attribute in sent if found.get(attribute.name) != (attribute.value or "")]
    if wrong:
        raise WrongAttributes(f"the platform did not give back as they were sent: {', '.join(wrong)}")


async def register(api: Api, config: AgentConfig, facts: Facts, container_instance_arn: str | None, clock: Clock, ids: Ids) -> Registered:
    """Until it has worked. Raises RegistrationRefused or WrongAttributes when it never will, and CallRefused when it may elsewhere."""
    machine = os.uname().machine
    asked = registration(config, facts, client_token=ids.uuid(), container_instance_arn=container_instance_arn, machine=machine)
    failures = 0
    while True:
        try:
            registered = await api.register_container_instance(asked)
            check_echo(asked.attributes, registered.attributes)
            return registered
        except PlatformUnreachable as error:
            log.info("registration waits: %s", error)
        except CallRefused as error:
            if _cluster_is_missing(error) and config.cluster == "default":
                await _create_cluster(api, config.cluster)
            elif error.code in ("InvalidParameterException", "ClientException"):
                raise RegistrationRefused(str(error)) from error
            elif not error.may_pass:
                raise
            log.warning("registration: %s", error)
        wait = backoff_s(failures, ids.fraction(), first_s=0.1, most_s=5.0)
        failures += 1
        await clock.sleep(wait)


async def _create_cluster(api: Api, name: str) -> None:
    """The default cluster comes into being with its first instance."""
    try:
        await api.create_cluster(name)
    except (CallRefused, PlatformUnreachable) as error:
        log.warning("cluster %s could not be created: %s", name, error)


def _cluster_is_missing(error: CallRefused) -> bool:
    return error.code == "ClusterNotFoundException" or "Cluster not found." in error.message


def _identity_document(config: AgentConfig, machine: str) -> dict[str, str]:
    return {
        "instanceId": config.instance_id,
        "privateIp": config.address,
        "availabilityZone": config.zone,
        "instanceType": INSTANCE_TYPE,
        "region": config.region,
        "architecture": architecture(machine),
    }
