"""May they? Every operation's declared action and resources, asked of the caller's policies before the operation runs.

The root of an account may do everything in it and is asked nothing more. Resources that an operation names are ARNs of the
caller's own account and region unless it says otherwise; what belongs to another account needs that resource's own policy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from longshore.aws.errors import AccessDenied
from longshore.aws.operation import Operation
from longshore.kit.clock import Clock
from longshore.services.call import Call, Principal
from longshore.services.iam.evaluator import decide, resource_account
from longshore.services.iam.identities import Policies, access_denied_message, global_context
from longshore.store.base import Store


class Access:
    """Answers for the gateway, the agents' sockets and the registry alike."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._policies = Policies(store)
        self._clock = clock

    def denial(
        self,
        principal: Principal,
        action: str,
        resource: str,
        *,
        region: str = "",
        source_ip: str = "",
        secure: bool = False,
        user_agent: str = "",
        conditions: Mapping[str, Sequence[str]] | None = None,
    ) -> str | None:
        """Why `principal` may not do `action` to `resource`, in AWS's words; None when it may."""
        if principal.is_root and resource_account(resource) in ("", principal.account_id):
            return None
        context: dict[str, Sequence[str]] = dict(
            global_context(principal, now=self._clock.now(), region=region, source_ip=source_ip, secure=secure, user_agent=user_agent)
        )
        context.update(conditions or {})
        decision = decide(self._policies.of(principal), (), action, resource, context, principal)
        if decision.allowed:
            return None
        return access_denied_message(principal, action, resource, explicit=decision.explicit_deny, side=decision.side)

    def authorise(self, operation: Operation, call: Call, request: object, *, secure: bool, user_agent: str) -> None:
        """Raises AccessDenied. An operation whose action is empty needs no permission (sts GetCallerIdentity)."""
        if not operation.action:
            return
        # what names no resource asks for all of them: nothing gets by for want of a name
        resources = tuple(operation.resource(call, request)) or ("*",)
        asked: Iterable[tuple[str, str]] = [(operation.action, resource) for resource in resources]
        if operation.also is not None:
            asked = [*asked, *operation.also(call, request)]
        root = call.principal.is_root
        conditions = operation.conditions(call, request) if operation.conditions and not root else None
        for action, resource in asked:
            if root and resource_account(resource) in ("", call.account_id):
                continue
            denied = self.denial(
                call.principal,
                action,
                resource,
                region=call.region,
                source_ip=call.source_ip,
                secure=secure,
                user_agent=user_agent,
                conditions=conditions,
            )
            if denied is not None:
                raise AccessDenied(denied)
