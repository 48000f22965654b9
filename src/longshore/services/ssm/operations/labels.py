"""Labels of versions: a name that can be moved from one version of a parameter to another."""

from __future__ import annotations

import re

from msgspec.structs import replace

from longshore.aws.shapes import ssm as shapes
from longshore.services.call import Call
from longshore.services.ssm.api import api
from longshore.services.ssm.errors import ParameterVersionLabelLimitExceeded, ParameterVersionNotFound
from longshore.services.ssm.model import PARAMETERS, Parameter, Version
from longshore.services.ssm.parameters import existing, resource_of
from longshore.store.base import Tx

MOST_LABELS = 10
#: a number would be taken for a version
_LABEL = re.compile(r"(?!(?:aws|ssm))[A-Za-z_.\-][A-Za-z0-9_.\-]{0,99}", re.IGNORECASE)


@api.operation(
    "LabelParameterVersion",
    resource=lambda call, request: (resource_of(call, request.name),),
)
async def label_parameter_version(call: Call, request: shapes.LabelParameterVersionRequest) -> shapes.LabelParameterVersionResult:
    """The newest version without a number. A label that another version has is moved."""
    wanted = tuple(dict.fromkeys(label for label in request.labels if _LABEL.fullmatch(label)))
    invalid = tuple(label for label in request.labels if label not in wanted)

    def label(tx: Tx) -> int:
        held = existing(tx, call, request.name)
        number = held.newest.number if request.parameter_version is None else request.parameter_version
        _check_version(held, number)
        changed = tuple(_labelled(each, wanted, mine=each.number == number) for each in held.versions)
        tx.put(PARAMETERS, replace(held, versions=changed))
        return number

    number = await call.store.transact(label)
    return shapes.LabelParameterVersionResult(invalid_labels=invalid, parameter_version=number)


def _check_version(parameter: Parameter, number: int) -> None:
    if all(each.number != number for each in parameter.versions):
        raise ParameterVersionNotFound(
            f"Systems Manager could not find version {number} of {parameter.name}. Verify the version and try again."
        )


def _labelled(version: Version, wanted: tuple[str, ...], *, mine: bool) -> Version:
    kept = tuple(label for label in version.labels if label not in wanted)
    labels = (*kept, *wanted) if mine else kept
    if len(labels) > MOST_LABELS:
        raise ParameterVersionLabelLimitExceeded
    return replace(version, labels=labels)


@api.operation(
    "UnlabelParameterVersion",
    resource=lambda call, request: (resource_of(call, request.name),),
)
async def unlabel_parameter_version(call: Call, request: shapes.UnlabelParameterVersionRequest) -> shapes.UnlabelParameterVersionResult:
    def unlabel(tx: Tx) -> tuple[str, ...]:
        held = existing(tx, call, request.name)
        _check_version(held, request.parameter_version)
        mine = next(each for each in held.versions if each.number == request.parameter_version)
        removed = tuple(label for label in dict.fromkeys(request.labels) if label in mine.labels)
        left = replace(mine, labels=tuple(label for label in mine.labels if label not in removed))
        tx.put(PARAMETERS, replace(held, versions=tuple(left if each is mine else each for each in held.versions)))
        return removed

    removed = await call.store.transact(unlabel)
    invalid = tuple(label for label in request.labels if label not in removed)
    return shapes.UnlabelParameterVersionResult(removed_labels=removed, invalid_labels=invalid)
