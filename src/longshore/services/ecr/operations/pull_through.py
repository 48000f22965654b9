"""Pull-through cache rules: which repositories mirror those of another registry."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import msgspec

from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.pagination import page, seal, unseal
from longshore.aws.shapes import ecr as shapes
from longshore.services.call import Call
from longshore.services.ecr.api import api
from longshore.services.ecr.errors import (
    InvalidParameterException,
    LimitExceededException,
    PullThroughCacheRuleAlreadyExistsException,
    PullThroughCacheRuleNotFoundException,
    UnsupportedUpstreamRegistryException,
)
from longshore.services.ecr.pull_through.credentials import credentials_of
from longshore.services.ecr.pull_through.model import PULL_THROUGH_RULES, ROOT, PullThroughRule, rule_key
from longshore.services.ecr.pull_through.upstreams import checked_upstream
from longshore.services.ecr.scope import registry_of
from longshore.store.base import Reader, Tx

#: ECR's quota for one registry
MOST_RULES = 50
_PAGE = 100
_INVALID_TOKEN = "Invalid parameter at 'nextToken' failed to satisfy constraint: 'Invalid token'"
_NO_ROLES = "The roles of other registries cannot be assumed here: give the upstream's address and a secret."


class _NamesSecret(Protocol):
    @property
    def credential_arn(self) -> str | None: ...


def _reading_the_secret(call: Call, request: _NamesSecret) -> Iterable[tuple[str, str]]:
    """An upstream may be any machine, and is told what the secret says: so whoever names one must be allowed to read it."""
    return [("secretsmanager:GetSecretValue", request.credential_arn)] if request.credential_arn else ()


@api.operation("CreatePullThroughCacheRule", resource=ANY_RESOURCE, also=_reading_the_secret)
async def create_pull_through_cache_rule(
    call: Call, request: shapes.CreatePullThroughCacheRuleRequest
) -> shapes.CreatePullThroughCacheRuleResponse:
    """AWS's upstreams, and any other registry by its address."""
    account_id = registry_of(call, request.registry_id, "ecr:CreatePullThroughCacheRule", "*")
    if request.custom_role_arn is not None:
        raise UnsupportedUpstreamRegistryException(_NO_ROLES)
    now = call.clock.now()
    rule = PullThroughRule(
        region=call.region,
        account_id=account_id,
        prefix=request.ecr_repository_prefix,
        upstream_url=request.upstream_registry_url,
        created_at=now,
        updated_at=now,
        upstream_registry=checked_upstream(request.upstream_registry_url, request.upstream_registry),
        credential_arn=request.credential_arn or "",
        upstream_prefix=request.upstream_repository_prefix or ROOT,
    )

    def create(tx: Tx) -> None:
        if tx.get(PULL_THROUGH_RULES, rule.key) is not None:
            raise PullThroughCacheRuleAlreadyExistsException
        if tx.count(PULL_THROUGH_RULES, "scope", f"{call.region}:{account_id}") >= MOST_RULES:
            raise LimitExceededException(f"The maximum number of pull through cache rules in a registry is {MOST_RULES}.")
        credentials_of(tx, rule, call.secret_for_signing)
        tx.create(PULL_THROUGH_RULES, rule)

    await call.store.transact(create)
    return shapes.CreatePullThroughCacheRuleResponse(
        ecr_repository_prefix=rule.prefix,
        upstream_registry_url=rule.upstream_url,
        created_at=rule.created_at,
        registry_id=account_id,
        upstream_registry=rule.upstream_registry or None,
        credential_arn=rule.credential_arn or None,
        upstream_repository_prefix=rule.upstream_prefix,
    )


def _find(reader: Reader, region: str, account_id: str, prefix: str) -> PullThroughRule:
    """Raises PullThroughCacheRuleNotFoundException."""
    held = reader.get(PULL_THROUGH_RULES, rule_key(region, account_id, prefix))
    if held is None:
        raise PullThroughCacheRuleNotFoundException
    return held


@api.operation("DescribePullThroughCacheRules", resource=ANY_RESOURCE)
async def describe_pull_through_cache_rules(
    call: Call, request: shapes.DescribePullThroughCacheRulesRequest
) -> shapes.DescribePullThroughCacheRulesResponse:
    account_id = registry_of(call, request.registry_id, "ecr:DescribePullThroughCacheRules", "*")
    if request.ecr_repository_prefixes is not None:
        if request.next_token is not None or request.max_results is not None:
            raise InvalidParameterException("maxResults and nextToken cannot be specified together with ecrRepositoryPrefixes")
        named = {rule.key: rule for rule in (_find(call.store, call.region, account_id, each) for each in request.ecr_repository_prefixes)}
        return shapes.DescribePullThroughCacheRulesResponse(pull_through_cache_rules=tuple(_rule(each) for each in named.values()))
    scope = f"{call.region}:{account_id}"
    question = ("DescribePullThroughCacheRules", scope)
    found, after = page(
        lambda after, limit: call.store.list(PULL_THROUGH_RULES, "scope", scope, after=after, limit=limit),
        lambda each: each.key,
        after=unseal(call.secret_for_signing, question, request.next_token, InvalidParameterException(_INVALID_TOKEN)),
        limit=request.max_results or _PAGE,
    )
    return shapes.DescribePullThroughCacheRulesResponse(
        pull_through_cache_rules=tuple(_rule(each) for each in found),
        next_token=seal(call.secret_for_signing, question, after) if after else None,
    )


