"""May they? Every operation's declared action and resources, asked of the caller's policies before the operation runs.

Resources that an operation names are ARNs of the caller's own account and region unless it says otherwise. A service whose
resources have policies of their own registers how they are found (`ResourceSide`): they are heard for each ARN of that
service, and without them nothing that belongs to another account is opened. The root of an account may do everything in it that
no such policy denies, and take such a policy away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from longshore.aws.errors import AccessDenied
from longshore.aws.operation import Operation
from longshore.gateway.asking import is_an_action
from longshore.gateway.refusals import is_own, told
from longshore.kit.clock import Clock
from longshore.services.call import Call, Principal
from longshore.services.iam.deciding import Heard, Made, Named, Origin
from longshore.services.iam.evaluator import Limit, decide, resource_account
from longshore.services.iam.identities import Policies, access_denied_message, global_context
from longshore.services.iam.policy import Policy
from longshore.services.iam.recording import Recorder
from longshore.store.base import Reader, Store

if TYPE_CHECKING:
    from longshore.gateway.attempt import Limiter

#: principal, action and resource; and where policies ask for it: region, address, whether encrypted, program
_Key = tuple[str | bool, ...]
#: decisions kept, and how many characters in a key: a few MiB in all, whatever clients ask
_MOST_KEPT, _LONGEST_KEPT = 10_000, 600
#: API whose operations hand roles over -> who will act in them, where it is not the service itself: tasks, and instances with a profile
_PASSED_TO = {"ecs": "ecs-tasks.amazonaws.com", "iam": "ec2.amazonaws.com"}


class ResourceSide(NamedTuple):
    """What the resources of a service say of themselves."""

    #: (reader, ARN) -> the resource-based policies that speak for it
    policies: Callable[[Reader, str], tuple[Policy, ...]]
    #: (reader, ARN) -> condition keys of the resource itself, such as aws:ResourceTag/KEY, with their values
    conditions: Callable[[Reader, str], Mapping[str, Sequence[str]]]
    #: actions that no policy of a resource takes from the root of its account: the way back for who is locked out
    of_the_root: frozenset[str] = frozenset()
    #: actions that the resource's own policy must allow, to the resource's own account as well
    must_allow: frozenset[str] = frozenset()
    #: (reader, ARN) -> the policies as they were written, for people; as many as `policies` gives, in the same order
    named: Callable[[Reader, str], tuple[Named, ...]] | None = None


class _Kept(NamedTuple):
    """A decision that holds as long as nothing is written."""

    revision: int
    denial: str | None


class Access:
    """Answers for the gateway, the agents' sockets and the registry alike. `resources` are by the service that ARNs name."""

    def __init__(
        self, store: Store, clock: Clock, resources: Mapping[str, ResourceSide] | None = None, recorder: Recorder | None = None
    ) -> None:
        self._store = store
        self._policies = Policies(store)
        self._clock = clock
        self._resources = dict(resources or {})
        self._kept: dict[_Key, _Kept] = {}
        #: told of every decision while it listens
        self.recorder = recorder
        #: who holds up whoever asks too much at the doors beside the APIs
        self.limiter: Limiter | None = None

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
        conditions: Callable[[], Mapping[str, Sequence[str]]] | None = None,
    ) -> str | None:
        """Why `principal` may not do `action` to `resource`, in AWS's words; None when it may.

        `conditions` are the condition keys of the request beside the global ones, asked for only where a policy has conditions.
        """
        origin = Origin(region, source_ip, secure, user_agent)
        denied = self._denied(principal, action, resource, origin, conditions)
        if self.recorder is not None and self.recorder.listens:
            context = partial(self._context, principal, resource, origin, conditions)
            heard = partial(self.heard, principal, action, resource)
            self.recorder.note(Made(principal, action, resource, denied, origin if conditions is None else None, context, heard))
        return denied

    def _denied(
        self,
        principal: Principal,
        action: str,
        resource: str,
        origin: Origin,
        conditions: Callable[[], Mapping[str, Sequence[str]]] | None,
    ) -> str | None:
        # two sessions of one name may have different policies, so the key counts
        plain = (principal.arn, principal.access_key_id, action, resource)
        of_its_origin = (*plain, *origin)
        for key in (plain, of_its_origin) if conditions is None else (plain,):
            kept = self._kept.get(key)
            if kept is not None and kept.revision == self._store.revision:
                return kept.denial
        heard = self.heard(principal, action, resource)
        asked = _Asked(principal, action, resource, heard.must_allow)
        own, its, limits, _ = heard
        all_of_them = (*own, *its, *(policy for limit in limits for policy in limit.policies))
        if all(policy.is_constant for policy in all_of_them):
            return self._keep(plain, _denial(asked, own, its, limits, {}))
        denial = _denial(asked, own, its, limits, self._context(principal, resource, origin, conditions))
        if conditions is None and all(policy.is_timeless for policy in all_of_them):
            self._keep(of_its_origin, denial)
        return denial

    def heard(self, principal: Principal, action: str, resource: str) -> Heard:
        """The policies that have a say."""
        side = self._resources.get(_service(resource))
        its = side.policies(self._store, resource) if side is not None and not _is_the_roots(principal, action, resource, side) else ()
        must_allow = side is not None and action in side.must_allow
        return Heard(self._policies.of(principal), its, self._policies.limits(principal), must_allow)

    def of_resource(self, resource: str) -> Mapping[str, Sequence[str]]:
        """The condition keys that a resource has whoever asks."""
        context: dict[str, Sequence[str]] = {}
        if owner := resource_account(resource):
            context["aws:resourceaccount"] = [owner]
        side = self._resources.get(_service(resource))
        if side is not None:
            context.update(side.conditions(self._store, resource))
        return context

    def named(self, resource: str) -> tuple[Named, ...]:
        side = self._resources.get(_service(resource))
        return side.named(self._store, resource) if side is not None and side.named is not None else ()

    def shares(self, resource: str) -> bool:
        side = self._resources.get(_service(resource))
        return side is not None and side.named is not None

    def asks(self, action: str) -> bool:
        return is_an_action(action)

    def _context(
        self, principal: Principal, resource: str, origin: Origin, conditions: Callable[[], Mapping[str, Sequence[str]]] | None
    ) -> Mapping[str, Sequence[str]]:
        """Everything that conditions may ask about."""
        return {
            **global_context(principal, now=self._clock.now(), **origin._asdict()),
            **self.of_resource(resource),
            **(conditions() if conditions is not None else {}),
        }

    def _keep(self, key: _Key, denial: str | None) -> str | None:
        if sum(len(part) for part in key if isinstance(part, str)) <= _LONGEST_KEPT:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[key] = _Kept(self._store.revision, denial)
        return denial

    def authorise(self, operation: Operation, call: Call, request: object, *, secure: bool, user_agent: str) -> tuple[str, ...]:
        """The resources that it acts on. Raises AccessDenied.

        An operation whose action is empty needs no permission (sts GetCallerIdentity).
        """
        if not operation.action:
            return ()
        # what names no resource asks for all of them: nothing gets by for want of a name
        resources = tuple(operation.resource(call, request)) or ("*",)
        asked: Iterable[tuple[str, str]] = [(operation.action, resource) for resource in resources]
        if operation.also is not None:
            asked = [*asked, *operation.also(call, request)]
        conditions = partial(operation.conditions, call, request) if operation.conditions is not None else None
        for action, resource in asked:
            given = partial(_passing, operation, conditions) if action == "iam:PassRole" else conditions
            denied = self.denial(
                call.principal,
                action,
                resource,
                region=call.region,
                source_ip=call.source_ip,
                secure=secure,
                user_agent=user_agent,
                conditions=given,
            )
            if denied is None:
                continue
            if call.web_identity is not None:  # who has no credentials is told nothing of roles and of their policies
                raise AccessDenied(f"Not authorized to perform {action}")
            heard = self.heard(call.principal, action, resource)
            origin, own = Origin(call.region, call.source_ip, secure, user_agent), is_own(call.principal, resource)
            # An operation's condition keys may be of its resource, too.
            context = self._context(call.principal, resource if own else "*", origin, given if own else None)
            raise AccessDenied(
                told(call.secret_for_signing, operation.api, call.principal, action, resource, denied, heard=heard, context=context)
            )
        return resources


