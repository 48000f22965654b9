"""How a machine gets its credentials: let in by a code, once, and from then on by the session it has.

A machine acts in the role LongshoreInstanceRole, in a session named after it, as machines on EC2 do; the role is made when the first
machine comes, with the policy AWS has for agents. The session is the machine's own (services/ecs/acting.py), ends with the machine's
row, and is renewed with itself, also for a while after it has ended: a machine that was switched off for the night needs no new code.
"""

from __future__ import annotations

import hmac
import json
import re
from hashlib import sha256

import msgspec
from msgspec.structs import replace

from longshore.aws.errors import AccessDenied, Validation
from longshore.kit.ids import Ids
from longshore.kit.sealing import Keys
from longshore.services.ecs.machines.model import ACTIVATIONS, MACHINES, Activation, Machine, machine_key
from longshore.services.ecs.model import CONTAINER_INSTANCES
from longshore.services.iam.lookup import new_id
from longshore.services.iam.model import ATTACHMENTS, INLINE_POLICIES, ROLES, Attachment, InlinePolicy, Role, user_key
from longshore.services.sts.service_roles import EC2, Issued, RoleUnusable, issue
from longshore.services.sts.sessions import Claims
from longshore.store.base import Reader, Store, Tx

ROLE_NAME = "LongshoreInstanceRole"
AGENTS_POLICY = "arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role"
#: what agents ask for beside what AWS's policy allows: the tags that tasks may read of themselves
_FURTHER = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ecs:ListTagsForResource", "Resource": "*"}]}
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": EC2}, "Action": "sts:AssumeRole"}],
}
LASTING_S = 6 * 3600.0
#: how long after its end a session can still be renewed
RENEWABLE_S = 90 * 24 * 3600.0
_INSTANCE_ID = re.compile(r"i-[0-9a-f]{17}")
_CODE_PREFIX = "lsa-"


class Drawn(msgspec.Struct, frozen=True):
    """Drawn before the transaction, which may run more than once."""

    role_id: str

    @classmethod
    def of(cls, ids: Ids) -> Drawn:
        return cls(new_id(ids, "AROA", 21))


def new_code(ids: Ids) -> str:
    return f"{_CODE_PREFIX}{ids.hex(40)}"


def hash_of(code: str) -> str:
    return sha256(code.encode()).hexdigest()


def let_in(tx: Tx, code: str, instance_id: str, now: float, drawn: Drawn, *, local: tuple[str, str] | None = None) -> Machine:
    """The machine of a code that holds; `local` is the code of the platform's own machine for this instance, and its account.

    Raises AccessDenied, in the same words whatever is wrong with the code, and Validation."""
    if not _INSTANCE_ID.fullmatch(instance_id):
        raise Validation("A machine is named i- and 17 hexadecimal digits.")
    if local is not None and hmac.compare_digest(code.encode(), local[0].encode()):
        activation_id, account_id = "", local[1]
    else:
        activation = _used(tx, code, now)
        activation_id, account_id = activation.id, activation.account_id
        known = tx.get(MACHINES, machine_key(account_id, instance_id))
        if known is not None and known.activation_id != activation_id:
            raise AccessDenied(f"The machine {instance_id} has credentials already. Delete its activation to let it in anew.")
        if any(
            one.status != "INACTIVE"
            for one in tx.list(CONTAINER_INSTANCES, "ec2_instance", f"{activation.region}:{account_id}:{instance_id}")
        ):
            # whoever has a code chooses the id; it must not be a way to the tasks of a machine that is there
            raise AccessDenied(f"The machine {instance_id} is a container instance already. Deregister it to let it in with a code.")
    ensure_role(tx, account_id, now, drawn)
    return tx.put(MACHINES, Machine(instance_id, account_id, now, activation_id, now))


def renewed(tx: Tx, claims: Claims, now: float, drawn: Drawn) -> Machine:
    """The machine of a session, which may have ended. Raises AccessDenied."""
    machine = tx.get(MACHINES, machine_key(claims.account_id, claims.bound_to)) if machine_lives(tx, claims) else None
    if machine is None or now > claims.expires_at + RENEWABLE_S:
        raise AccessDenied("The session of this machine cannot be renewed. Let the machine in with a new code.")
    ensure_role(tx, claims.account_id, now, drawn)
    return tx.put(MACHINES, replace(machine, renewed_at=now))


def session_of(store: Store, secret: Keys, ids: Ids, machine: Machine, region: str, now: float) -> Issued:
    """Raises AccessDenied when the role was changed so that EC2 may not take it on."""
    account_id = machine.account_id
    try:
        return issue(
            store,
            secret,
            ids,
            role_arn=f"arn:aws:iam::{account_id}:role/{ROLE_NAME}",
            service=EC2,
            source_arn=f"arn:aws:ec2:{region}:{account_id}:instance/{machine.instance_id}",
            session_name=machine.instance_id,
            bound_to=machine.instance_id,
            now=now,
            lasting_s=LASTING_S,
        )
    except RoleUnusable as error:
        raise AccessDenied(f"Machines cannot act in the role {ROLE_NAME}: {error}.") from None


def machine_lives(reader: Reader, claims: Claims) -> bool:
    """Whether the session is of a machine that is let in, and not from before it was let in the last time."""
    machine = reader.get(MACHINES, machine_key(claims.account_id, claims.bound_to))
    return machine is not None and claims.issued_at >= machine.activated_at


def ensure_role(tx: Tx, account_id: str, now: float, drawn: Drawn) -> None:
    if tx.get(ROLES, user_key(account_id, ROLE_NAME)) is not None:
        return
    described = "Machines that are container instances act in this role."
    role = tx.create(ROLES, Role(account_id, ROLE_NAME, drawn.role_id, now, json.dumps(_TRUST), description=described))
    tx.put(ATTACHMENTS, Attachment(AGENTS_POLICY, role.arn, account_id))
    tx.put(INLINE_POLICIES, InlinePolicy(role.arn, "Longshore", json.dumps(_FURTHER)))


def _used(tx: Tx, code: str, now: float) -> Activation:
    found = tx.list(ACTIVATIONS, "code", hash_of(code))
    if not found or now >= found[0].expires_at or found[0].used >= found[0].most:
        raise AccessDenied("The activation code is not known, has expired, or has let in as many machines as it may.")
    return tx.put(ACTIVATIONS, replace(found[0], used=found[0].used + 1))
