"""Repository creation templates: create, describe, update, delete."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from msgspec.structs import replace

from longshore.aws.arn import parse_arn
from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.pagination import page, seal, unseal
from longshore.aws.shapes import ecr as shapes
from longshore.services.call import Call
from longshore.services.ecr import views
from longshore.services.ecr.access.documents import checked_repository_policy
from longshore.services.ecr.api import api
from longshore.services.ecr.errors import InvalidParameterException, TemplateAlreadyExistsException, TemplateNotFoundException
from longshore.services.ecr.lifecycle.policy import PolicyInvalid, parse_policy
from longshore.services.ecr.names import repository_arn
from longshore.services.ecr.repository_settings import checked_key, checked_mutability
from longshore.services.ecr.tagging import checked_tags
from longshore.services.ecr.templates.model import CREATION_TEMPLATES, ROOT, CreationTemplate, Occasion, template_key
from longshore.store.base import Tx

_PAGE = 100


class _Settings(Protocol):
    """What CreateRepositoryCreationTemplate and UpdateRepositoryCreationTemplate have in common."""

    @property
    def prefix(self) -> str: ...
    @property
    def description(self) -> str | None: ...
    @property
    def encryption_configuration(self) -> shapes.EncryptionConfigurationForRepositoryCreationTemplate | None: ...
    @property
    def resource_tags(self) -> tuple[shapes.Tag, ...] | None: ...
    @property
    def image_tag_mutability(self) -> str | None: ...
    @property
    def image_tag_mutability_exclusion_filters(self) -> tuple[shapes.ImageTagMutabilityExclusionFilter, ...] | None: ...
    @property
    def repository_policy(self) -> str | None: ...
    @property
    def lifecycle_policy(self) -> str | None: ...
    @property
    def applied_for(self) -> tuple[Occasion, ...] | None: ...
    @property
    def custom_role_arn(self) -> str | None: ...


def _what_it_will_do(call: Call, request: _Settings) -> Iterator[tuple[str, str]]:
    """A template acts for whoever made it: that one must be allowed to do the same to every repository it speaks for."""
    below = "*" if request.prefix == ROOT else f"{request.prefix.removesuffix('/')}/*"
    repositories = repository_arn(call.region, call.account_id, below)
    yield "ecr:CreateRepository", repositories
    if request.resource_tags:
        yield "ecr:TagResource", repositories
    if request.repository_policy:
        yield "ecr:SetRepositoryPolicy", repositories
    if request.lifecycle_policy:
        yield "ecr:PutLifecyclePolicy", repositories
    if request.custom_role_arn:
        yield "iam:PassRole", request.custom_role_arn


@api.operation("CreateRepositoryCreationTemplate", resource=ANY_RESOURCE, also=_what_it_will_do)
async def create_repository_creation_template(
    call: Call, request: shapes.CreateRepositoryCreationTemplateRequest
) -> shapes.CreateRepositoryCreationTemplateResponse:
    now = call.clock.now()
    new = CreationTemplate(
        region=call.region, account_id=call.account_id, prefix=request.prefix, created_at=now, updated_at=now, applied_for=()
    )
    template = _with(new, call, request)

    def create(tx: Tx) -> None:
        if tx.get(CREATION_TEMPLATES, template.key) is not None:
            raise TemplateAlreadyExistsException
        tx.create(CREATION_TEMPLATES, template)

    await call.store.transact(create)
    return shapes.CreateRepositoryCreationTemplateResponse(
        registry_id=call.account_id, repository_creation_template=views.creation_template(template)
    )


@api.operation("UpdateRepositoryCreationTemplate", resource=ANY_RESOURCE, also=_what_it_will_do)
async def update_repository_creation_template(
    call: Call, request: shapes.UpdateRepositoryCreationTemplateRequest
) -> shapes.UpdateRepositoryCreationTemplateResponse:
    """What the request leaves out stays as it is. Repositories that exist are not touched."""
    now = call.clock.now()

    def update(tx: Tx) -> CreationTemplate:
        held = _find(tx, call, request.prefix)
        return tx.put(CREATION_TEMPLATES, replace(_with(held, call, request), updated_at=now))

    template = await call.store.transact(update)
    return shapes.UpdateRepositoryCreationTemplateResponse(
        registry_id=call.account_id, repository_creation_template=views.creation_template(template)
    )


@api.operation("DeleteRepositoryCreationTemplate", resource=ANY_RESOURCE)
async def delete_repository_creation_template(
    call: Call, request: shapes.DeleteRepositoryCreationTemplateRequest
) -> shapes.DeleteRepositoryCreationTemplateResponse:
    def delete(tx: Tx) -> CreationTemplate:
        held = _find(tx, call, request.prefix)
        tx.delete(CREATION_TEMPLATES, held.key)
        return held

    template = await call.store.transact(delete)
    return shapes.DeleteRepositoryCreationTemplateResponse(
        registry_id=call.account_id, repository_creation_template=views.creation_template(template)
    )


@api.operation("DescribeRepositoryCreationTemplates", resource=ANY_RESOURCE)
async def describe_repository_creation_templates(
    call: Call, request: shapes.DescribeRepositoryCreationTemplatesRequest
) -> shapes.DescribeRepositoryCreationTemplatesResponse:
    """Prefixes that no template has are left out of the answer."""
    if request.prefixes:
        if request.next_token is not None or request.max_results is not None:
            raise InvalidParameterException("maxResults and nextToken cannot be specified together with prefixes")
        keys = dict.fromkeys(template_key(call.region, call.account_id, prefix) for prefix in request.prefixes)
        named = (call.store.get(CREATION_TEMPLATES, key) for key in keys)
        return shapes.DescribeRepositoryCreationTemplatesResponse(
            registry_id=call.account_id,
            repository_creation_templates=tuple(views.creation_template(each) for each in named if each is not None),
        )
    scope = f"{call.region}:{call.account_id}"
    question = ("DescribeRepositoryCreationTemplates", scope)
    found, after = page(
        lambda after, limit: call.store.list(CREATION_TEMPLATES, "scope", scope, after=after, limit=limit),
        lambda each: each.key,
        after=unseal(call.secret_for_signing, question, request.next_token, InvalidParameterException("The nextToken is invalid.")),
        limit=request.max_results or _PAGE,
    )
    return shapes.DescribeRepositoryCreationTemplatesResponse(
        registry_id=call.account_id,
        repository_creation_templates=tuple(views.creation_template(each) for each in found),
        next_token=seal(call.secret_for_signing, question, after) if after else None,
    )


def _find(tx: Tx, call: Call, prefix: str) -> CreationTemplate:
    held = tx.get(CREATION_TEMPLATES, template_key(call.region, call.account_id, prefix))
    if held is None:
        raise TemplateNotFoundException
    return held


def _with(template: CreationTemplate, call: Call, request: _Settings) -> CreationTemplate:
    """The template with what the request says; raises InvalidParameterException, and those of tags."""
    if request.image_tag_mutability is not None or request.image_tag_mutability_exclusion_filters is not None:
        mutability = request.image_tag_mutability or template.image_tag_mutability
        setting, patterns = checked_mutability(mutability, request.image_tag_mutability_exclusion_filters)
        template = replace(template, image_tag_mutability=setting, mutability_exclusions=patterns)
    encryption = request.encryption_configuration
    if encryption is not None:
        key = checked_key(encryption.encryption_type, encryption.kms_key)
        template = replace(template, encryption_type=encryption.encryption_type, kms_key=key)
    if request.resource_tags is not None:
        template = replace(template, resource_tags=checked_tags(request.resource_tags))
    if request.applied_for is not None:
        template = replace(template, applied_for=_checked_occasions(request.applied_for))
    if request.repository_policy is not None:
        template = replace(template, repository_policy=request.repository_policy and checked_repository_policy(request.repository_policy))
    if request.lifecycle_policy is not None:
        template = replace(template, lifecycle_policy=_checked_lifecycle_policy(request.lifecycle_policy))
    if request.custom_role_arn is not None:
        template = replace(template, custom_role_arn=_checked_role(call, request.custom_role_arn))
    return template if request.description is None else replace(template, description=request.description)


def _checked_occasions(given: tuple[Occasion, ...]) -> tuple[Occasion, ...]:
    if not given:
        raise _invalid("appliedFor", "must not be empty")
    return tuple(dict.fromkeys(given))


def _checked_lifecycle_policy(text: str) -> str:
    if text:
        try:
            parse_policy(text)
        except PolicyInvalid as error:
            raise _invalid("lifecyclePolicy", str(error)) from None
    return text


def _checked_role(call: Call, arn: str) -> str | None:
    """A role of the registry's account; "" takes it away."""
    if not arn:
        return None
    parsed = parse_arn(arn)
    if parsed is None or (parsed.service, parsed.account_id, parsed.resource_type) != ("iam", call.account_id, "role"):
        raise _invalid("customRoleArn", "must be the ARN of a role in the account of the registry")
    return arn


def _invalid(member: str, constraint: str) -> InvalidParameterException:
    return InvalidParameterException(f"Invalid parameter at '{member}' failed to satisfy constraint: '{constraint}'")
