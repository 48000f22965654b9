"""Parameters in transactions: how they are named and found, and which of their versions is meant."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable

from longshore.aws.arn import parse_arn
from longshore.aws.shapes import ssm as shapes
from longshore.kit.sealing import SealBroken, unseal
from longshore.services.call import Call
from longshore.services.ssm.errors import (
    HierarchyLevelLimitExceededException,
    InvalidKeyId,
    ParameterNotFound,
    ParameterVersionNotFound,
    TooManyTagsError,
    ValidationException,
)
from longshore.services.ssm.model import PARAMETERS, PURPOSE, SECURE, Parameter, Tag, Version, parameter_arn, parameter_key
from longshore.store.base import Reader

_NAME = re.compile(r"[A-Za-z0-9_.\-/]{1,1011}")
_RESERVED = re.compile(r"/?(aws|ssm)", re.IGNORECASE)
_MOST_LEVELS = 15
MOST_TAGS = 50
_WORDS = (
    'Parameter name: can\'t be prefixed with "aws" or "ssm" (case-insensitive). If formed as a path, it can consist of sub-paths divided '
    "by slash symbol; each sub-path can be formed as a mix of letters, numbers and the following 3 symbols .-_"
)


def checked_name(name: str) -> str:
    """Of a new parameter; raises ValidationException or HierarchyLevelLimitExceededException."""
    if not _NAME.fullmatch(name) or _RESERVED.match(name) or name.endswith("/") or "//" in name:
        raise ValidationException(_WORDS)
    if "/" in name and not name.startswith("/"):
        raise ValidationException("Parameter name must be a fully qualified name.")
    if name.count("/") > _MOST_LEVELS:
        raise HierarchyLevelLimitExceededException
    return name


def split(reference: str) -> tuple[str, str]:
    """(the name or ARN, ":" and a version or label, or "") of what a request names."""
    start = reference.rfind("parameter/") if reference.startswith("arn:") else 0
    at = reference.find(":", max(start, 0))
    return (reference, "") if at < 0 else (reference[:at], reference[at:])


def name_of(call: Call, reference: str) -> str:
    """Of a name or an ARN, without selector. An ARN of elsewhere names nothing here."""
    if not reference.startswith("arn:"):
        return reference
    arn = parse_arn(reference)
    if arn is None or (arn.service, arn.region, arn.account_id) != ("ssm", call.region, call.account_id):
        return ""
    path = arn.resource.removeprefix("parameter")
    # /a and a have one ARN; a path needs its slash
    return path if "/" in path[1:] else path[1:]


def find(reader: Reader, call: Call, reference: str) -> Parameter | None:
    """By name or ARN, without selector."""
    name = name_of(call, reference)
    found = reader.get(PARAMETERS, parameter_key(call.region, call.account_id, name))
    if found is None and reference.startswith("arn:") and name:
        found = reader.get(PARAMETERS, parameter_key(call.region, call.account_id, f"/{name}"))
    return found


def existing(reader: Reader, call: Call, reference: str) -> Parameter:
    """Raises ParameterNotFound."""
    found = find(reader, call, reference)
    if found is None:
        raise ParameterNotFound
    return found


def version_at(parameter: Parameter, selector: str) -> Version | None:
    """The newest without a selector, else that of the number or label after the colon."""
    wanted = selector.removeprefix(":")
    if not selector:
        return parameter.newest
    return next((each for each in parameter.versions if str(each.number) == wanted or wanted in each.labels), None)


def asked(reader: Reader, call: Call, reference: str) -> tuple[Parameter, Version, str]:
    """The parameter, the version and the selector. Raises ParameterNotFound or ParameterVersionNotFound."""
    name, selector = split(reference)
    parameter = existing(reader, call, name)
    version = version_at(parameter, selector)
    if version is None:
        raise ParameterVersionNotFound(
            f"Systems Manager could not find version {selector.removeprefix(':')} of {parameter.name}. Verify the version and try again."
        )
    return parameter, version, selector


def opened(call: Call, version: Version, *, decrypt: bool) -> str:
    """A SecureString's value, unless it is to be decrypted, as its cipher text in base64. Raises InvalidKeyId."""
    if version.type != SECURE:
        return version.value.decode()
    if not decrypt:
        return b64encode(version.value).decode()
    try:
        return unseal(call.secret_for_signing, PURPOSE, version.value).decode()
    except SealBroken:
        raise InvalidKeyId from None


def parameter_view(call: Call, parameter: Parameter, version: Version, *, decrypt: bool, selector: str = "") -> shapes.Parameter:
    return shapes.Parameter(
        name=parameter.name,
        type=version.type,
        value=opened(call, version, decrypt=decrypt),
        version=version.number,
        selector=selector or None,
        last_modified_date=version.modified_at,
        arn=parameter.arn,
        data_type="text",
    )


def checked_tags(tags: Iterable[Tag]) -> tuple[Tag, ...]:
    """Each key once, sorted. Raises TooManyTagsError or ValidationException."""
    named = {tag.key: tag for tag in tags}
    if len(named) > MOST_TAGS:
        raise TooManyTagsError
    if any(key.lower().startswith("aws:") for key in named):
        raise ValidationException("Tag keys must not begin with aws:")
    return tuple(named[key] for key in sorted(named))


# ── what authorisation is asked about ──


def resource_of(call: Call, reference: str) -> str:
    """The ARN of what a request names, whether it is there or not, however it is written."""
    found = find(call.store, call, split(reference)[0])
    if found is not None:
        return found.arn
    return split(reference)[0] if reference.startswith("arn:") else parameter_arn(call.region, call.account_id, split(reference)[0])
