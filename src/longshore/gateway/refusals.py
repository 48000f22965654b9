"""What a refused operation is answered: AWS's words, and sealed in them what only the account's administrators are to read.

It is put together when there is a refusal to tell, and for nothing else. Of another account's resource neither its policy nor its tags
go in: the message is opened in the account of who was refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from longshore.kit.sealing import Keys
from longshore.services.call import Principal
from longshore.services.iam.deciding import Heard
from longshore.services.iam.evaluator import matching, resource_account
from longshore.services.iam.identities import EXPLICIT
from longshore.services.iam.policy import Policy
from longshore.services.sts.messages import Said, encoded_message, refused, said

_ENCODED = "Encoded authorization failure message: "


def told(
    secret: Keys,
    api: str,
    principal: Principal,
    action: str,
    resource: str,
    denied: str,
    *,
    heard: Heard,
    context: Mapping[str, Sequence[str]],
) -> str:
    """`denied` with its encoded details. `context` has nothing of a resource of another account's."""
    its = heard.its if is_own(principal, resource) else ()
    message = refused(principal, action, resource, explicit=EXPLICIT in denied, context=context)
    if message.explicit:
        policies = (*heard.own, *its, *(policy for limit in heard.limits for policy in limit.policies))
        denying = [one for policy in policies for one in _denying(policy, action, resource, context, principal)]
        message = msgspec.structs.replace(message, statements=tuple(denying))
    words = f"You are not authorized to perform this operation. {denied}" if api == "ec2" else denied
    return f"{words}. {_ENCODED}{encoded_message(secret, message)}"


def is_own(principal: Principal, resource: str) -> bool:
    return resource_account(resource) in ("", principal.account_id)


def _denying(policy: Policy, action: str, resource: str, context: Mapping[str, Sequence[str]], principal: Principal) -> list[Said]:
    denying = [statement for statement in matching(policy, action, resource, context, principal) if not statement.allows]
    if not denying:
        return []
    written = msgspec.json.decode(policy.document)["Statement"]
    listed = written if isinstance(written, list) else [written]
    return [said(listed[statement.index]) for statement in denying]
