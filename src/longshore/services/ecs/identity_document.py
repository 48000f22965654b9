"""What a machine says of itself when its agent registers: its identity document, and what it has to offer. Pure.

The document is JSON text in the form of EC2's instance identity document. It comes from whoever may register instances, so
every member is checked before it is believed, and what does not fit is left out rather than refused.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

import msgspec

from longshore.aws.shapes import ecs as shapes
from longshore.services.ecs.errors import InvalidParameterException
from longshore.services.ecs.model import Attribute, Capacity

MOST_CPU = 1024 * 4096
MOST_MEMORY_MIB = 1024 * 1024 * 64
MOST_ENIS = 4096
MOST_GPUS = 64
_MOST_DOCUMENT = 16_384
_INSTANCE_ID = re.compile(r"(?:i|mi)-[0-9a-f]{8,32}")
_ZONE = re.compile(r"[a-z]{2}(?:-[a-z0-9]+)+")
_TYPE = re.compile(r"[A-Za-z0-9.\-]{1,64}")
_ARCHITECTURES = {"x86_64": "x86_64", "amd64": "x86_64", "arm64": "arm64", "aarch64": "arm64"}


class Identity(msgspec.Struct, frozen=True):
    """Members are empty where the document says nothing usable."""

    instance_id: str = ""
    address: str = ""
    availability_zone: str = ""
    instance_type: str = ""
    architecture: str = ""
    image_id: str = ""


def read_identity(text: str | None) -> Identity:
    """An empty Identity for no document (machines outside EC2). Raises InvalidParameterException for what is no document."""
    if not text or not text.strip():
        return Identity()
    if len(text) > _MOST_DOCUMENT:
        raise InvalidParameterException("The instance identity document is too long.")
    try:
        document = msgspec.json.decode(text, type=dict[str, object])
    except (msgspec.MsgspecError, RecursionError):
        raise InvalidParameterException("The instance identity document is not valid JSON.") from None
    return Identity(
        instance_id=_matching(document.get("instanceId"), _INSTANCE_ID),
        address=_address(document.get("privateIp")),
        availability_zone=_matching(document.get("availabilityZone"), _ZONE),
        instance_type=_matching(document.get("instanceType"), _TYPE),
        architecture=_ARCHITECTURES.get(str(document.get("architecture")), ""),
        image_id=_matching(document.get("imageId"), _TYPE),
    )


def _matching(value: object, pattern: re.Pattern[str]) -> str:
    return value if isinstance(value, str) and pattern.fullmatch(value) else ""


def _address(value: object) -> str:
    if not isinstance(value, str):
        return ""
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        return ""


def identity_attributes(identity: Identity) -> tuple[Attribute, ...]:
    """ECS's built-in attributes that follow from the document."""
    found = {
        "ecs.availability-zone": identity.availability_zone,
        "ecs.instance-type": identity.instance_type,
        "ecs.cpu-architecture": identity.architecture,
        "ecs.ami-id": identity.image_id,
        "ecs.os-type": "linux",
    }
    return tuple(Attribute(name, value) for name, value in found.items() if value)


def capacity_of(resources: Iterable[shapes.Resource] | None) -> Capacity:
    """Of `totalResources`; PORTS are those the machine keeps to itself. Raises InvalidParameterException."""
    by_name = {resource.name or "": resource for resource in resources or ()}
    cpu, memory = _amount(by_name, "CPU", MOST_CPU), _amount(by_name, "MEMORY", MOST_MEMORY_MIB)
    return Capacity(
        cpu=cpu,
        memory_mib=memory,
        reserved_ports=_ports(by_name.get("PORTS")),
        reserved_ports_udp=_ports(by_name.get("PORTS_UDP")),
        gpus=_gpus(by_name.get("GPU")),
        enis=_amount(by_name, "ENI", MOST_ENIS) if "ENI" in by_name else 0,
    )


def _gpus(resource: shapes.Resource | None) -> tuple[str, ...]:
    """Identifiers in the agent's own order, each once."""
    named = dict.fromkeys((resource.string_set_value if resource is not None else None) or ())
    if len(named) > MOST_GPUS or any(not 1 <= len(name) <= 128 for name in named):
        raise InvalidParameterException(f"The total resource GPU names up to {MOST_GPUS} GPUs.")
    return tuple(named)


def _amount(by_name: dict[str, shapes.Resource], name: str, most: int) -> int:
    resource = by_name.get(name)
    amount = resource.integer_value if resource is not None else None
    if amount is None and resource is not None:
        amount = resource.long_value
    if amount is None or not 0 <= amount <= most:
        raise InvalidParameterException(f"The total resource {name} is missing or not between 0 and {most}.")
    return amount


def _ports(resource: shapes.Resource | None) -> tuple[int, ...]:
    ports: set[int] = set()
    for text in (resource.string_set_value if resource is not None else None) or ():
        if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535):
            raise InvalidParameterException(f"'{text[:32]}' is not a port.")
        ports.add(int(text))
    return tuple(sorted(ports))
