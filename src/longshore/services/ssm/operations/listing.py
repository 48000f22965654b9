"""Parameters by path, by what they are, and what they were."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.pagination import page, seal, unseal
from longshore.aws.shapes import ssm as shapes
from longshore.services.call import Call
from longshore.services.ssm.api import api
from longshore.services.ssm.errors import InvalidFilterKey, InvalidFilterOption, InvalidNextToken, ValidationException
from longshore.services.ssm.model import PARAMETERS, Parameter, Version, parameter_arn, parameter_key
from longshore.services.ssm.parameters import existing, opened, parameter_view, resource_of

_BY_PATH_PAGE = 10
_PAGE = 50
_BY_PATH_KEYS = frozenset({"Type", "KeyId", "Label"})


def _scope(call: Call) -> str:
    return f"{call.region}:{call.account_id}"


def _page(
    call: Call, question: tuple[object, ...], token: str | None, limit: int, keep: Callable[[Parameter], bool]
) -> tuple[list[Parameter], str | None]:
    """Sorted by name. Raises InvalidNextToken."""
    asked = (*question, _scope(call))
    after = unseal(call.secret_for_signing, asked, token, InvalidNextToken())
    found, last = page(
        lambda start, most: call.store.list(PARAMETERS, "scope", _scope(call), after=start, limit=most),
        lambda parameter: parameter.key,
        after=after,
        limit=limit,
        keep=keep,
    )
    return found, seal(call.secret_for_signing, asked, last) if last is not None else None


# ── by path ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _path(call: Call, request: shapes.GetParametersByPathRequest) -> Iterable[str]:
    return (parameter_arn(call.region, call.account_id, request.path.rstrip("/") or "/"),)


@api.operation(
    "GetParametersByPath",
    resource=_path,
    conditions=lambda call, request: {"ssm:Recursive": ["true" if request.recursive else "false"]},
)
async def get_parameters_by_path(call: Call, request: shapes.GetParametersByPathRequest) -> shapes.GetParametersByPathResult:
    """What lies right below the path; with `Recursive` everything below it. With a label, the versions that have it."""
    if not request.path.startswith("/"):
        raise ValidationException("The parameter doesn't meet the parameter name requirements. The parameter name must begin with a /.")
    stem = f"{request.path.rstrip('/')}/"
    filters = request.parameter_filters or ()
    if any(each.key not in _BY_PATH_KEYS for each in filters):
        raise InvalidFilterKey("GetParametersByPath is filtered by Type, KeyId and Label.")
    labels = [label for each in filters if each.key == "Label" for label in each.values or ()]

    def keep(parameter: Parameter) -> bool:
        name = parameter.name
        below = name.startswith(stem) and (request.recursive or "/" not in name[len(stem) :])
        return below and (not labels or _labelled(parameter, labels) is not None) and _passes_all(parameter, filters)

    found, token = _page(call, ("by-path", stem, request.recursive, repr(filters)), request.next_token, _limit(request.max_results), keep)
    return shapes.GetParametersByPathResult(
        parameters=tuple(
            parameter_view(call, each, _labelled(each, labels) or each.newest, decrypt=bool(request.with_decryption)) for each in found
        ),
        next_token=token,
    )


def _limit(given: int | None) -> int:
    return given or _BY_PATH_PAGE


def _labelled(parameter: Parameter, labels: list[str]) -> Version | None:
    return next((each for each in parameter.versions if any(label in each.labels for label in labels)), None)


# ── by what they are ────────────────────────────────────────────────────────────────────────────────────────────────


@api.operation("DescribeParameters", resource=ANY_RESOURCE)
async def describe_parameters(call: Call, request: shapes.DescribeParametersRequest) -> shapes.DescribeParametersResult:
    """Everything but the values."""
    if request.shared:
        return shapes.DescribeParametersResult(parameters=())
    filters = (
        *(request.parameter_filters or ()),
        *(shapes.ParameterStringFilter(key=each.key, option="BeginsWith", values=each.values) for each in request.filters or ()),
    )
    question = ("DescribeParameters", repr(filters))
    found, token = _page(call, question, request.next_token, request.max_results or _PAGE, lambda each: _passes_all(each, filters))
    return shapes.DescribeParametersResult(parameters=tuple(_metadata(parameter) for parameter in found), next_token=token)


def _metadata(parameter: Parameter) -> shapes.ParameterMetadata:
    version = parameter.newest
    return shapes.ParameterMetadata(
        name=parameter.name,
        arn=parameter.arn,
        type=version.type,
        key_id=version.key_id or None,
        last_modified_date=version.modified_at,
        last_modified_user=version.modified_by,
        description=version.description or None,
        version=version.number,
        tier=version.tier,
        policies=(),
        data_type="text",
    )


def _passes_all(parameter: Parameter, filters: Iterable[shapes.ParameterStringFilter]) -> bool:
    return all(_passes(parameter, each) for each in filters)


def _passes(parameter: Parameter, given: shapes.ParameterStringFilter) -> bool:
    """Raises InvalidFilterKey or InvalidFilterOption."""
    values = given.values or ()
    if given.key == "Path":
        if given.option not in (None, "Recursive", "OneLevel"):
            raise InvalidFilterOption("Path is filtered with Recursive or OneLevel.")
        return any(_is_below(parameter.name, value, deep=given.option == "Recursive") for value in values)
    option = given.option or "Equals"
    if option not in ("Equals", "BeginsWith", "Contains"):
        raise InvalidFilterOption(f"{given.key} is not filtered with {option[:64]}.")
    return any(_matches(text, option, value) for text in _texts(parameter, given.key) for value in values) or (
        not values and bool(_texts(parameter, given.key))
    )


def _texts(parameter: Parameter, key: str) -> list[str]:
    version = parameter.newest
    if key.startswith("tag:"):
        return [tag.value for tag in parameter.tags if tag.key == key.removeprefix("tag:")]
    match key:
        case "Name":
            return [parameter.name]
        case "Type":
            return [version.type]
        case "KeyId":
            return [version.key_id] if version.key_id else []
        case "Tier":
            return [version.tier]
        case "DataType":
            return ["text"]
        case "Label":
            return [label for each in parameter.versions for label in each.labels]
        case _:
            raise InvalidFilterKey(f"The key {key[:64]} is not valid.")


def _matches(text: str, option: str, value: str) -> bool:
    match option:
        case "BeginsWith":
            return text.startswith(value)
        case "Contains":
            return value in text
        case _:
            return text == value


def _is_below(name: str, path: str, *, deep: bool) -> bool:
    stem = f"{path.rstrip('/')}/"
    return name.startswith(stem) and (deep or "/" not in name[len(stem) :])


# ── what they were ──────────────────────────────────────────────────────────────────────────────────────────────────


@api.operation(
    "GetParameterHistory",
    resource=lambda call, request: (resource_of(call, request.name),),
)
async def get_parameter_history(call: Call, request: shapes.GetParameterHistoryRequest) -> shapes.GetParameterHistoryResult:
    """Every version that is kept, the oldest first."""
    held = existing(call.store, call, request.name)
    question = ("GetParameterHistory", parameter_key(call.region, call.account_id, held.name))
    after = unseal(call.secret_for_signing, question, request.next_token, InvalidNextToken())
    limit = request.max_results or _PAGE
    left = [version for version in held.versions if version.number > int(after or 0)]
    more = seal(call.secret_for_signing, question, str(left[limit - 1].number)) if len(left) > limit else None
    shown = tuple(
        shapes.ParameterHistory(
            name=held.name,
            type=version.type,
            key_id=version.key_id or None,
            last_modified_date=version.modified_at,
            last_modified_user=version.modified_by,
            description=version.description or None,
            value=opened(call, version, decrypt=bool(request.with_decryption)),
            version=version.number,
            labels=version.labels,
            tier=version.tier,
            policies=(),
            data_type="text",
        )
        for version in left[:limit]
    )
    return shapes.GetParameterHistoryResult(parameters=shown, next_token=more)
