"""Tags of parameters as policies ask about them, by ARN: whatever operation names one, alone or among others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from longshore.aws.arn import parse_arn
from longshore.services.ssm.model import PARAMETERS, parameter_key
from longshore.store.base import Reader


def resource_conditions(reader: Reader, arn: str) -> Mapping[str, Sequence[str]]:
    """aws:ResourceTag/KEY and ssm:resourceTag/KEY; nothing for what is not there."""
    parsed = parse_arn(arn)
    if parsed is None or parsed.service != "ssm" or not parsed.resource.startswith("parameter/"):
        return {}
    path = parsed.resource.removeprefix("parameter")
    # /a and a have one ARN
    for name in (path[1:], path):
        found = reader.get(PARAMETERS, parameter_key(parsed.region, parsed.account_id, name))
        if found is not None:
            return {f"{prefix}:resourcetag/{tag.key.lower()}": [tag.value] for tag in found.tags for prefix in ("aws", "ssm")}
    return {}
