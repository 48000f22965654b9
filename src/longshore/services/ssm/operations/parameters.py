"""Parameters: put, got by name, deleted."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from longshore.aws.shapes import ssm as shapes
from longshore.kit.sealing import seal
from longshore.services.call import Call
from longshore.services.ssm.api import api
from longshore.services.ssm.errors import (
    InvalidAllowedPatternException,
    InvalidPolicyTypeException,
    ParameterAlreadyExists,
    ParameterMaxVersionLimitExceeded,
    ParameterNotFound,
    ParameterVersionNotFound,
    ValidationException,
)
from longshore.services.ssm.model import PARAMETERS, PURPOSE, SECURE, Parameter, Tag, Version
from longshore.services.ssm.parameters import (
    asked,
    checked_name,
    checked_tags,
    existing,
    find,
    name_of,
    parameter_view,
    resource_of,
)
from longshore.store.base import Tx

MOST_VERSIONS = 100
MOST_STANDARD, MOST_ADVANCED = 4096, 8192
DEFAULT_KEY = "alias/aws/ssm"


# ── putting ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _put_conditions(call: Call, request: shapes.PutParameterRequest) -> dict[str, list[str]]:
    tags = request.tags or ()
    found = {f"aws:RequestTag/{tag.key}": [tag.value] for tag in tags} | {"aws:TagKeys": [tag.key for tag in tags]}
    policies = {"ssm:Policies": [request.policies]} if request.policies else {}
    return found | policies | {"ssm:Overwrite": ["true" if request.overwrite else "false"]}


def _tagging(call: Call, request: shapes.PutParameterRequest) -> Iterable[tuple[str, str]]:
    return [("ssm:AddTagsToResource", resource_of(call, request.name))] if request.tags else ()


@api.operation("PutParameter", resource=lambda call, request: (resource_of(call, request.name),), conditions=_put_conditions, also=_tagging)
async def put_parameter(call: Call, request: shapes.PutParameterRequest) -> shapes.PutParameterResult:
    """A version more, one after the last. Raises ParameterAlreadyExists without `Overwrite`."""
    _check(request)
    name = checked_name(name_of(call, request.name))
    tags = checked_tags(Tag(tag.key, tag.value) for tag in request.tags or ())

    def put(tx: Tx) -> Version:
        held = find(tx, call, name)
        if held is None:
            made = _version(call, request, None)
            tx.create(PARAMETERS, Parameter(call.region, call.account_id, name, (made,), tags))
            return made
        if not request.overwrite:
            raise ParameterAlreadyExists
        made = _version(call, request, held.newest)
        tx.put(PARAMETERS, replace(held, versions=(*_room(held.versions), made)))
        return made

    made = await call.store.transact(put)
    return shapes.PutParameterResult(version=made.number, tier=made.tier)


def _check(request: shapes.PutParameterRequest) -> None:
    if request.policies not in (None, "", "[]", "{}"):
        raise InvalidPolicyTypeException
    if request.allowed_pattern:
        raise InvalidAllowedPatternException
    if request.data_type not in (None, "", "text"):
        raise ValidationException(f"The data type {request.data_type[:64]} is not supported by this installation.")
    if request.overwrite and request.tags:
        raise ValidationException(
            "Invalid request: tags and overwrite can't be used together. To create a parameter with tags, please remove overwrite flag. To "
            "update tags for an existing parameter, please use AddTagsToResource or RemoveTagsFromResource."
        )
    if not request.value:
        raise ValidationException("Value must not be empty.")
    if request.key_id and request.type not in (None, SECURE):
        raise ValidationException("KeyId can be used with the type SecureString only.")


def _version(call: Call, request: shapes.PutParameterRequest, before: Version | None) -> Version:
    """Raises ValidationException."""
    kind = request.type or (before.type if before is not None else "")
    if not kind:
        raise ValidationException("A parameter type is required when you create a parameter.")
    content = request.value.encode()
    return Version(
        number=1 if before is None else before.number + 1,
        type=kind,
        value=seal(call.secret_for_signing, PURPOSE, content) if kind == SECURE else content,
        modified_at=call.clock.now(),
        modified_by=call.principal.arn,
        description=before.description if request.description is None and before is not None else request.description or "",
        key_id=(request.key_id or (before.key_id if before is not None else "") or DEFAULT_KEY) if kind == SECURE else "",
        tier=_tier(request, before, len(request.value)),
    )


def _tier(request: shapes.PutParameterRequest, before: Version | None, length: int) -> str:
    """A parameter that was advanced stays so. Raises ValidationException for a value that is too long for its tier."""
    wanted = request.tier or (before.tier if before is not None else "Standard")
    if wanted == "Intelligent-Tiering":
        wanted = "Advanced" if length > MOST_STANDARD else "Standard"
    if before is not None and before.tier == "Advanced":
        wanted = "Advanced"
    if wanted == "Standard" and length > MOST_STANDARD:
        raise ValidationException(
            f"Standard tier parameters support a maximum parameter value of {MOST_STANDARD} characters. To create a larger parameter "
            "value, upgrade the parameter to use the advanced-parameter tier."
        )
    if length > MOST_ADVANCED:
        raise ValidationException(f"Advanced tier parameters support a maximum parameter value of {MOST_ADVANCED} characters.")
    return wanted


def _room(versions: tuple[Version, ...]) -> tuple[Version, ...]:
    """For one more: the oldest goes, unless it has a label."""
    if len(versions) < MOST_VERSIONS:
        return versions
    if versions[0].labels:
        raise ParameterMaxVersionLimitExceeded(
            f"You attempted to create a new version by calling the PutParameter API with the overwrite flag. Version {versions[0].number}, "
            "the oldest version, can't be deleted because it has a label associated with it. Move the label to another version of the "
            "parameter, and try again."
        )
    return versions[1:]


# ── getting ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@api.operation(
    "GetParameter",
    resource=lambda call, request: (resource_of(call, request.name),),
)
async def get_parameter(call: Call, request: shapes.GetParameterRequest) -> shapes.GetParameterResult:
    parameter, version, selector = asked(call.store, call, request.name)
    shown = parameter_view(call, parameter, version, decrypt=bool(request.with_decryption), selector=selector)
    return shapes.GetParameterResult(parameter=shown)


@api.operation("GetParameters", resource=lambda call, request: [resource_of(call, name) for name in request.names])
async def get_parameters(call: Call, request: shapes.GetParametersRequest) -> shapes.GetParametersResult:
    """Up to ten; what is not there is told as invalid."""
    found: list[shapes.Parameter] = []
    invalid: list[str] = []
    for name in dict.fromkeys(request.names):
        try:
            parameter, version, selector = asked(call.store, call, name)
        except (ParameterNotFound, ParameterVersionNotFound):
            invalid.append(name)
        else:
            found.append(parameter_view(call, parameter, version, decrypt=bool(request.with_decryption), selector=selector))
    return shapes.GetParametersResult(parameters=tuple(found), invalid_parameters=tuple(invalid))


# ── deleting ────────────────────────────────────────────────────────────────────────────────────────────────────────


@api.operation(
    "DeleteParameter",
    resource=lambda call, request: (resource_of(call, request.name),),
)
async def delete_parameter(call: Call, request: shapes.DeleteParameterRequest) -> shapes.DeleteParameterResult:
    await call.store.transact(lambda tx: tx.delete(PARAMETERS, existing(tx, call, request.name).key))
    return shapes.DeleteParameterResult()


@api.operation("DeleteParameters", resource=lambda call, request: [resource_of(call, name) for name in request.names])
async def delete_parameters(call: Call, request: shapes.DeleteParametersRequest) -> shapes.DeleteParametersResult:
    names = tuple(dict.fromkeys(request.names))

    def delete(tx: Tx) -> list[str]:
        deleted = []
        for name in names:
            held = find(tx, call, name)
            if held is not None:
                tx.delete(PARAMETERS, held.key)
                deleted.append(name)
        return deleted

    deleted = await call.store.transact(delete)
    invalid = tuple(name for name in names if name not in deleted)
    return shapes.DeleteParametersResult(deleted_parameters=tuple(deleted), invalid_parameters=invalid)