def _rule(held: PullThroughRule) -> shapes.PullThroughCacheRule:
    return shapes.PullThroughCacheRule(
        ecr_repository_prefix=held.prefix,
        upstream_registry_url=held.upstream_url,
        created_at=held.created_at,
        registry_id=held.account_id,
        credential_arn=held.credential_arn or None,
        upstream_repository_prefix=held.upstream_prefix,
        upstream_registry=held.upstream_registry or None,
        updated_at=held.updated_at,
    )


@api.operation("UpdatePullThroughCacheRule", resource=ANY_RESOURCE, also=_reading_the_secret)
async def update_pull_through_cache_rule(
    call: Call, request: shapes.UpdatePullThroughCacheRuleRequest
) -> shapes.UpdatePullThroughCacheRuleResponse:
    """Another secret; everything else about a rule stays as it was created."""
    account_id = registry_of(call, request.registry_id, "ecr:UpdatePullThroughCacheRule", "*")
    if request.custom_role_arn is not None:
        raise UnsupportedUpstreamRegistryException(_NO_ROLES)
    now = call.clock.now()

    def update(tx: Tx) -> PullThroughRule:
        held = _find(tx, call.region, account_id, request.ecr_repository_prefix)
        if request.credential_arn is None:
            raise InvalidParameterException("Invalid parameter at 'credentialArn' failed to satisfy constraint: 'Member must not be null'")
        rule = msgspec.structs.replace(held, credential_arn=request.credential_arn, updated_at=now)
        credentials_of(tx, rule, call.secret_for_signing)
        return tx.put(PULL_THROUGH_RULES, rule)

    rule = await call.store.transact(update)
    return shapes.UpdatePullThroughCacheRuleResponse(
        ecr_repository_prefix=rule.prefix,
        registry_id=account_id,
        updated_at=rule.updated_at,
        credential_arn=rule.credential_arn,
        upstream_repository_prefix=rule.upstream_prefix,
    )


@api.operation("DeletePullThroughCacheRule", resource=ANY_RESOURCE)
async def delete_pull_through_cache_rule(
    call: Call, request: shapes.DeletePullThroughCacheRuleRequest
) -> shapes.DeletePullThroughCacheRuleResponse:
    """What was cached stays, as images of this registry."""
    account_id = registry_of(call, request.registry_id, "ecr:DeletePullThroughCacheRule", "*")

    def delete(tx: Tx) -> PullThroughRule:
        held = _find(tx, call.region, account_id, request.ecr_repository_prefix)
        tx.delete(PULL_THROUGH_RULES, held.key)
        return held

    rule = await call.store.transact(delete)
    return shapes.DeletePullThroughCacheRuleResponse(
        ecr_repository_prefix=rule.prefix,
        upstream_registry_url=rule.upstream_url,
        created_at=rule.created_at,
        registry_id=account_id,
        credential_arn=rule.credential_arn or None,
        upstream_repository_prefix=rule.upstream_prefix,
    )


@api.operation("ValidatePullThroughCacheRule", resource=ANY_RESOURCE)
async def validate_pull_through_cache_rule(
    call: Call, request: shapes.ValidatePullThroughCacheRuleRequest
) -> shapes.ValidatePullThroughCacheRuleResponse:
    """Asks the upstream whether it answers, and takes the rule's credentials."""
    account_id = registry_of(call, request.registry_id, "ecr:ValidatePullThroughCacheRule", "*")
    rule = _find(call.store, call.region, account_id, request.ecr_repository_prefix)
    failure = await call.pull_through.trouble_with(rule) if call.pull_through is not None else "The upstream registry cannot be reached."
    return shapes.ValidatePullThroughCacheRuleResponse(
        ecr_repository_prefix=rule.prefix,
        registry_id=account_id,
        upstream_registry_url=rule.upstream_url,
        credential_arn=rule.credential_arn or None,
        upstream_repository_prefix=rule.upstream_prefix,
        is_valid=failure is None,
        failure=failure,
    )
