"""Which actions there are: what a policy, or a person, may name. A name that is misspelt is worth telling, since policies about it are for
nothing and refuse nothing.
"""

from __future__ import annotations

from functools import cache

from longshore.gateway.catalogue import SERVED, served

#: asked beside an operation's own name, or at other doors than the APIs'
_BESIDE = (
    *("iam:PassRole", "sts:TagSession", "sts:SetSourceIdentity", "sts:SetContext"),
    *("ecs:Poll", "ecs:StartTelemetrySession", "ecs:LongshoreActForContainerInstance"),
    *("ecr:ReplicateImage", "ecr:BatchImportUpstreamImage", "ecr:ListImageReferrers"),
    "elasticloadbalancing:LongshoreServeLoadBalancers",
)


@cache
def _known() -> dict[str, frozenset[str]]:
    """Prefix -> names, in lower case: all of AWS's, served or not, and our own."""
    found: dict[str, set[str]] = {}
    for api in map(served, SERVED):
        for operation in api.operations.values():
            if operation.action:
                prefix, _, name = operation.action.lower().partition(":")
                found.setdefault(prefix, set()).update((name, *map(str.lower, api.known)))
    for action in _BESIDE:
        prefix, _, name = action.lower().partition(":")
        found[prefix].add(name)
    return {prefix: frozenset(names) for prefix, names in found.items()}


def is_an_action(action: str) -> bool:
    """Of services that are not here anything may be one. Of those that are, AWS has a few more, for its own services and consoles."""
    prefix, _, name = action.lower().partition(":")
    return name in _known().get(prefix, (name,))