def _passing(operation: Operation, conditions: Callable[[], Mapping[str, Sequence[str]]] | None) -> dict[str, Sequence[str]]:
    """The condition keys of handing a role over, with the service that will act in it."""
    service = _PASSED_TO.get(operation.api, f"{operation.api}.amazonaws.com")
    return {**(conditions() if conditions is not None else {}), "iam:passedtoservice": [service]}


def _is_the_roots(principal: Principal, action: str, resource: str, side: ResourceSide) -> bool:
    return principal.is_root and action in side.of_the_root and resource_account(resource) == principal.account_id


class _Asked(NamedTuple):
    principal: Principal
    action: str
    resource: str
    #: no matter whose it is, the resource's policy must allow
    must_allow: bool


def _denial(
    asked: _Asked, own: Sequence[Policy], its: Sequence[Policy], limits: Sequence[Limit], context: Mapping[str, Sequence[str]]
) -> str | None:
    principal, action, resource, must_allow = asked
    decision = decide(own, its, action, resource, context, principal, limits=limits, resource_must_allow=must_allow)
    if decision.allowed:
        return None
    if its and resource_account(resource) not in ("", principal.account_id):
        # Whether another account has such a resource is not to be read off the words: they are those of one that is not there.
        decision = decide(own, (), action, resource, context, principal, limits=limits, resource_must_allow=must_allow)
    return access_denied_message(principal, action, resource, explicit=decision.explicit_deny, side=decision.side)


def _service(resource: str) -> str:
    """What stands third in an ARN; empty for `*`."""
    parts = resource.split(":", 3)
    return parts[2] if len(parts) == 4 else ""
