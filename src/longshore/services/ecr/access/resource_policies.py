"""What ECR's resources say when somebody wants something of them: their policies, and the tags that conditions ask about.

Whoever decides about a resource hands both to `services.iam.evaluator.decide`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from longshore.aws.arn import Arn, parse_arn
from longshore.services.ecr.access.model import REGISTRY_POLICIES, REPOSITORY_POLICIES, registry_key
from longshore.services.ecr.model import REPOSITORIES, repository_key
from longshore.services.ecr.scope import resource_tag_conditions
from longshore.services.ecr.settings.rules import setting
from longshore.services.iam.deciding import Named
from longshore.services.iam.glob import Globs
from longshore.services.iam.policy import Policy, compile_policy
from longshore.store.base import Reader

#: all that a registry's policy is heard about where REGISTRY_POLICY_SCOPE is V1
NARROW_SCOPE = ("ecr:ReplicateImage", "ecr:BatchImportUpstreamImage", "ecr:CreateRepository")
_REPOSITORY = "repository/"


def resource_policies(reader: Reader, arn: str) -> tuple[Policy, ...]:
    """The policies that speak for an ECR resource: its repository's and its registry's, where they have one."""
    parsed = _parsed(arn)
    if parsed is None:
        return ()
    found = []
    repository = _repository_key(parsed)
    policy = reader.get(REPOSITORY_POLICIES, repository) if repository is not None else None
    if policy is not None:
        found.append(compile_policy(policy.meant, resource_based=True))
    registry = reader.get(REGISTRY_POLICIES, registry_key(parsed.region, parsed.account_id))
    if registry is not None:
        compiled = compile_policy(registry.meant, resource_based=True)
        everything = setting(reader, parsed.region, parsed.account_id, "REGISTRY_POLICY_SCOPE") == "V2"
        found.append(compiled if everything else _narrowed(compiled))
    return tuple(found)


def named_policies(reader: Reader, arn: str) -> tuple[Named, ...]:
    """The same as they were written, for people."""
    parsed = _parsed(arn)
    if parsed is None:
        return ()
    repository = _repository_key(parsed)
    policy = reader.get(REPOSITORY_POLICIES, repository) if repository is not None else None
    found = [Named("repository policy", arn, policy.document)] if policy is not None else []
    registry = reader.get(REGISTRY_POLICIES, registry_key(parsed.region, parsed.account_id))
    if registry is not None:
        found.append(Named("registry policy", f"arn:aws:ecr:{parsed.region}:{parsed.account_id}:registry", registry.document))
    return tuple(found)


@lru_cache(maxsize=256)
def _narrowed(policy: Policy) -> Policy:
    """What the policy says of `NARROW_SCOPE` and of nothing else."""
    statements = []
    for statement in policy.statements:
        actions = [action for action in NARROW_SCOPE if statement.actions.match(action, _no_variable) is not statement.not_action]
        if actions:
            statements.append(replace(statement, actions=Globs(actions, ignore_case=True), not_action=False))
    return replace(policy, statements=tuple(statements))


def _no_variable(key: str) -> None:
    """Actions have none."""


def resource_conditions(reader: Reader, arn: str) -> dict[str, list[str]]:
    """`aws:ResourceTag/KEY`, and ECR's own spelling of it, for the repository as it is now."""
    parsed = _parsed(arn)
    repository = _repository_key(parsed) if parsed is not None else None
    held = reader.get(REPOSITORIES, repository) if repository is not None else None
    return resource_tag_conditions(held.tags) if held is not None else {}


def _parsed(arn: str) -> Arn | None:
    parsed = parse_arn(arn)
    return parsed if parsed is not None and (parsed.partition, parsed.service) == ("aws", "ecr") else None


def _repository_key(parsed: Arn) -> str | None:
    if not parsed.resource.startswith(_REPOSITORY):
        return None
    return repository_key(parsed.region, parsed.account_id, parsed.resource[len(_REPOSITORY) :])
