"""Sessions of roles that a service takes on for somebody: Amazon ECS for its tasks and for the machines they run on.

No operation is asked and nobody's rights are: the role's own trust policy decides, which names the service. The condition keys it
may ask about are those that AWS's services bring (aws:SourceAccount, aws:SourceArn), so that the policy that AWS recommends against
confused deputies is understood.
"""

from __future__ import annotations

from typing import NamedTuple

from longshore.kit.ids import Ids
from longshore.kit.sealing import Keys
from longshore.services.iam.entities import trust_policies
from longshore.services.iam.evaluator import resource_account, service_may
from longshore.services.iam.lookup import new_secret
from longshore.services.iam.model import ROLES, Role
from longshore.services.sts.key_ids import session_key_id
from longshore.services.sts.sessions import Claims, write_token
from longshore.store.base import Reader, Store

ECS_TASKS = "ecs-tasks.amazonaws.com"
EC2 = "ec2.amazonaws.com"


class RoleUnusable(Exception):
    """The role is gone, or does not let the service take it on."""


class Issued(NamedTuple):
    claims: Claims
    token: str


def usable_role(reader: Reader, role_arn: str, service: str, source_arn: str) -> Role:
    """The role, if it lets `service` take it on for `source_arn`. Raises RoleUnusable."""
    roles = reader.list(ROLES, "arn", role_arn)
    if not roles:
        raise RoleUnusable(f"there is no role {role_arn}")
    context = {
        "aws:sourceaccount": [resource_account(source_arn)],
        "aws:sourcearn": [source_arn],
        "aws:principalservicename": [service],
        "aws:principalisawsservice": ["true"],
    }
    if not all(service_may(policy, "sts:AssumeRole", role_arn, context, service) for policy in trust_policies(reader, role_arn)):
        raise RoleUnusable(f"its trust policy does not let {service} take it on")
    return roles[0]


def issue(
    store: Store,
    secret: Keys,
    ids: Ids,
    *,
    role_arn: str,
    service: str,
    source_arn: str,
    session_name: str,
    bound_to: str,
    now: float,
    lasting_s: float,
) -> Issued:
    """A session of the role that begins now and ends with what it is bound to. Raises RoleUnusable."""
    role = usable_role(store, role_arn, service, source_arn)
    claims = Claims(
        role.account_id,
        session_key_id(ids, role.account_id),
        new_secret(ids),
        now,
        now + lasting_s,
        role_arn=role.arn,
        role_id=role.role_id,
        session_name=session_name,
        bound_to=bound_to,
        revision=store.revision,
    )
    return Issued(claims, write_token(secret, claims))
