"""What ECS keeps of machines that were given credentials of their own, and of the codes by which they are.

A machine is known by its instance id (`i-…`) within an account. While its row is there, its sessions are good.
"""

from __future__ import annotations

import msgspec

from longshore.kit.resource import Kind


class Activation(msgspec.Struct, frozen=True, gc=False):
    """A code that lets machines in, kept as its hash alone."""

    id: str
    account_id: str
    region: str
    code_sha256: str
    created_at: float
    expires_at: float
    #: how many machines it lets in, and has let in
    most: int
    used: int = 0
    created_by: str = ""
    description: str = ""


def activation_key(region: str, account_id: str, identifier: str) -> str:
    return f"{region}:{account_id}:{identifier}"


ACTIVATIONS: Kind[Activation] = Kind(
    name="ecs.activation",
    type=Activation,
    key=lambda activation: activation_key(activation.region, activation.account_id, activation.id),
    indexes={
        "scope": lambda activation: (f"{activation.region}:{activation.account_id}",),
        "code": lambda activation: (activation.code_sha256,),
    },
)


class Machine(msgspec.Struct, frozen=True, gc=False):
    """A machine that has credentials."""

    instance_id: str
    account_id: str
    activated_at: float
    #: empty for a container instance of the platform's own machine
    activation_id: str = ""
    renewed_at: float = 0.0


def machine_key(account_id: str, instance_id: str) -> str:
    return f"{account_id}:{instance_id}"


MACHINES: Kind[Machine] = Kind(
    name="ecs.machine",
    type=Machine,
    key=lambda machine: machine_key(machine.account_id, machine.instance_id),
    indexes={
        "id": lambda machine: (machine_key(machine.account_id, machine.instance_id),),
        "activation": lambda machine: (f"{machine.account_id}:{machine.activation_id}",) if machine.activation_id else (),
    },
)
